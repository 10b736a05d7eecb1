"""docker-compose.yml: what it must never lose, and that it runs what the local launcher runs. No engine is needed."""

import importlib.metadata
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers.seed import main as seed
from topology import binaries
from topology.components import haproxy, memcached, postgres, valkey
from topology.compose.layer import layer, variables
from topology.compose.stores import STORES
from topology.spec import MAX_REPLICAS, Topology

ROOT = Path(__file__).parents[2]
OURS = "authscale"
PORT = 8000
OTHERS = {"balancer", "valkey", "postgres", "memcached"}
CONFIG = ROOT / "deploy/kubernetes/haproxy.cfg"


def test_one_service_scales_and_every_store_has_one(files: dict[str, Any]) -> None:
    assert set(files["services"]) == {"seed", "replica", *OTHERS}
    assert {each.service for each in STORES.values()} == OTHERS - {"balancer"}
    # a fixed name or a published port is one for all
    assert not {"container_name", "hostname", "ports"} & set(files["services"]["replica"])
    assert "REPLICA_NAME" not in files["services"]["replica"]["environment"]


def test_profiles_choose_the_store(files: dict[str, Any]) -> None:
    chosen = {name: each.get("profiles") for name, each in files["services"].items() if each.get("profiles")}
    assert chosen == {"postgres": ["postgres"], "memcached": ["memcached"]}


def test_the_balancer_alone_is_published_and_on_loopback(files: dict[str, Any], ports: Any) -> None:
    found = {name: ports(each) for name, each in files["services"].items() if ports(each)}
    assert found == {"balancer": [("127.0.0.1", "8080", 8080)]}
    assert not any("network_mode" in each for name, each in files["services"].items() if name != "seed")


def test_another_address_and_port_are_had_by_asking(configured: Any, ports: Any) -> None:
    asked = configured(BIND="192.0.2.7", PORT="9000")
    assert ports(asked["services"]["balancer"]) == [("192.0.2.7", "9000", 8080)]


def test_stores_are_cut_off_from_clients_and_from_the_world(files: dict[str, Any]) -> None:
    assert files["networks"]["back"]["internal"] is True
    for name in OTHERS - {"balancer"}:
        assert set(files["services"][name]["networks"]) == {"back"}
    assert set(files["services"]["balancer"]["networks"]) == {"front"}


def test_each_service_can_be_held_to_a_share_of_cpu(configured: Any) -> None:
    asked = configured(REPLICA_CPUS="0.25", STORE_CPUS="0.5", BALANCER_CPUS="0.75")["services"]
    stores = dict.fromkeys(OTHERS - {"balancer"}, 0.5)
    limits = {name: each["cpus"] for name, each in asked.items() if name != "seed"}
    assert limits == {"replica": 0.25, "balancer": 0.75, **stores}


