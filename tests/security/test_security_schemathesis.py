"""schemathesis against the description of the interface, for each scheme, with every check that it has."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from servers import app as twins
from tests.security.systems import ADMINISTRATOR, Kind, Launcher, System, kinds
from tests.security.traits import traits

ROOT = Path(__file__).parents[2]
DESCRIPTION = Path(twins.__file__).parent / "openapi.yaml"
EXAMPLES = 20
# which characters are printable no pattern can say: a name that the schema allows may be refused
CONFIG = """
[[operations]]
include-path = "/profile"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409]
"""
FIRST = {kind.scheme: kind for kind in reversed(kinds()) if not kind.options}


def described(kind: Kind) -> dict:
    """What the description says of this scheme: of the alternatives how a client may identify itself, its own."""
    document = yaml.safe_load(DESCRIPTION.read_text())
    if kind.scheme != "control":
        document["security"] = [{"session" if traits(kind).cookie else "token": []}]
    return document


def found(system: System, folder: Path) -> str:
    """What schemathesis says; empty when it found nothing."""
    description = folder / "openapi.yaml"
    description.write_text(yaml.safe_dump(described(system.kind)))
    (folder / "schemathesis.toml").write_text(CONFIG)
    argv = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(description), "--url", system.running.url),
        *("--checks", "all", "--max-examples", str(EXAMPLES), "--no-color"),
        *("--generation-deterministic", "--continue-on-failure"),
    ]
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env |= {
        "SCHEMATHESIS_HOOKS": "tests.security.schemathesis_hooks",
        "SCHEMATHESIS_USER": ADMINISTRATOR,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=240)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("system", FIRST.values(), ids=list(FIRST), indirect=True)
def test_schemathesis_finds_nothing(system, tmp_path):
    assert found(system, tmp_path) == ""


def test_schemathesis_finds_ignored_authentication(reaper, tmp_path):
    def adapt(component):
        env = {**component.env, "PYTHONPATH": str(ROOT)}
        argv = (*component.argv[:-1], "tests.security.broken.open_to_readers:app")
        return dataclasses.replace(component, argv=argv, env=env)

    with Launcher(tmp_path, reaper, adapt).running(Kind("session", "memory")) as system:
        assert "API accepts requests without authentication" in found(system, tmp_path)
