import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from analysis.fault_results import fault_results
from analysis.load import load_run
from analysis.report.__main__ import main
from analysis.summary import analyse
from analysis.synthetic import Plan, run_document, trial_document
from loadtests import samples as contract

USERS, ON_IT = 30, 10
STEADY_S, LENGTH_S, DETECTED_S = 2.0, 8.0, 1.5
BEGAN_NS, FAULT_NS = 5_000_000_000, 7_000_000_000
STICKY = "session-memory-3r-sticky~kill-replica"
CENTRAL = "session-redis-3r-roundrobin~restart-store"
LOSSES = [
    {"user": 3, "at_ns": FAULT_NS, "acknowledged": 3, "shown": 1, "came_back_ns": None},
    {"user": 4, "at_ns": FAULT_NS, "acknowledged": 2, "shown": 1, "came_back_ns": FAULT_NS + 5},
]


def _requests(block: int):
    """Each user asks every 250 ms, a third of them at replica-0, which dies; the balancer notices 1.5 s later."""
    rows = [_row(user, BEGAN_NS - 10**9, "login", "login", "ok", 0) for user in range(USERS)]
    out = dict.fromkeys(range(USERS), "in")
    for number in range(round(LENGTH_S * 4)):
        for user in range(USERS):
            since_s = number / 4 - STEADY_S + user / 1000 + block / 500
            struck = user < ON_IT and since_s >= 0
            if struck and since_s < DETECTED_S:
                what = ("me", "error")
            elif struck and out[user] == "in":
                what, out[user] = ("profile", "refused"), "out"
            elif struck and out[user] == "out":
                what, out[user] = ("login", "ok"), "again"
            else:
                what = ("profile" if number % 4 == 0 else "me", "ok")
            replica = 1 if struck else user // ON_IT
            rows.append(_row(user, FAULT_NS + round(since_s * 1e9), *what[:1], "measured", what[1], replica))
    return rows


def _row(user: int, at_ns: int, operation: str, phase: str, outcome: str, replica: int):
    return {
        "due_ns": at_ns, "started_ns": at_ns, "first_byte_ns": at_ns + 900_000, "ended_ns": at_ns + 1_000_000 + user,
        "user_was_busy": False, "user": user, "operation": operation, "phase": phase,
        "status": {"ok": 200, "refused": 401}.get(outcome, 503), "outcome": outcome, "replica": f"replica-{replica}",
        "connection_reused": True,
    }  # fmt: skip


def _write_samples(path: Path, rows) -> None:
    arrays = []
    for field in contract.SCHEMA:
        values = [row.get(field.name, 0) for row in rows]
        plain = pa.array(values, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        arrays.append(plain.dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else plain)
    contract.write(path, [pa.Table.from_arrays(arrays, schema=contract.SCHEMA)])


def _study(steps, *, healthy: bool) -> dict:
    done = [
        {"verb": verb, "component": name, "began_ns": FAULT_NS + at_ns, "done_ns": FAULT_NS + at_ns + 10**7}
        for verb, name, at_ns in steps
    ]
    ended = {"healthy": healthy, "why": "" if healthy else "valkey did not come back", "restored": [], "replicas": []}
    return {"steps": done, "failure": "", "before": {"ok": 1}, "losses": LOSSES, "ended": ended, "told": "told"}


@pytest.fixture(scope="module")
def fault_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "faults"
    plan = Plan(blocks=3)
    cells = [
        {"id": cell, "scheme": "session", "store": store, "replicas": 3, "policy": policy, "threads": 4, "options": {},
         "shared": store == "redis", "lags": False, "duplicate_of": None, "case": cell.partition("~")[2]}
        for cell, store, policy in ((STICKY, "memory", "sticky"), (CENTRAL, "redis", "roundrobin"))
    ]  # fmt: skip
    study = {"kind": "faults", "faults": "all", "fault_at": "2", "fault_for": "2"}
    document = {**run_document(plan), "cells": cells, "baseline": None, "study": study, "study_loads": False}
    document["order"] = [[STICKY, CENTRAL]] * 3
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(document))
    rng = np.random.default_rng(1)
    steps = {STICKY: [("kill", "replica-0", 0)], CENTRAL: [("kill", "valkey", 0), ("restart", "valkey", 2 * 10**9)]}
    for block in (1, 2, 3):
        for cell in cells:
            trial = folder / "trials" / str(block) / cell["id"]
            trial.mkdir(parents=True)
            _write_samples(trial / "samples.parquet", _requests(block))
            facts = trial_document(cell, plan, block, 1, rng) | {
                "duration_s": LENGTH_S,
                "measured_from_ns": BEGAN_NS,
                "study": _study(steps[cell["id"]], healthy=(cell["id"], block) != (CENTRAL, 2)),
            }
            facts["generator"]["users"] = USERS
            if (cell["id"], block) == (CENTRAL, 3):
                facts |= {"valid": False, "invalid_reasons": ["the machine lost 9.0% to steal"]}
            (trial / "trial.json").write_text(json.dumps(facts))
    return folder


