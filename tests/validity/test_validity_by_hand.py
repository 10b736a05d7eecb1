"""The scenarios by hand: `locust -f loadtests/scenarios/browse.py --host URL`, with Locust's web page."""

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from servers import users
from topology.local import Accounts, make_secret, running
from topology.ports import free_ports
from topology.reaper import Reaper
from topology.spec import Topology

pytestmark = pytest.mark.bench
SCENARIOS = Path(__file__).parents[2] / "loadtests" / "scenarios"


def _get(url: str, data: dict[str, str] | None = None) -> bytes:
    body = urllib.parse.urlencode(data).encode() if data else None
    with urllib.request.urlopen(url, body, timeout=5) as answer:
        return answer.read()


def _until(found, what: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if found():
                return
        except OSError:
            pass
        time.sleep(0.05)  # polls, up to the deadline
    pytest.fail(what)


@pytest.mark.parametrize("scenario", ["browse", "mixed", "churn"])
def test_a_scenario_runs_under_locusts_web_page(scenario: str, tmp_path: Path):
    (port,) = free_ports(1)
    with Reaper() as reaper:
        accounts = Accounts(tmp_path / "users.db", tmp_path / "secret")
        make_secret(accounts.secret_file)
        users.seed(accounts.users_db, 20, users.HashCost.parse("fast"))
        with running(Topology("session", "redis", 2), accounts, logs=tmp_path / "logs", reaper=reaper) as servers:
            argv = [sys.executable, "-m", "locust", "-f", str(SCENARIOS / f"{scenario}.py"), "--host", servers.url]
            argv += ["--web-host", "127.0.0.1", "--web-port", str(port)]
            page = f"http://127.0.0.1:{port}"
            with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as locust:
                try:
                    _until(lambda: b"Locust" in _get(page), "no web page")
                    _get(f"{page}/swarm", {"user_count": "5", "spawn_rate": "5", "host": servers.url, "rate": "80"})
                    _until(lambda: _requests(page, "/me") > 60, "no requests")
                    stats = {each["name"]: each for each in json.loads(_get(f"{page}/stats/requests"))["stats"]}
                    assert stats["/login"]["num_requests"] >= 5
                    assert stats["/me"]["num_failures"] == 0
                    assert stats["Aggregated"]["num_failures"] == 0
                finally:
                    locust.terminate()
    assert "Traceback" not in (tmp_path / "log").read_text()


def _requests(page: str, name: str) -> int:
    stats = json.loads(_get(f"{page}/stats/requests"))["stats"]
    return sum(each["num_requests"] for each in stats if each["name"] == name)
