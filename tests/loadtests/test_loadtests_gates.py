"""Samples in, reasons out: each gate closes on what it is for, and stays open on a good trial."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loadtests import gates, samples
from loadtests.recorder import COLUMNS, Recorder

MS = 1_000_000


def _add(recorder: Recorder, **changes: object) -> None:
    sample = {
        "due_ns": 0, "started_ns": 100_000, "first_byte_ns": 2 * MS, "ended_ns": 2 * MS + 100_000,
        "user_was_busy": False, "user": 0, "operation": "me", "phase": "measured", "status": 200, "outcome": "ok",
        "request_head_bytes": 100, "request_body_bytes": 0, "response_head_bytes": 200,
        "response_body_bytes": 50, "credential_bytes": 47, "connection_reused": True,
        "server_timing": b'auth;dur=.00001, store;dur=.000005, queue;dur=.000001, app;dur=.00002, replica;desc="r-0"',
    } | changes  # fmt: skip
    assert tuple(sample) == COLUMNS
    recorder.add(*sample.values())


@pytest.fixture
def sent(tmp_path: Path) -> gates.Sent:
    recorder = Recorder()
    _add(recorder, phase="login", operation="login", ended_ns=90 * MS)
    _add(recorder, phase="warm-up", ended_ns=50 * MS)
    never = {"started_ns": 0, "ended_ns": 0, "first_byte_ns": 0, "status": 0, "server_timing": b""}
    _add(recorder, phase="warm-up", outcome="dropped", **never)
    for _ in range(96):
        _add(recorder)
    _add(recorder, outcome="refused", status=401)
    _add(recorder, user_was_busy=True, due_ns=0, started_ns=5 * MS, ended_ns=8 * MS)
    _add(recorder, started_ns=3 * MS, ended_ns=4 * MS)
    _add(recorder, outcome="dropped", **never)
    recorder.write(tmp_path / "samples.parquet")
    return gates.read_sent(tmp_path / "samples.parquet")


def test_the_measured_phase_is_counted_and_nothing_else(sent: gates.Sent):
    assert (sent.scheduled, sent.sent, sent.dropped, sent.recorded, sent.failed_logins) == (100, 99, 1, 101, 0)
    assert sent.outcomes == {"ok": 98, "refused": 1, "dropped": 1}


def test_lateness_is_the_idle_users_alone_and_busy_ones_wait_since_due(sent: gates.Sent):
    assert sent.late == 1  # started 3 ms after it was due, idle; the busy one is the server's doing
    assert sent.lateness_p50_ms == pytest.approx(0.1)
    assert sent.response_p50_ms == pytest.approx(2.0)
    assert sent.response_p99_ms > 2.0  # 8 ms, from when it was due


def test_the_schema_is_the_contract(tmp_path: Path):
    recorder = Recorder()
    _add(recorder)
    recorder.write(tmp_path / "s.parquet")
    schema = pq.read_schema(tmp_path / "s.parquet")
    assert schema.equals(samples.SCHEMA)
    assert schema.metadata[samples.METADATA_KEY] == b"2"
    assert not list(tmp_path.glob("*.tmp"))


def test_what_the_replica_said_is_read_when_samples_are_written(tmp_path: Path):
    recorder = Recorder()
    _add(recorder)
    _add(recorder, server_timing=b"")
    recorder.write(tmp_path / "s.parquet")
    columns = pq.read_table(tmp_path / "s.parquet").to_pydict()
    assert [columns[name] for name in ("auth_ns", "store_ns", "queue_ns", "app_ns")] == [
        [10, -1],
        [5, -1],
        [1, -1],
        [20, -1],
    ]
    assert columns["replica"] == ["r-0", ""]
    assert columns["credential_bytes"] == [47, 47]


def test_a_sample_with_a_value_too_few_is_refused():
    with pytest.raises(ValueError, match="a sample has"):
        Recorder().add(1, 2)


def test_samples_of_several_row_groups_are_all_there(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("loadtests.recorder.ROWS_PER_GROUP", 2)
    recorder = Recorder()
    for number in range(5):
        _add(recorder, user=number, operation=f"o{number}")
    recorder.write(tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    assert table["user"].to_pylist() == [0, 1, 2, 3, 4]
    assert table["operation"].to_pylist() == [f"o{number}" for number in range(5)]


def test_no_samples_are_a_file_without_rows(tmp_path: Path):
    Recorder().write(tmp_path / "s.parquet")
    assert pq.read_table(tmp_path / "s.parquet").num_rows == 0


_GOOD = gates.Sent(
    scheduled=100, sent=100, dropped=0, late=0, recorded=150, failed_logins=0, outcomes={"ok": 100},
    lateness_p50_ms=0.1, lateness_p99_ms=0.3, response_p50_ms=1.0, response_p99_ms=5.0,
)  # fmt: skip
_CALM = {"generator_cpu_share": 0.2, "steal_share": 0.0, "refusals_expected": False, "balanced": 100, "locust": 150}


def test_a_good_trial_has_nothing_against_it():
    assert gates.reasons_against(_GOOD, **_CALM) == []


@pytest.mark.parametrize(
    ("sent", "around", "said"),
    [
        ({"lateness_p99_ms": 1.2}, {}, "generator late: p99 1.20 ms over 1.00 ms"),
        ({"scheduled": 104, "outcomes": {"ok": 100}}, {}, "rate missed: 3.8% of the requests"),
        ({"dropped": 1}, {}, "1 requests dropped"),
        ({}, {"generator_cpu_share": 0.71}, "generator used 71% of its core"),
        ({}, {"steal_share": 0.03}, "the machine lost 3.0% to steal"),
        (
            {"outcomes": {"ok": 90, "error": 7, "timeout": 2, "failed": 1}},
            {},
            "wrong answers: 7 error, 2 timeout, 1 failed",
        ),
        ({"outcomes": {"ok": 50, "refused": 50}}, {}, "wrong answers: 50 refused"),
        ({"outcomes": {"ok": 50, "outdated": 50}}, {}, "wrong answers: 50 outdated"),
        ({"failed_logins": 2}, {}, "2 sign-ins before the load failed"),
        ({}, {"balanced": 99}, "the balancer counted 99 requests and 100 were sent"),
        ({}, {"locust": 151}, "Locust counted 151 requests and 150 were recorded"),
        ({"sent": 0, "scheduled": 0}, {"balanced": 0}, "nothing was sent"),
    ],
)
def test_each_gate_closes(sent: dict, around: dict, said: str):
    reasons = gates.reasons_against(replace(_GOOD, **sent), **{**_CALM, **around})
    assert any(reason.startswith(said) for reason in reasons), reasons


def test_a_slower_server_makes_room_for_lateness():
    assert gates.reasons_against(replace(_GOOD, lateness_p99_ms=2.9, response_p99_ms=30.0), **_CALM) == []


def test_a_closed_loop_is_neither_late_nor_short_of_a_rate():
    closed = replace(_GOOD, lateness_p99_ms=9.0, scheduled=104)
    assert gates.reasons_against(closed, **_CALM, closed=True) == []
    assert len(gates.reasons_against(closed, **_CALM)) == 2


def test_a_warm_up_that_was_never_steady_is_a_reason_and_one_that_was_not_judged_is_none():
    for steady, reasons in (
        (True, []),
        (None, []),
        (False, ["never steady: response times still changed after 2.8 s of warm-up"]),
    ):
        warm_up = {"seconds": 2.8, "rounds": 7, "steady": steady, "truncated": 10}
        assert gates.reasons_against(_GOOD, **_CALM, warm_up=warm_up) == reasons


def test_refusals_are_a_finding_where_the_store_is_not_shared():
    refused = replace(_GOOD, outcomes={"ok": 25, "refused": 75})
    assert gates.reasons_against(refused, **{**_CALM, "refusals_expected": True}) == []


@pytest.mark.parametrize(
    ("asked_ms", "added_ms", "off"),
    [(5, 5.4, False), (5, 5.6, True), (5, 4.4, True), (0.5, 0.59, False), (0.5, 0.61, True), (0, None, False)],
)
def test_a_link_that_is_not_what_was_asked(asked_ms: float, added_ms: float | None, *, off: bool):
    reasons = gates.against_link(asked_ms, added_ms)
    assert bool(reasons) == off
    assert all("link off" in reason for reason in reasons)
