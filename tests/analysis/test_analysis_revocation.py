"""The part on revocation, of log-outs whose truth is written here."""

from pathlib import Path
from typing import Any

import pytest

from analysis.load import Cell, Run, Trial
from analysis.section import Section
from analysis.sections.revocation import section


def _cell(scheme: str, store: str, **options: str) -> Cell:
    id_ = "-".join((scheme, store, "3r", *options.values()))
    return Cell(id_, scheme, store, 3, "roundrobin", None, {}, options)


def _log_outs(rows: list[tuple[float | None, float | None, float | None]]) -> dict[str, Any]:
    """Each: revoked, accepted, remaining, all ms."""
    columns = dict(zip(("revoked_ms", "accepted_ms", "remaining_ms"), map(list, zip(*rows, strict=True)), strict=True))
    count = len(rows)
    return columns | {
        "sending_ms": [2.0] * count,
        "known_by": [3] * count,
        "observed_ms": [0.0] * count,
        "asked": [6] * count,
    }


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
UNABLE = {"status": 404, "reason": "this scheme keeps no sessions on the server"}


def _trial(cell: Cell, block: int, ways: dict[str, Any]) -> Trial:
    study = {"replicas": 3, "observe_s": 4.0, "ways": ways, "told": ""}
    return Trial(cell.id, block, **VALID, study=study)


def _made(*trials: tuple[Cell, dict[str, Any]], blocks: int = 1) -> Section:
    cells = tuple(cell for cell, _ in trials)
    every = tuple(_trial(cell, block, ways) for block in range(1, blocks + 1) for cell, ways in trials)
    document = {"load": {}, "blocks": blocks, "study": {"kind": "revocation", "observe_s": "4"}}
    found = section(Run(Path(), document, cells, every), (), ())
    assert found is not None
    return found


def _entry(found: Section, cell: Cell, way: str = "logout") -> dict[str, Any]:
    (entry,) = [each for each in found.document["cells"] if (each["cell"], each["way"]) == (cell.id, way)]
    return entry


SESSION = _cell("session", "redis")
TOKEN = _cell("token", "none", token_ttl_s="2")
COOKIE = _cell("signed_cookie", "none")


def test_a_run_of_another_study_has_no_such_part():
    assert section(Run(Path(), {"load": {}, "blocks": 1}, (), ()), (), ()) is None


def test_a_log_out_that_holds_at_once_is_said_with_its_bound():
    rows = [(float(each % 9 + 1), None, None) for each in range(200)]
    found = _made((SESSION, {"logout": _log_outs(rows), "logout-all": _log_outs(rows[:10])}), blocks=2)
    entry = _entry(found, SESSION)
    assert entry["log_outs"] == 400
    assert entry["still_accepted"]["count"] == 0
    assert entry["p99_ms"]["value"] == 9
    assert entry["p99_ms"]["high"] == 9
    assert entry["from_sending_p99_ms"]["value"] == 11
    assert entry["p50_ms"]["low"] == entry["p50_ms"]["high"] == 5  # two blocks alike
    assert "no replica accepted" in found.answer[0]


def test_a_token_that_lives_to_its_end_is_told_from_one_that_something_else_ended():
    to_its_end = [(1000.0 + each, 990.0 + each, 995.0 + each) for each in range(20)]
    denied = _cell("token", "redis", revocation="denylist")
    found = _made(
        (TOKEN, {"logout": _log_outs(to_its_end), "logout-all": UNABLE}),
        (denied, {"logout": _log_outs([(2.0, None, 900_000.0)] * 20), "logout-all": UNABLE}),
    )
    entry = _entry(found, TOKEN)
    assert entry["ends_with_its_life"]
    assert entry["over_remaining_ms"] == {"value": 5.0, "low": 5.0, "high": 5.0, "min": 5.0, "max": 5.0}
    assert entry["still_accepted"]["value"] == 1
    assert not _entry(found, denied)["ends_with_its_life"]
    assert _entry(found, denied)["over_remaining_ms"] is None
    assert any("until the end that it names" in each for each in found.answer)


def test_a_short_token_that_a_denylist_ended_did_not_end_with_its_life():
    denied = _cell("token", "redis", token_ttl_s="1", revocation="denylist")
    found = _made(
        (denied, {"logout": _log_outs([(2.0, None, 150.0 + each) for each in range(20)]), "logout-all": UNABLE})
    )
    assert not _entry(found, denied)["ends_with_its_life"]
    assert "at-once" in found.findings[0].id


def test_what_outlived_the_watch_is_reported_as_at_least():
    rows = [(None, 3990.0, None)] * 10
    found = _made((COOKIE, {"logout": _log_outs(rows), "logout-all": UNABLE}))
    entry = _entry(found, COOKIE)
    assert (entry["p50_ms"]["value"], entry["p50_ms"]["at_least"], entry["p50_ms"]["high"]) == (3990.0, True, None)
    assert entry["unended"] == 10
    texts = [each.text for row in found.tables[0].rows for each in row]
    assert "at least 3,990" in texts


def test_what_a_scheme_cannot_do_stands_in_the_table_and_the_findings():
    found = _made((TOKEN, {"logout": _log_outs([(2.0, None, None)]), "logout-all": UNABLE}))
    assert _entry(found, TOKEN, "logout-all") == {
        "cell": TOKEN.id,
        "scheme": "token",
        "store": "none",
        "options": {"token_ttl_s": "2"},
        "way": "logout-all",
        "supported": False,
        **UNABLE,
    }
    assert "404" in found.tables[1].rows[0][1].small
    assert any("cannot be signed out everywhere" in each.text for each in found.findings)


@pytest.mark.parametrize("way", ["logout", "logout-all"])
def test_the_figure_has_a_panel_for_each_way_with_what_it_shows_in_words(way: str):
    rows = _log_outs([(2.0, None, None), (3.0, None, None), (4.0, None, None)])
    (figure,) = _made((SESSION, {"logout": rows, "logout-all": rows})).figures
    (panel,) = [each for each in figure.panels if each.heading.startswith(f"POST /{way} ")]
    assert "session · redis 3" in panel.alt
    assert panel.svg.startswith("<svg")