def _result(folder: Path, cell: str):
    return next(each for each in fault_results(load_run(folder)) if each.cell.id == cell)


def test_what_was_planted_is_found(fault_run: Path):
    figures = _result(fault_run, STICKY).figures
    failed = ON_IT * round(DETECTED_S * 4)
    exact = {
        "failed": failed, "errors": failed, "timeouts": 0, "unanswered": 0, "dropped": 0, "refused": ON_IT,
        "users_signed_out_share": ON_IT / USERS, "most_sign_outs": 1, "users_signed_out_before_share": 0,
        "users_on_struck_share": ON_IT / USERS, "lost_writes": 2, "stale_reads": 1, "unavailable_s": 0,
    }  # fmt: skip
    assert {name: figures[name].value for name in exact} == exact
    assert figures["failed"].low == figures["failed"].high == failed
    # out of the band until the last of them has signed in again
    assert DETECTED_S <= figures["recovered_s"].value <= DETECTED_S + 0.75


def test_nobody_is_on_a_store(fault_run: Path):
    assert _result(fault_run, CENTRAL).figures["users_on_struck_share"].value is None


def test_an_invalid_block_does_not_count_and_is_told(fault_run: Path):
    result = _result(fault_run, CENTRAL)
    assert [trial.block for trial in result.trials] == [1, 2]
    assert result.invalid == {"the machine lost 9.0% to steal": 1}


def test_the_section_says_what_was_lost_and_what_was_not_put_right(fault_run: Path):
    analysis = analyse(load_run(fault_run))
    (section,) = analysis.sections
    told = {finding.id: finding for finding in analysis.findings}
    assert "33 % of the users were signed out, once" in told["fault-kill-replica"].text
    assert "2 per trial" in told["lost-writes"].text
    unhealthy = told[f"unhealthy-{CENTRAL}"]
    assert unhealthy.kind == "caution"
    assert "valkey did not come back" in unhealthy.text
    assert [len(table.rows) for table in section.tables] == [1, 1]
    assert [len(figure.panels) for figure in section.figures] == [1, 1]


def test_the_document_offers_figures_with_intervals_for_claims(fault_run: Path):
    (section,) = analyse(load_run(fault_run)).sections
    (sticky,) = section.document["claims"]["sticky"]
    third = {"value": ON_IT / USERS, "low": ON_IT / USERS, "high": ON_IT / USERS}
    assert sticky["users_signed_out_share"] == sticky["users_on_struck_share"] == third
    (down,) = section.document["claims"]["central-store-down"]
    assert down["cell"] == CENTRAL
    assert down["failed"]["value"] == ON_IT * round(DETECTED_S * 4)


def test_every_report_can_be_written(fault_run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--run", str(fault_run)]) == 0
    assert "A replica dies" in capsys.readouterr().out
    assert json.loads((fault_run / "summary.json").read_text())["sections"]["faults"]["cells"]
    assert "seconds since the fault" in (fault_run / "report.html").read_text()
