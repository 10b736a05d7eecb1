"""docker-compose.yml with deploy/swarm.yml, and the load's stack: that a swarm takes them, and what must not go."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION = importlib.metadata.version("authscale")
SHARED = {
    "cap_drop", "command", "configs", "deploy", "entrypoint", "environment", "healthcheck", "image", "networks",
    "read_only", "secrets", "security_opt", "stop_grace_period", "stop_signal", "tmpfs", "user", "volumes",
}  # fmt: skip
"""What a service may have that both Compose and a swarm take. A swarm warns of `security_opt` and goes on."""


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read("docker-compose.yml")


@pytest.fixture(scope="module")
def swarm() -> dict[str, Any]:
    return read("deploy/swarm.yml")


@pytest.fixture(scope="module")
def load() -> dict[str, Any]:
    return read("deploy/swarm-load.yml")


def test_nothing_in_the_shared_file_is_refused_by_a_swarm(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert not set(service) - SHARED, f"{name}: this belongs into docker-compose.override.yml"


def test_the_swarm_adds_to_services_that_are_there(compose: dict[str, Any], swarm: dict[str, Any]) -> None:
    assert set(swarm["services"]) == set(compose["services"]), "a service without a place runs anywhere"
    for name, service in swarm["services"].items():
        assert service["deploy"]["placement"]["constraints"], name


@pytest.mark.parametrize(
    "files",
    [
        ("docker-compose.yml", "deploy/swarm.yml"),
        ("docker-compose.yml", "deploy/swarm.yml", "deploy/swarm-publish.yml"),
        ("deploy/swarm-load.yml",),
    ],
    ids=lambda files: files[-1],
)
def test_docker_stack_takes_the_files(files: tuple[str, ...]) -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    argv = ["docker", "stack", "config", *(word for file in files for word in ("-c", file))]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if "docker stack" not in done.stderr and "unknown command" in done.stderr:
        pytest.skip("this docker has no `docker stack config`")
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert all("image" in service for service in services.values())
    if "deploy/swarm.yml" in files:
        asked = " ".join(services["seed"]["command"])
        assert asked.count("--secret=") == 1, "a command is replaced, not added to"


def test_no_port_is_published_unless_asked(
    compose: dict[str, Any], swarm: dict[str, Any], load: dict[str, Any]
) -> None:
    for document in (compose, swarm, load):
        assert not [name for name, service in document["services"].items() if "ports" in service]
    asked = read("deploy/swarm-publish.yml")["services"]
    assert asked == {"balancer": {"ports": [{"target": 8080, "published": "${PORT:-8080}", "mode": "host"}]}}


def test_no_secret_stands_in_a_file(swarm: dict[str, Any], load: dict[str, Any]) -> None:
    for secret in swarm["secrets"].values():
        assert secret["external"] is True, "deploy/make-secrets makes it, and no file has it"
    for document in (swarm, load):
        for service in document["services"].values():
            for name, value in service.get("environment", {}).items():
                if re.search("SECRET|PASSWORD|KEY|TOKEN", name):
                    assert name.endswith("_FILE")
                    assert value.startswith("/run/secrets/")


def test_images_are_those_of_compose(compose: dict[str, Any], swarm: dict[str, Any], load: dict[str, Any]) -> None:
    for name, service in swarm["services"].items():
        if "image" in service:
            assert service["image"] == "${REGISTRY:-}" + compose["services"][name]["image"]
    assert {service["image"] for service in load["services"].values()} == {"${REGISTRY:-}authscale-load:" + VERSION}


def test_haproxy_and_nobody_else_balances(swarm: dict[str, Any]) -> None:
    for name in set(swarm["services"]) - {"seed"}:  # which nobody asks for anything
        assert swarm["services"][name]["deploy"]["endpoint_mode"] == "dnsrr", f"{name} would get a virtual address"


def test_an_update_starts_a_replica_before_it_ends_one(swarm: dict[str, Any]) -> None:
    replica = swarm["services"]["replica"]
    update = replica["deploy"]["update_config"]
    assert (update["parallelism"], update["order"]) == (1, "${UPDATE_ORDER:-start-first}")
    assert update["failure_action"] == "rollback"
    drain_s, grace_s = replica["environment"]["DRAIN_SECONDS"], int(replica["stop_grace_period"].removesuffix("s"))
    # longer than HAProxy's second between two questions; a request that is on its way then has time to end
    assert 1 < drain_s < grace_s - 10


def test_the_load_is_kept_away_from_the_servers(swarm: dict[str, Any], load: dict[str, Any]) -> None:
    labels = {
        label: {name for name, service in document["services"].items() if label in str(service["deploy"]["placement"])}
        for document in (swarm, load)
        for label in ("authscale.replicas", "authscale.backing", "authscale.load")
        if label in str(document)
    }
    assert labels == {
        "authscale.replicas": {"seed", "replica"},
        "authscale.backing": {"balancer", "valkey", "postgres", "memcached"},
        "authscale.load": {"master", "worker"},
    }


def test_as_many_workers_join_as_the_master_waits_for(load: dict[str, Any]) -> None:
    services = load["services"]
    assert services["worker"]["deploy"]["replicas"] == services["master"]["environment"]["WORKERS"] == "${WORKERS:-4}"
    assert "--master-host load-master" in services["worker"]["command"][-1]
    assert services["master"]["networks"]["load"] == {"aliases": ["load-master"]}


def test_swarm_and_kubernetes_run_the_same_load(load: dict[str, Any]) -> None:
    for service, file in (("master", "master.yaml"), ("worker", "workers.yaml")):
        job, *_ = yaml.safe_load_all((ROOT / "deploy/kubernetes/load" / file).read_text())
        (container,) = job["spec"]["template"]["spec"]["containers"]
        words = _words(container["command"][-1])
        assert words == _words(load["services"][service]["command"][-1].replace("$$", "$"))
        given = {each["name"]: each["value"] for each in container["env"]}
        assert set(given) == set(load["services"][service]["environment"])


def test_the_experiments_systems_are_those_that_are_deployed(swarm: dict[str, Any], load: dict[str, Any]) -> None:
    target = tomllib.loads((ROOT / "deploy/kubernetes/load/cluster.toml").read_text())["target"]
    names = {system["name"] for system in target["systems"]}
    assert names == {folder.name for folder in (ROOT / "deploy/systems").iterdir()}
    (alias,) = swarm["services"]["balancer"]["networks"]["front"]["aliases"]
    for system in target["systems"]:
        # <service>.<namespace> on Kubernetes, an alias on a swarm
        assert system["url"] == f"http://balancer.authscale-{system['name']}:8080"
        assert alias.replace("${AUTH_SCHEME:-session}", system["name"]) in system["url"]
        assert load["networks"][system["name"]] == {"external": True, "name": f"authscale-{system['name']}_front"}


FAKE = """#!/bin/sh
for last; do :; done
case "$*" in
  *"secret create"*) cp "$last" "$KEPT/$3"; echo "$last" >>"$KEPT/paths" ;;
  *"create namespace"*) echo "{}" ;;
  *"create secret generic"*)
    for word; do
      case $word in --from-file=*) cp "${word#*=}" "$KEPT/"; echo "${word#*=}" >>"$KEPT/paths" ;; esac
    done ;;
  *"apply -f -"*) cat >/dev/null ;;
