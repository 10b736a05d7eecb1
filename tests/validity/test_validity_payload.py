"""`make payload`, reduced, run as a user runs it: the figures that hold whatever the machine does."""

import json
import subprocess
import sys

import pytest

from tests.validity.conftest import ROOT

TOKEN = "token-none-1r-roundrobin"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = tmp_path_factory.mktemp("payload")
    argv = ["--experiment", "payload", "--schemes", "session,token", "--algorithm", "HS256", "--claims-bytes", "0"]
    for module, arguments in (
        ("loadtests.run", [*argv, "--results", str(results)]),
        ("analysis.report", ["--run", str(results / "latest")]),
    ):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return (results / "latest").resolve()


@pytest.fixture(scope="module")
def cells(run):
    document = json.loads((run / "summary.json").read_text())
    return {each["cell"]: each for each in document["sections"]["payload"]["cells"]}


def added(cell, measure):
    return cell["added_bytes"][measure]["value"]


def test_a_credential_costs_its_whole_line_over_http_1(cells):
    assert len(cells) == 3
    for cell in cells.values():
        assert added(cell, "http1") == cell["line_bytes"]["value"]
        assert cell["added_bytes"]["http1"]["low"] == cell["added_bytes"]["http1"]["high"]


def test_a_session_cookie_is_47_octets_and_one_when_repeated(cells):
    session = cells["session-memory-1r-roundrobin.tls-on"]
    assert session["line_bytes"] == {"value": 47, "low": 47, "high": 47}
    assert added(session, "repeated") == added(session, "repeated_never_indexed") == 1


def test_the_carrier_decides_what_a_client_that_never_indexes_authorization_sends(cells):
    bearer, cookie = cells[f"{TOKEN}.tls-on"], cells[f"{TOKEN}.carrier-cookie.tls-on"]
    assert added(bearer, "repeated") == added(cookie, "repeated") == 1
    assert added(cookie, "repeated_never_indexed") == 1
    assert added(bearer, "repeated_never_indexed") >= added(bearer, "first") > 200


def test_the_report_says_it(run):
    page = (run / "report.html").read_text()
    for wanted in ("What a credential costs on the wire", "payload-bytes", "the carrier decides, not the length"):
        assert wanted in page


def test_without_tls_there_is_nothing_to_count(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.run", "--experiment", "payload", "--tls", "off", "--results", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the study payload has nothing to do" in done.stderr
