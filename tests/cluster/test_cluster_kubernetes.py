"""deploy/kubernetes and deploy/systems: that the API takes them, what must not go, that they agree with Compose."""

import copy
import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from topology.components.valkey import valkey

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy/kubernetes"
LOAD = BASE / "load"
SYSTEMS = sorted((ROOT / "deploy/systems").iterdir())
FOLDERS = [BASE, LOAD, *SYSTEMS]
VERSIONS = ("1.31", "1.37")
VERSION = importlib.metadata.version("authscale")
OURS = {f"authscale:{VERSION}", f"authscale-load:{VERSION}"}
SECRET = re.compile("SECRET|PASSWORD|KEY|TOKEN|CREDENTIAL")


def documents(folder: Path) -> list[dict[str, Any]]:
    """Every object of a folder's own files."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            found += list(yaml.safe_load_all(path.read_text()))
    return found


def kustomization(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


OBJECTS = [*documents(BASE), *documents(LOAD)]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod that each workload makes."""
    for each in OBJECTS:
        if each["kind"] in ("Deployment", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in pods():
        for each in (*pod.get("initContainers", ()), *pod["containers"]):
            yield f"{name} {each['name']}", each


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_api_takes_each_object(document: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(document, version, strict=True) == version


def test_the_api_refuses_what_is_misspelt_or_of_another_kind() -> None:
    replica = named("Deployment", "replica")
    for change in ({"replica": 4}, {"replicas": "four"}):
        wrong = copy.deepcopy(replica)
        wrong["spec"] |= change
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_kustomization_lists_what_is_there_and_nothing_else(folder: Path) -> None:
    listed = kustomization(folder)
    generated = [
        file for each in listed["configMapGenerator"] for file in (*each.get("files", ()), *each.get("envs", ()))
    ]
    inside = [name for name in listed["resources"] if not name.startswith("..")]
    there = {path.name for path in folder.iterdir() if path.is_file()} - {"kustomization.yaml"}
    assert sorted([*inside, *generated]) == sorted(there)
    for name in set(listed["resources"]) - set(inside):
        assert (folder / name / "kustomization.yaml").is_file()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kustomize_builds_it_and_the_api_takes_that(folder: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert {each["metadata"].get("namespace", each["metadata"]["name"]) for each in built} == {
        kustomization(folder)["namespace"]
    }
    for each in built:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", SYSTEMS, ids=lambda folder: folder.name)
def test_a_system_is_the_base_with_its_scheme(folder: Path) -> None:
    listed = kustomization(folder)
    assert listed["resources"] == ["../../kubernetes"]
    assert listed["namespace"] == f"authscale-{folder.name}"
    (settings,) = listed["configMapGenerator"]
    assert settings == {"name": "settings", "behavior": "merge", "literals": [f"AUTH_SCHEME={folder.name}"]}


def test_images_are_pinned_and_those_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    used = {each["image"] for _, each in containers()}
    assert all(re.fullmatch(r"[a-z/-]+:\d+(\.\d+)*", image) for image in used), used
    assert used - {f"authscale-load:{VERSION}"} <= {service["image"] for service in compose}
    assert used >= OURS


def test_pods_are_let_do_no_more_than_they_need() -> None:
    for name, pod in pods():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
    for name, each in containers():
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert each["resources"]["requests"] == each["resources"]["limits"], f"{name} shares its cores"


def test_nothing_is_open_to_the_outside() -> None:
    for each in OBJECTS:
        assert each["kind"] not in ("Ingress", "Gateway")
        if each["kind"] == "Service":
            assert each["spec"].get("type", "ClusterIP") == "ClusterIP"
    assert not [port for _, each in containers() for port in each.get("ports", ()) if "hostPort" in port]
    for folder in (BASE, LOAD):
        policies = [each for each in documents(folder) if each["kind"] == "NetworkPolicy"]
        (first,) = [each for each in policies if each["metadata"]["name"] == "nobody-by-default"]
        assert first["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_a_policy_lets_somebody_in_to_each_service() -> None:
    for folder in (BASE, LOAD):
        open_to = [
            each["spec"]["podSelector"].get("matchLabels")
            for each in documents(folder)
            if each["kind"] == "NetworkPolicy" and each["spec"].get("ingress")
        ]
        for service in (each for each in documents(folder) if each["kind"] == "Service"):
            assert service["spec"]["selector"] in open_to, service["metadata"]["name"]


def test_no_secret_stands_in_a_file() -> None:
    for folder in FOLDERS:
        assert "secretGenerator" not in kustomization(folder)
    assert not [each for each in OBJECTS if each["kind"] == "Secret"]
    for name, each in containers():
        for variable in each.get("env", ()):
            if SECRET.search(variable["name"]):
                assert variable["name"].endswith("_FILE"), f"{name}: {variable['name']}"
                assert variable["value"].startswith("/secret/")
    settings = dict(line.split("=") for line in _lines(BASE / "settings.env"))
    assert [name for name in settings if SECRET.search(name)] == ["TOKEN_ALGORITHM"]


def test_the_number_of_replicas_is_nobodys_to_change() -> None:
    assert "HorizontalPodAutoscaler" not in {each["kind"] for each in OBJECTS}
    assert named("Deployment", "replica")["spec"]["replicas"] == 4


def test_a_rolling_update_drains_before_it_ends() -> None:
    spec = named("Deployment", "replica")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = spec["template"]["spec"]["containers"]
    (drain,) = [each["value"] for each in container["env"] if each["name"] == "DRAIN_SECONDS"]
    # CoreDNS lets an answer be kept for 5 s, or 30 where its cache says so less; HAProxy asks every second
    assert 5 < int(drain) < spec["template"]["spec"]["terminationGracePeriodSeconds"] - 10
    assert "livenessProbe" not in container


def test_the_load_is_kept_away_from_the_servers() -> None:
    places = {name: pod["nodeSelector"] for name, pod in pods()}
    load = {"authscale/load": "true"}
    assert {name for name, place in places.items() if place == load} == {"load-master", "load-workers"}
    assert places["replica"] == {"authscale/replicas": "true"}
    assert places["balancer"] == places["valkey"] == {"authscale/backing": "true"}


def test_as_many_workers_join_as_the_master_waits_for() -> None:
    (master,) = named("Job", "load-master")["spec"]["template"]["spec"]["containers"]
    workers = named("Job", "load-workers")["spec"]
    (waits_for,) = [each["value"] for each in master["env"] if each["name"] == "WORKERS"]
    assert workers["parallelism"] == workers["completions"] == int(waits_for)
    (port,) = named("Service", "load-master")["spec"]["ports"]
    assert port["port"] == 5557, "where Locust's master listens unless it is told otherwise"
    assert "--master-host load-master" in " ".join(workers["template"]["spec"]["containers"][0]["command"])


def test_the_store_is_started_as_the_local_one() -> None:
    local = valkey("valkey", 6379, "/data").argv
    args = named("Deployment", "valkey")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["valkey"]["command"]
    for option in ("--save", "--appendonly", "--maxmemory-policy"):
        assert args[args.index(option) + 1] == local[local.index(option) + 1]


def test_haproxy_finds_the_replicas_by_their_whole_name() -> None:
    (balancer,) = named("Deployment", "balancer")["spec"]["template"]["spec"]["containers"]
    (where,) = [each["value"] for each in balancer["env"] if each["name"] == "REPLICAS_DNS"]
    service = named("Service", "replica")
    assert where == f"{service['metadata']['name']}.$(POD_NAMESPACE).svc.cluster.local"
    assert service["spec"]["clusterIP"] == "None", "one address would hide the replicas"


def test_every_setting_is_read_by_somebody() -> None:
    readers = (ROOT / "deploy/entrypoint.sh").read_text() + (BASE / "haproxy.cfg").read_text()
    readers += (BASE / "replica.yaml").read_text()
    readers += "".join(path.read_text() for path in (ROOT / "servers").glob("*.py"))
    readers += "".join(path.read_text() for path in (ROOT / "servers/schemes").glob("*.py"))
    for line in _lines(BASE / "settings.env"):
        name = line.split("=")[0]
        assert name in readers or name.removeprefix("TOKEN_").lower() in readers, name


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
