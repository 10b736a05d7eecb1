"""The Dockerfile: what the image holds, as whom it runs, and that it runs what the local launcher runs."""

import ast
import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from servers import schemes
from topology.components.replica import replica
from topology.compose.layer import command
from topology.spec import Topology

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dockerfile() -> str:
    """Without comments, and with its continued lines joined."""
    lines = (ROOT / "Dockerfile").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#")).replace("\\\n", "")


@pytest.fixture(scope="module")
def stages(dockerfile: str) -> dict[str, str]:
    parts = re.split(r"^FROM \S+ AS (\w+)$", dockerfile, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_there_is_a_stage_that_serves_and_one_that_drives(dockerfile: str, stages: dict[str, str]) -> None:
    assert list(stages) == ["replica", "load"]
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+-slim", bases[0])
    assert bases[1] == "replica"


def test_no_secret_is_in_the_image(dockerfile: str) -> None:
    instructions = re.findall(r"^(ENV|ARG) (.*)$", dockerfile, re.MULTILINE)
    assert instructions
    assert not [value for _, value in instructions if re.search("SECRET|PASSWORD|KEY|TOKEN", value)]
    copied = {source for found in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for source in found.split()}
    assert copied == {"requirements.lock", "servers/", "topology/", "loadtests/", "deploy/entrypoint.sh"}


def test_only_what_is_copied_is_sent_to_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert sent == {"requirements.lock", "servers/", "topology/", "loadtests/", "deploy/entrypoint.sh"}


def test_a_container_runs_the_argv_of_a_local_replica(stages: dict[str, str]) -> None:
    threads = Topology("token", "none", 1).threads
    assert _exec_form("CMD", stages["replica"]) == command(threads)
    local = replica("replica-0", 8000, threads=threads, settings={})
    for name in ("PYTHONUNBUFFERED", "PYTHONHASHSEED"):
        assert f"{name}={local.env[name]}" in stages["replica"]


def test_no_stage_ends_as_root(stages: dict[str, str]) -> None:
    for stage in stages.values():
        users = re.findall(r"^USER (\S+)$", stage, re.MULTILINE)
        assert users[-1] == "10001:10001"
        assert stage.rindex("\nUSER") < stage.rindex("\nCMD")


def test_packages_come_from_the_lock_with_their_hashes(stages: dict[str, str]) -> None:
    for stage, file in (("replica", "servers.lock"), ("load", "requirements.lock")):
        (install,) = re.findall(r"pip install (.*)$", stages[stage], re.MULTILINE)
        assert {"--require-hashes", "--only-binary=:all:"} <= set(install.split())
        assert install.endswith(f"-r {file}")


def test_the_health_check_asks_healthz(stages: dict[str, str]) -> None:
    program = _exec_form("HEALTHCHECK", stages["replica"])[-1]
    compile(program, "HEALTHCHECK", "exec")
    assert "GET /healthz HTTP/1.1\\r\\n" in program


def test_the_replica_gets_every_package_that_servers_imports(stages: dict[str, str], tmp_path: Path) -> None:
    (run,) = [part for part in re.findall(r"^RUN (.*)$", stages["replica"], re.MULTILINE) if part.startswith("awk")]
    made = tmp_path / "servers.lock"
    awk = f"{run.split('&&')[0].split('>')[0]} > {shlex.quote(str(made))}"
    subprocess.run(["sh", "-c", awk], cwd=ROOT, check=True)
    entries = re.findall(r"^([\w.-]+)==\S+.*((?:\n .*)*)", made.read_text(), re.MULTILINE)
    installed = {name for name, _ in entries}
    assert all("--hash=sha256:" in hashes for _, hashes in entries)
    assert "locust" not in installed
    asked = re.search(r'names="([^"]+)"', run)
    assert asked is not None
    assert installed == set(asked[1].split())
    owners = importlib.metadata.packages_distributions()
    extra = {facts.package for facts in schemes.facts().values() if facts.package}
    for file in (ROOT / "servers").rglob("*.py"):
        if file.stem in extra:  # other people's ways, which are measured from a checkout
            continue
        for module in _imported(file) - set(sys.stdlib_module_names) - {"servers"}:
            names = {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners[module]}
            assert names & installed, f"{file} imports {module}: add its package to the names in the Dockerfile"


def _exec_form(instruction: str, stage: str) -> list[str]:
    found = re.search(rf"^{instruction} [^\[]*(\[.*\])$", stage, re.MULTILINE)
    assert found is not None, f"no {instruction} in exec form"
    words: list[str] = json.loads(found[1])
    return words


def _imported(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.split(".")[0])
    return modules
