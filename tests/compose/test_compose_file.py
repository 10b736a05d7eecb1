"""docker-compose.yml and the Dockerfile: what they must never lose, and that they run what the local launcher runs."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers import schemes
from servers.seed import main as seed
from topology import binaries
from topology.components import haproxy
from topology.components.replica import replica
from topology.components.valkey import valkey
from topology.ports import LOOPBACK
from topology.spec import MAX_REPLICAS, Topology

ROOT = Path(__file__).parents[2]
OURS = "authscale"
PORT = 8000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container of its own
COMPOSE_TOOLS = (("docker", "compose"), ("docker-compose",))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = document["services"]
    return found


@pytest.fixture(scope="module")
def dockerfile() -> str:
    """Without comments, and with its continued lines joined."""
    lines = (ROOT / "Dockerfile").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#")).replace("\\\n", "")


@pytest.fixture(scope="module")
def balancer_config() -> str:
    return (ROOT / "topology/haproxy-compose.cfg").read_text()


def test_the_twins_and_what_they_need_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {"seed", "session", "token", "valkey", "balancer"}
    for twin in ("session", "token"):
        assert services[twin]["environment"]["AUTH_SCHEME"] == twin


def test_ports_are_published_on_loopback_alone(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"balancer"}, "a published port or two services for one keep --scale from working"
    assert len(published["balancer"]) == 2
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port) for port in published["balancer"])
    assert not any("network_mode" in service for name, service in services.items() if name != "seed")


def test_what_scales_has_no_fixed_name(services: dict[str, Any]) -> None:
    for twin in ("session", "token"):
        assert not {"container_name", "hostname", "ports"} & set(services[twin])
        assert "REPLICA_NAME" not in services[twin]["environment"]


def test_replicas_can_only_read_the_seeded_volume(services: dict[str, Any]) -> None:
    for twin in ("session", "token"):
        assert services[twin]["volumes"] == ["seed:/seed:ro"]
        assert services[twin]["read_only"] is True
        assert services[twin]["depends_on"]["seed"] == {"condition": "service_completed_successfully"}


def test_no_secret_stands_in_a_file(services: dict[str, Any], dockerfile: str) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            secret = re.search("SECRET|PASSWORD|KEY|TOKEN", name)
            assert not secret or (name.endswith("_FILE") and value.startswith("/seed/"))
    instructions = re.findall(r"^(ENV|ARG) (.*)$", dockerfile, re.MULTILINE)
    assert not [value for _, value in instructions if re.search("SECRET|PASSWORD|KEY|TOKEN", value)]


def test_images_are_pinned_to_a_version(services: dict[str, Any], dockerfile: str) -> None:
    images = [service["image"] for service in services.values()] + re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert all(re.fullmatch(r"[a-z/]+:\d+(\.\d+)*(-[a-z]+)?", image) for image in images), images
    ours = {image for image in images if image.startswith(f"{OURS}:")}
    assert ours == {f"{OURS}:{importlib.metadata.version(OURS)}"}


def test_a_container_runs_the_argv_of_a_local_replica(dockerfile: str) -> None:
    local = replica("replica-0", PORT, threads=Topology("token", "none", 1).threads, settings={})
    in_container = {sys.executable: "python", LOOPBACK: EVERYWHERE}
    assert _exec_form("CMD", dockerfile) == [in_container.get(word, word) for word in local.argv]
    for name in ("PYTHONUNBUFFERED", "PYTHONHASHSEED"):
        assert f"{name}={local.env[name]}" in dockerfile


def test_a_container_does_not_run_as_root(dockerfile: str) -> None:
    assert re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE) == [("10001", "10001")]
    assert dockerfile.index("\nUSER") < dockerfile.index("\nCMD")


def test_the_health_check_asks_healthz(dockerfile: str) -> None:
    program = _exec_form("HEALTHCHECK", dockerfile)[-1]
    compile(program, "HEALTHCHECK", "exec")
    assert "GET /healthz HTTP/1.1\\r\\n" in program


def test_the_replica_is_named_after_its_container_unless_it_has_a_name(dockerfile: str) -> None:
    entry = [*_exec_form("ENTRYPOINT", dockerfile), "env"]
    for given, name in (({}, "c0ffee"), ({"REPLICA_NAME": "replica-3"}, "replica-3")):
        said = _output(entry, {"PATH": os.environ["PATH"], "HOSTNAME": "c0ffee", **given})
        assert f"REPLICA_NAME={name}" in said.splitlines()


def test_the_image_gets_every_package_that_servers_imports(dockerfile: str) -> None:
    found = re.search(r'names="([^"]+)"', dockerfile)
    assert found is not None
    installed = set(found[1].split())
    owners = importlib.metadata.packages_distributions()
    extra = {facts.package for facts in schemes.facts().values() if facts.package}
    for file in (ROOT / "servers").rglob("*.py"):
        if file.stem in extra:  # other people's ways, which are measured from a checkout
            continue
        for module in _imported(file) - set(sys.stdlib_module_names) - {"servers"}:
            names = {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners[module]}
            assert names & installed, f"{file} imports {module}: add its package to the names in the Dockerfile"
    lock = (ROOT / "requirements.lock").read_text()
    assert all(re.search(rf"^{name}==", lock, re.MULTILINE) for name in installed)


def test_only_what_the_image_needs_is_sent_to_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {"!requirements.lock", "!servers/"}


def test_the_store_is_started_as_the_local_one(services: dict[str, Any]) -> None:
    local = valkey("valkey", PORT, "/data").argv
    command = services["valkey"]["command"]
    for option in ("--save", "--appendonly", "--maxmemory-policy"):
        assert command[command.index(option) + 1] == local[local.index(option) + 1]


def test_the_balancer_is_configured_as_the_local_one(balancer_config: str, tmp_path: Path) -> None:
    local = tmp_path / "haproxy.cfg"
    haproxy.haproxy("haproxy", PORT, {}, policy="roundrobin", config=local, admin_socket=tmp_path / "admin")
    ours, theirs = _sections(balancer_config), _sections(local.read_text())
    # a benchmark wants to see a refused connection, a topology that is scaled while it serves does not
    assert ours["defaults"] == [line for line in theirs["defaults"] if line != "retries 0"]
    assert "nbthread 1" in ours["global"]
    for twin in ("session", "token"):
        assert theirs["frontend public"][1] in ours[f"frontend {twin}"], "X-Request-Start"
        assert "balance roundrobin" in ours[f"backend {twin}"]
        assert f"server-template {twin}- {MAX_REPLICAS} {twin}:{PORT}" in ours[f"backend {twin}"]
        (default,) = [line for line in ours[f"backend {twin}"] if line.startswith("default-server")]
        assert default.startswith(theirs["backend replicas"][1])


def test_haproxy_takes_the_configuration() -> None:
    binary = binaries.find("haproxy").path
    _output([binary, "-c", "-f", str(ROOT / "topology/haproxy-compose.cfg")], dict(os.environ))


def test_the_seed_command_is_one_that_the_seeder_takes(services: dict[str, Any], tmp_path: Path) -> None:
    command = [re.sub(r"\$\{[A-Z_]+:-(\w+)\}", r"\1", word) for word in services["seed"]["command"]]
    assert command[:3] == ["python", "-m", "servers.seed"]
    arguments = [word.replace("=/seed/", f"={tmp_path}/").replace("10000", "10") for word in command[3:]]
    assert seed(arguments) == 0
    for twin in ("session", "token"):
        environment = services[twin]["environment"]
        for variable in ("USERS_DB", "SECRET_FILE"):
            assert (tmp_path / Path(environment[variable]).name).is_file()


@pytest.mark.parametrize("tool", COMPOSE_TOOLS, ids=" ".join)
def test_compose_takes_the_file(tool: tuple[str, ...]) -> None:
    if shutil.which(tool[0]) is None:
        # continuous integration installs the older tool itself
        assert tool[0] != "docker-compose" or not os.environ.get("AUTHSCALE_CI"), "docker-compose was not installed"
        pytest.skip(f"{tool[0]} is not installed")
    if subprocess.run([*tool, "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{' '.join(tool)} does not run here")
    # no variable of the caller's shell may stand in for one of the file's
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    _output([*tool, "-f", str(ROOT / "docker-compose.yml"), "config", "-q"], environment)


def _output(argv: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def _exec_form(instruction: str, dockerfile: str) -> list[str]:
    found = re.search(rf"^{instruction} [^\[]*(\[.*\])$", dockerfile, re.MULTILINE)
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


def _sections(config: str) -> dict[str, list[str]]:
    """The lines of each section of a HAProxy configuration, by its heading."""
    sections: dict[str, list[str]] = {}
    for line in config.splitlines():
        if line.strip() and not line.strip().startswith("#"):
            if line[0].isspace():
                sections[next(reversed(sections))].append(line.strip())
            else:
                sections[line] = []
    return sections
