"""docs/adding-a-store.md, done: its file alone is an axis, is held to the contract, and is reported."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from servers.session_store import Store

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-store.md"
COPIED = ("servers", "topology", "loadtests", "analysis", "tests/contract", "pyproject.toml")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with one more file, as the page has it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    page = PAGE.read_text()
    (name,) = re.findall(r"This is a whole one, `(servers/stores/\w+\.py)`", page)
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (folder / name).write_text(example)
    return folder


def python(folder, *arguments):
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=240
    )


def test_it_is_on_the_axis(copy):
    refused = python(copy, "-m", "loadtests.run", "--stores", "mien")
    assert refused.returncode != 0
    assert "did you mean 'mine'" in refused.stderr + refused.stdout


def test_the_contract_tests_take_it_up_and_it_passes(copy):
    done = python(
        copy, "-m", "pytest", "tests/contract/test_contract_store.py", "-k", "mine", "-q", "-p", "no:cacheprovider"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 15
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_a_run_measures_it_and_the_report_names_it(copy, tmp_path):
    arguments = ["--schemes", "control,session", "--stores", "mine", "--replicas", "1", "--blocks", "1"]
    arguments += ["--duration", "0.5", "--warmup", "0.2", "--rate", "60", "--users", "6", "--accounts", "50"]
    run = python(copy, "-m", "loadtests.run", "--results", str(tmp_path), *arguments)
    assert (tmp_path / "latest").exists(), run.stdout + run.stderr
    report = python(copy, "-m", "analysis.report", "--run", str(tmp_path / "latest"))
    for name in ("report.html", "report.md"):
        assert "mine" in (tmp_path / "latest" / name).read_text(), report.stdout + report.stderr


def test_every_operation_is_told():
    operations = [name for name in vars(Store) if not name.startswith("_")]
    told = PAGE.read_text()
    assert [name for name in operations if f"`{name}`" not in told] == []
