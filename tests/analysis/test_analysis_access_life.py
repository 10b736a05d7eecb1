"""What the life of an access token costs, of results whose truth is written here."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.estimates import NOT_APPLICABLE, CellResult, Estimate
from analysis.load import Cell, Run
from analysis.metrics import METRICS
from analysis.sections.access_life import section

RUN = Run(Path(), {"load": {}, "blocks": 3}, (), ())


def _result(scheme: str, commands: float, **options: str) -> CellResult:
    cell = Cell("-".join((scheme, *options.values())), scheme, "redis", 1, "roundrobin", None, {}, options)
    figures = dict.fromkeys((each.name for each in METRICS), NOT_APPLICABLE)
    figures["store_commands_per_request"] = Estimate(commands, commands * 0.9, commands * 1.1, 3)
    figures["refused_ratio"] = Estimate(0.0, 0.0, 0.0, 3)
    measured: Any = (SimpleNamespace(block=1, values={}, commands={}),) * 3
    return CellResult(cell, figures, measured, 0, {})


def test_lives_are_in_order_and_the_default_is_one_of_them():
    found = section(
        RUN,
        [_result("hybrid", 0.0), _result("hybrid", 0.2, access_ttl_s="1"), _result("hybrid", 0.05, access_ttl_s="4")],
        (),
    )
    assert found is not None
    assert [(each["life_s"], each["store_commands_per_request"]["value"]) for each in found.document["cells"]] == [
        (1, 0.2),
        (4, 0.05),
        (300, 0.0),
    ]
    assert found.document["cells"][0]["store_commands_per_request"]["low"] == pytest.approx(0.18)
    assert "1 s 0.200; 4 s 0.0500; 300 s 0" in found.findings[0].text


def test_sessions_stand_beside_them():
    cells = [
        _result("session", 1.0),
        _result("hybrid", 0.2, access_ttl_s="1"),
        _result("hybrid", 0.1, access_ttl_s="2"),
    ]
    found = section(RUN, cells, ())
    assert found is not None
    assert [row[1].text for row in found.tables[0].rows] == ["1", "2", "looked up each time"]


def test_one_life_shows_nothing():
    assert section(RUN, [_result("hybrid", 0.2, access_ttl_s="1")], ()) is None


def test_cells_that_differ_in_more_than_the_life_are_not_one_line():
    cells = [_result("hybrid", 0.2, access_ttl_s="1"), _result("hybrid", 0.1, access_ttl_s="2", verify_cache="on")]
    assert section(RUN, cells, ()) is None
