"""Two applications of other frameworks, started as docs/your-own-app.md says, measured through `[target]`."""

import collections
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loadtests.matrix import load_experiment
from loadtests.targets.spec import TargetError
from loadtests.targets.verifying import verify_target
from topology.components.component import Component
from topology.ports import free_ports
from topology.probes import http_ok
from topology.process import RunningComponent
from topology.reaper import Reaper

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SMALL = ["--warmup", "0.2", "--warmup-max", "0.2", "--duration", "0.6", "--rate", "80", "--users", "6"]


@dataclass(frozen=True)
class Applications:
    """The applications, running, and the experiment's file that finds them."""

    running: dict[str, RunningComponent]
    experiment: Path

    def bench(self, results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "loadtests.run", "--experiment", str(self.experiment), "--results", str(results)]
        return subprocess.run([*argv, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def _components(ports: list[int]) -> list[Component]:
    flask, fastapi = ports
    environment = {"PATH": os.environ["PATH"]}
    of_flask = (
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--working-dir", str(EXAMPLES)),
        *("--port", str(flask), "--blocking-threads", "4", "--log-level", "warning", "flask_login_app:app"),
    )
    of_fastapi = (
        *(sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(fastapi), "--no-access-log"),
        "fastapi_app:app",
    )
    return [
        Component(
            "flask-login", "replica", of_flask, flask, lambda: http_ok("127.0.0.1", flask, "/login"), environment
        ),
        Component(
            "fastapi", "replica", of_fastapi, fastapi, lambda: http_ok("127.0.0.1", fastapi, "/docs"), environment
        ),
    ]


@contextlib.contextmanager
def _applications(folder: Path, *, but: str = "") -> Iterator[Applications]:
    """All that the example has `but` one, which its file then does not have either."""
    ports = free_ports(2)
    text = (EXAMPLES / "own.toml").read_text().replace("accounts.csv", str(EXAMPLES / "accounts.csv"))
    for port, own in zip(ports, (8001, 8002), strict=True):
        text = text.replace(f'127.0.0.1:{own}"', f'127.0.0.1:{port}"\npid_file = "{port}.pid"')
    head, *systems = text.partition("[load]")[0].split("[[target.systems]]")
    kept = [each for each in systems if f'name = "{but}"' not in each]
    (folder / "own.toml").write_text("[[target.systems]]".join([head, *kept]) + text[text.index("[load]") :])
    with Reaper() as reaper, contextlib.ExitStack() as stack:
        running = {}
        for each in (each for each in _components(ports) if each.name != but):
            running[each.name] = RunningComponent(each, folder / f"{each.name}.log", reaper, frozenset())
            stack.callback(running[each.name].stop)
            (folder / f"{each.port}.pid").write_text(f"{running[each.name].pid}\n")
        for started in running.values():
            started.wait_ready()
        yield Applications(running, folder / "own.toml")


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applications]:
    with _applications(tmp_path_factory.mktemp("applications")) as made:
        yield made


@pytest.fixture(scope="module")
def own_run(applications: Applications, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks of both applications, and the report."""
    results = tmp_path_factory.mktemp("results")
    done = applications.bench(results, *SMALL, "--blocks", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    argv = [sys.executable, "-m", "analysis.report", "--run", str(results / "latest")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (results / "terminal.txt").write_text(done.stdout)
    return (results / "latest").resolve()


def _trials(run: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(run.glob("trials/*/*/trial.json"))]


def test_every_request_is_accounted_for_and_answered_to_the_user_who_sent_it(own_run: Path):
    assert len(_trials(own_run)) == 6
    asked: collections.Counter[str] = collections.Counter()
    for path in own_run.glob("trials/*/*/trial.json"):
        trial, table = json.loads(path.read_text()), pq.read_table(path.with_name("samples.parquet")).to_pandas()
        table = table[table["outcome"] != "dropped"]  # of a generator that was kept from its core
        measured = table[table["phase"] == "measured"]
        assert set(measured["outcome"]) == {"ok"}, trial["invalid_reasons"]
        assert trial["sent"] == trial["outcomes"]["ok"] == len(measured) > 10
        assert trial["generator"]["locust_requests"] == len(table)
        asked.update(measured["operation"])
        signed_in = table[table["phase"] == "login"]["operation"].astype(str).value_counts().to_dict()
        steps = ["login"] if trial["cell"] == "fastapi" else ["login-page", "login", "csrf-page"]
        assert signed_in == dict.fromkeys(steps, 6)
    assert set(asked) == {"account", "note"}
    assert 0.75 < asked["account"] / asked.total() < 0.98  # nine in ten, by their weights


def test_credentials_are_as_long_as_their_header_lines(own_run: Path):
    for path in own_run.glob("trials/*/*/samples.parquet"):
        table = pq.read_table(path).to_pandas()
        lengths = set(table[table["phase"] == "measured"]["credential_bytes"])
        line = len("Authorization: Bearer \r\n") if path.parent.name == "fastapi" else len("Cookie: session=\r\n")
        assert all(line + 100 < each < line + 400 for each in lengths), lengths


def test_the_check_was_seen_to_be_on_before_each_trial(own_run: Path):
    for trial in _trials(own_run):
        page = "GET /users/me" if trial["cell"] == "fastapi" else "GET /account"
        assert trial["verified"]["refused_without_credential"] == [page]
        assert trial["verified"]["refused_with_forged_credential"] == [page]
        assert len(trial["verified"]["answered"]) == len(trial["verified"]["shows_the_user"]) == 2


def test_cpu_is_that_of_the_processes_that_the_file_names(own_run: Path):
    for trial in _trials(own_run):
        (application,) = trial["components"].values()
        assert 0 < application["cpu_ns"] / trial["sent"] < 50e6
        assert trial["store"] is None
        assert trial["balancer"]["requests"] == {}


def test_the_summary_has_the_comparison_with_its_interval(own_run: Path):
    summary = json.loads((own_run / "summary.json").read_text())
    assert summary["run"]["launcher"] == "target"
    assert summary["claims"] == []
    part = summary["sections"]["target"]
    assert [each["name"] for each in part["systems"]] == ["flask-login", "fastapi"]
    assert part["systems"][0]["requests"][0]["shows_the_user"] is True
    metrics = {each["id"]: each["metrics"] for each in summary["cells"]}
    assert metrics["fastapi"]["store_commands_per_request"]["value"] is None
    valid = {each["id"]: each["valid_blocks"] for each in summary["cells"]}
    if min(valid.values()) == 2:  # what noise made invalid is not compared
        (found,) = [each for each in part["comparisons"] if each["metric"] == "response_p50_ms"]
        assert (found["cell"], found["baseline"]) == ("fastapi", "flask-login")
        assert 0 < found["ratio"]["low"] < found["ratio"]["value"] < found["ratio"]["high"]
        assert "response_p50_ms" in summary["noise_floor"]


def test_the_report_speaks_of_systems_and_not_of_what_is_not_known(own_run: Path):
    page = (own_run / "report.html").read_text()
    assert "Two applications with sign-ins of their own" in page
    for known in ("flask-login", "fastapi", "POST /token", "GET /account"):
        assert known in page
    text = (own_run / "report.md").read_text()
    for unknown in ("0 replicas", "store commands", "fresh servers", "Common claims", "×0"):  # noqa: RUF001
        assert unknown not in text, unknown
    assert "fastapi" in (own_run.parent / "terminal.txt").read_text()


def test_no_password_is_kept(own_run: Path):
    kept = [path for path in own_run.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert len(kept) > 10
    for path in kept:
        assert b"example-1" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ('path = "/users/me"', "GET /docs without a credential: expected a refusal, got 200"),
        ('json = { username = "{username}" }', "GET /users/me by who has signed in: expected the answer that counts"),
        ('token = "access_token"', "the sign-in failed: POST /token: 200 without a text at acess_token"),
    ],
)
def test_a_service_that_does_something_else_is_not_timed(
    applications: Applications, tmp_path: Path, changed: str, complaint: str
):
    instead = {'path = "/users/me"': 'path = "/docs"', 'token = "access_token"': 'token = "acess_token"'}
    text = applications.experiment.read_text()
    assert changed in text
    (tmp_path / "own.toml").write_text(text.replace(changed, instead.get(changed, 'json = { user = "{username}" }')))
    target = load_experiment(str(tmp_path / "own.toml"), {}).targets[1]
    with pytest.raises(TargetError, match=f"^fastapi at http.*{complaint}"):
        verify_target(replace(target, pid_file=""))


def test_a_service_that_dies_makes_its_trials_invalid_and_what_was_measured_is_kept(tmp_path: Path):
    results = tmp_path / "results"
    with _applications(tmp_path, but="flask-login") as applications:
        argv = [sys.executable, "-m", "loadtests.run", "--experiment", str(applications.experiment)]
        process = subprocess.Popen(
            [*argv, *SMALL, "--blocks", "2", "--results", str(results)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            if line.startswith("[2/4]"):
                break
        applications.running["fastapi"].kill()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    trials = {(each["block"], each["cell"]): each for each in _trials(results / "latest")}
    assert len(trials) == 4
    for cell in ("fastapi", "fastapi.aa"):
        alive, dead = trials[1, cell], trials[2, cell]
        assert alive["outcomes"]["ok"] == alive["sent"] > 10
        assert not dead["valid"]
        assert dead["invalid_reasons"][0].startswith("fastapi: there is no process")
        assert dead["earlier_attempt"], "it was tried again"