def test_replicas_and_the_seeder_can_write_nothing_but_what_is_seeded(files: dict[str, Any]) -> None:
    for name in ("seed", "replica"):
        service = files["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["replica"]["volumes"]
    assert mounts == ["seed:/seed:ro", "password:/password:ro"]
    assert files["services"]["replica"]["depends_on"]["seed"]["condition"] == "service_completed_successfully"


def test_no_secret_stands_in_a_file(files: dict[str, Any]) -> None:
    for service in files["services"].values():
        for name, value in (service.get("environment") or {}).items():
            secret = re.search("SECRET|PASSWORD|KEY", name)
            assert not secret or (name.endswith("_FILE") and re.match("/(seed|password)/", value)), name


def test_images_are_pinned_to_a_version_each_in_one_place(files: dict[str, Any]) -> None:
    images = {name: each["image"] for name, each in files["services"].items()}
    assert all(re.fullmatch(r"[a-z/]+:\d+(\.\d+)*(-[a-z]+)?", image) for image in images.values()), images
    assert images["seed"] == images["replica"] == f"{OURS}:{importlib.metadata.version(OURS)}"
    text = "".join((ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.override.yml"))
    assert all(text.count(image) == 1 for image in images.values())
    # other files that name one of these images must name the same version
    for file in (ROOT / "deploy").rglob("*.y*ml"):
        for name, tag in re.findall(r"\bimage: \W*([\w./-]+):([\w.-]+)", file.read_text()):
            known = [image for image in images.values() if image.split(":")[0] == name]
            assert not known or f"{name}:{tag}" == known[0], file


def test_stores_are_started_as_the_local_ones(files: dict[str, Any]) -> None:
    local = valkey.valkey("valkey", PORT, "/data").argv
    _same_options(("--save", "--appendonly", "--maxmemory-policy"), local, files["services"]["valkey"]["command"])
    most = 66 * MAX_REPLICAS + 10
    local = postgres.postgres("postgres", Path("postgres"), PORT, Path("data"), None, most).argv
    options = [word for word in local if "=" in word]
    assert len(options) == 4
    command = files["services"]["postgres"]["command"]
    assert set(options) - {f"max_connections={most}"} <= set(command)
    (connections,) = [int(word.split("=")[1]) for word in command if word.startswith("max_connections=")]
    assert connections >= most
    local = memcached.memcached("memcached", PORT, 4200).argv
    _same_options(("-m", "-c", "-U"), local, files["services"]["memcached"]["command"])


def _same_options(options: tuple[str, ...], local: tuple[str, ...], ours: list[str]) -> None:
    for option in options:
        assert ours[ours.index(option) + 1] == local[local.index(option) + 1], option


def test_the_balancer_is_configured_as_the_local_one(tmp_path: Path) -> None:
    local = tmp_path / "haproxy.cfg"
    haproxy.haproxy("haproxy", PORT, {}, policy="roundrobin", config=local, admin_socket=tmp_path / "admin")
    ours, theirs = _sections(CONFIG.read_text()), _sections(local.read_text())
    in_container = {"retries 0": 'retries "${BALANCER_RETRIES}"'}
    assert set(ours["defaults"]) == {in_container.get(line, line) for line in theirs["defaults"]}
    assert "nbthread 1" in ours["global"]
    assert theirs["frontend public"][1] in ours["frontend public"], "X-Request-Start"
    assert 'balance "${BALANCER_POLICY}"' in ours["backend replicas"]
    assert f'server-template replica- {MAX_REPLICAS} "${{REPLICAS_DNS}}":{PORT}' in ours["backend replicas"]
    (default,) = [line for line in ours["backend replicas"] if line.startswith("default-server")]
    assert default.startswith(theirs["backend replicas"][1])


def test_haproxy_takes_the_configuration(files: dict[str, Any]) -> None:
    argv = [binaries.find("haproxy").path, "-c", "-f", str(CONFIG)]
    environment = {**os.environ, **files["services"]["balancer"]["environment"]}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_the_seed_command_makes_what_replicas_are_told_of(files: dict[str, Any], tmp_path: Path) -> None:
    command = files["services"]["seed"]["command"]
    assert command[:3] == ["python", "-m", "servers.seed"]
    arguments = [re.sub(r"=/(seed|password)/", f"={tmp_path}/", word).replace("10000", "10") for word in command[3:]]
    assert seed(arguments) == 0
    environment = files["services"]["replica"]["environment"]
    told = {Path(environment[name]).name for name in ("USERS_DB", "SECRET_FILE", "TOKEN_KEYS_FILE", "PASSWORD_FILE")}
    assert told == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "topology",
    [
        Topology("session", "redis", 4, options={"touch": "never"}),
        Topology("session", "postgres", 2, policy="leastconn"),
        Topology("session", "memcached", 1, threads=16),
        Topology("token", "none", 1, options={"algorithm": "ES256"}),
    ],
    ids=lambda topology: topology.id,
)
def test_a_layer_adds_loopback_ports_and_settings_and_takes_checks_away(
    topology: Topology, configured: Any, ports: Any, tmp_path: Path
) -> None:
    served = STORES.get(topology.store)
    file = tmp_path / "layer.json"
    file.write_text(json.dumps(layer(topology, served, 20001, 20002, frozenset({0}))))
    read = configured(file, **variables(topology, 500, 20000))
    services = read["services"]
    found = {name: sorted(ports(each)) for name, each in services.items() if ports(each)}
    expected = {
        "balancer": [("127.0.0.1", "20000", 8080), ("127.0.0.1", "20001", 8404)],
        "replica": [("127.0.0.1", "", PORT)],
        **({served.service: [("127.0.0.1", "20002", served.port)]} if served else {}),
    }
    assert found == expected
    replica = services["replica"]
    assert replica["command"][replica["command"].index("--blocking-threads") + 1] == str(topology.threads)
    assert replica["environment"] | topology.scheme_settings | topology.settings == replica["environment"]
    assert replica["environment"]["AUTH_SCHEME"] == topology.scheme
    assert replica["environment"]["TOKEN_KEYS_FILE"] == f"/seed/keys-{topology.option('algorithm') or 'HS256'}.json"
    assert "--count=500" in services["seed"]["command"]
    assert services["balancer"]["environment"]["BALANCER_POLICY"] == topology.policy
    assert services["balancer"]["environment"]["BALANCER_RETRIES"] == "0"
    for name in ("replica", *([served.service] if served else [])):
        assert services[name]["cpuset"] == "0"
        assert services[name]["healthcheck"]["interval"] in ("24h", "24h0m0s")
    assert not read["networks"]["back"].get("internal"), "no port would be published on it"
