"""The part on memory, of readings whose truth is written here."""

from pathlib import Path
from typing import Any

import pytest

from analysis.load import Cell, Run, Trial
from analysis.section import Section
from analysis.sections.memory import section

VALID: dict[str, Any] = {
    "valid": True,
    "invalid_reasons": (),
    "earlier_attempt": (),
    "duration_s": 0.0,
    "sent": 0,
    "dropped": 0,
    "generator": {},
    "machine": {},
    "components": {},
    "store": None,
    "folder": Path(),
}
NOTHING = ("store_bytes", "store_pss_bytes", "store_keys", "disk_bytes", "disk_blocks_bytes", "files")


def _cell(scheme: str, store: str, case: str) -> Cell:
    return Cell(f"{scheme}-{store}-1r~{case}", scheme, store, 1, "roundrobin", None, {}, case=case)


REDIS, TOKEN = _cell("session", "redis", "growth"), _cell("token", "none", "growth")
EXPIRY = _cell("session", "redis", "expiry")


def _point(sessions: int, auth_us: float = 50.0, **readings: float | None) -> dict[str, Any]:
    point = dict.fromkeys(NOTHING) | {"sessions": sessions, "replica_rss_bytes": 80_000_000} | readings
    times = [auth_us + place / 10 for place in range(100)]
    return point | ({"auth_us": times, "refused": 0, "making_s": 1.0} if sessions else {})


def _growth(each: float, times: dict[int, float] | None = None) -> dict[str, Any]:
    points = [
        _point(count, (times or {}).get(count, 50.0), store_bytes=1_000_000 + each * count)
        for count in (0, 1000, 10_000, 100_000)
    ]
    return {"way": "by hand", "points": points, "told": ""}


def _made(*trials: tuple[Cell, dict[str, Any]]) -> Section:
    cells = tuple(dict.fromkeys(cell.id for cell, _ in trials))
    by_id = {cell.id: cell for cell, _ in trials}
    seen: dict[str, int] = {}
    made = []
    for cell, study in trials:
        seen[cell.id] = seen.get(cell.id, 0) + 1
        made.append(Trial(cell.id, seen[cell.id], **VALID, study=study))
    document = {"load": {}, "blocks": 1, "study": {"kind": "sessions"}}
    found = section(Run(Path(), document, tuple(by_id[each] for each in cells), tuple(made)), (), ())
    assert found is not None
    return found


def test_a_run_of_another_study_has_no_such_part():
    assert section(Run(Path(), {"load": {}, "blocks": 1}, (), ()), (), ()) is None


def test_the_slope_is_what_each_user_occupies_and_the_rest_stands_apart():
    (cell,) = _made((REDIS, _growth(420))).document["cells"]
    told = cell["per_session"]["store_bytes"]
    assert told["value"] == pytest.approx(420)
    assert told["low"] == pytest.approx(420)
    assert told["intercept"]["value"] == pytest.approx(1_000_000)
    assert told["interval_over"] == "points"
    assert cell["per_session"]["replica_rss_bytes"]["value"] == 0


def test_of_several_blocks_the_interval_is_theirs():
    (cell,) = _made(*((REDIS, _growth(each)) for each in (400, 420, 440))).document["cells"]
    told = cell["per_session"]["store_bytes"]
    assert told["interval_over"] == "blocks"
    assert told["low"] < 400
    assert told["high"] > 440


def test_what_a_cell_has_not_is_not_in_its_lines():
    study = {"way": "by hand", "points": [_point(0), _point(1000), _point(10_000)], "told": ""}
    (cell,) = _made((TOKEN, study)).document["cells"]
    assert set(cell["per_session"]) == {"replica_rss_bytes"}


def test_the_time_of_a_look_up_stands_by_number_of_users_and_one_block_gives_no_verdict():
    found = _made((REDIS, _growth(420, {100_000: 90.0})))
    (cell,) = found.document["cells"]
    assert cell["auth_p50_us"]["1000"]["value"] == pytest.approx(54.9)
    assert cell["auth_p50_us"]["100000"]["low"] > 90
    assert cell["auth_ratio"] == {"value": pytest.approx(94.9 / 54.9), "low": None, "high": None}
    assert any("one block, so no verdict" in each.text for each in found.findings)


def test_over_blocks_a_look_up_is_slower_or_not():
    slower = _made(*((REDIS, _growth(420, {100_000: us})) for us in (89.0, 90.0, 91.0)))
    assert any("takes longer among many" in each.text for each in slower.findings)
    alike = _made(*((REDIS, _growth(420, {100_000: us})) for us in (49.0, 50.0, 51.0)))
    assert any("No such growth" in each.text for each in alike.findings)


def test_sessions_that_expire_without_a_request_are_told_by_the_stores_own_count():
    study = {
        "idle_s": 2,
        "made": 200,
        "way": "by hand",
        "keys_before": 0,
        "keys": [[0.0, 400], [2.1, 220], [2.2, 200]],
        "asked_after_s": 8.0,
        "asked": 200,
        "refused": 200,
        "told": "",
    }
    found = _made((EXPIRY, study))
    (told,) = found.document["expiry"]
    assert told["records"] == {"before": 0, "signed_in": 400, "without_a_request": 200}
    assert told["last_gone_s"] == 2.2
    assert (told["refused"]["value"], round(told["refused"]["low"], 3)) == (1, 0.982)
    assert any("all were refused" in each.text for each in found.findings)
    alive = _made((EXPIRY, study | {"refused": 199}))
    assert any("not all expired" in each.text for each in alive.findings)