esac
"""


@pytest.mark.parametrize(("to", "tool", "prefix"), [("swarm", "docker", "mine-"), ("kubernetes", "kubectl", "")])
def test_secrets_are_made_anew_for_each_deployment_and_not_kept(
    to: str, tool: str, prefix: str, tmp_path: Path
) -> None:
    made = []
    for run in ("first", "second"):
        kept = tmp_path / run
        kept.mkdir()
        binary = tmp_path / tool
        binary.write_text(FAKE)
        binary.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "KEPT": str(kept), "PYTHON": sys.executable}
        argv = [ROOT / "deploy/make-secrets", to, "mine"]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        paths = (kept / "paths").read_text().split()
        assert len(paths) == 3
        assert not [path for path in paths if Path(path).parent.exists()]
        made.append({name: (kept / f"{prefix}{name}").read_bytes() for name in ("secret", "keys", "password")})
        for content in made[-1].values():
            assert content.decode("latin-1") not in done.stdout + done.stderr
    assert len(made[0]["secret"]) == 32
    assert all(made[0][name] != made[1][name] for name in made[0])


@pytest.mark.parametrize(("argument", "says"), [("", "to where?"), ("nomad", "to where?")])
def test_make_secrets_refuses_what_it_does_not_know(argument: str, says: str) -> None:
    done = subprocess.run([ROOT / "deploy/make-secrets", argument], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert says in done.stderr


def _words(script: str) -> list[str]:
    return script.replace("\\\n", " ").split()
