"""The report's part on balancing: refusals against (N-1)/N, and how evenly requests were shared out."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from analysis.imbalance import Balance, balances, expected_refusals
from analysis.load import Cell, Run, load_run
from analysis.report.model import build
from analysis.sections.balancing import agrees
from analysis.summary import Analysis, analyse, summary_document

SERIES = (("session", "memory"), ("session", "redis"))


@pytest.fixture
def analysis(build_run: Callable[..., Path]) -> Analysis:
    run = build_run(blocks=3, series=SERIES, policies=("roundrobin", "sticky"), replicas=(1, 4))
    return analyse(load_run(run))


def _balance(analysis: Analysis, cell: str) -> Balance:
    (found,) = [each for each in balances(analysis.run, analysis.results) if each.cell.id == cell]
    return found


def test_refusals_are_held_against_what_the_topology_explains(analysis: Analysis) -> None:
    (part,) = [each for each in analysis.sections if each.id == "balancing"]
    told = {each["cell"]: each for each in part.document["cells"]}
    assert set(told) == {
        f"session-{store}-4r-{policy}" for store in ("memory", "redis") for policy in ("roundrobin", "sticky")
    }
    lost, kept = told["session-memory-4r-roundrobin"], told["session-memory-4r-sticky"]
    assert (lost["expected_refused_ratio"], lost["as_expected"], lost["refused_at_most"]) == (0.75, True, None)
    assert lost["refused_ratio"]["value"] == pytest.approx(0.75, abs=0.01)
    assert (kept["expected_refused_ratio"], kept["as_expected"]) == (0.0, True)
    assert kept["refused_at_most"] == pytest.approx(3 / kept["requests"])
    assert kept["requests"] == 3 * 500
    assert told["session-redis-4r-roundrobin"]["expected_refused_ratio"] == 0.0
    assert summary_document(analysis)["sections"]["balancing"] == part.document
    assert "sticky-kept" in {each.id for each in analysis.findings}


def test_every_panel_says_what_it_shows(analysis: Analysis) -> None:
    (part,) = [each for each in build(analysis).sections if each.id == "balancing"]
    refused, even = part.figures
    assert [each.heading for each in refused.panels] == ["session · memory (refused share)"]
    assert "roundrobin 75 % at 4 replicas; sticky 0 % at 4 replicas" in refused.panels[0].alt
    assert len(even.panels) == 2
    assert {name for _, name in refused.key} == {"roundrobin", "sticky"}


def test_a_run_of_one_policy_has_no_such_part(quick_run: Path) -> None:
    assert "balancing" not in {each.id for each in analyse(load_run(quick_run)).sections}


def test_a_sticky_user_who_was_refused_is_told(analysis: Analysis) -> None:
    kept = _balance(analysis, "session-memory-4r-sticky")
    refused = dataclasses.replace(kept.refused, value=0.001)
    lost = dataclasses.replace(kept, result=_with(kept, refused_ratio=refused))
    assert agrees(kept)
    assert agrees(lost) is False, "one in a thousand is one too many"
    assert lost.at_most is None


@pytest.mark.parametrize(
    ("value", "half", "fits"), [(0.75, 0.0, True), (0.769, 0.0, True), (0.79, 0.001, False), (0.79, 0.05, True)]
)
def test_as_expected_is_within_two_percent_or_the_interval(
    value: float,
    half: float,
    fits: bool,  # noqa: FBT001
    analysis: Analysis,
) -> None:
    one = _balance(analysis, "session-memory-4r-roundrobin")
    refused = dataclasses.replace(one.refused, value=value, low=value - half, high=value + half)
    assert agrees(dataclasses.replace(one, result=_with(one, refused_ratio=refused))) is fits


def _with(each: Balance, **estimates: object):  # type: ignore[no-untyped-def]
    return dataclasses.replace(each.result, estimates={**each.result.estimates, **estimates})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shared": False}, 0.75),
        ({"shared": False, "policy": "leastconn"}, 0.75),
        ({"shared": False, "policy": "sticky"}, 0.0),
        ({"shared": True}, 0.0),
        ({"shared": True, "lags": True}, None),
    ],
)
def test_what_is_expected(changes: dict[str, object], expected: float | None) -> None:
    cell = Cell("id", "session", "memory", 4, "roundrobin", None, {})
    assert expected_refusals(dataclasses.replace(cell, **changes)) == expected  # type: ignore[arg-type]


def _shared_out(build_run: Callable[..., Path], counts: Sequence[Sequence[int]]) -> Run:
    """A run whose balancer counted that in each block of the sticky cell."""
    folder = build_run(blocks=len(counts), series=SERIES[:1], policies=("roundrobin", "sticky"), replicas=(4,))
    for block, each in enumerate(counts, start=1):
        path = folder / "trials" / str(block) / "session-memory-4r-sticky" / "trial.json"
        trial = json.loads(path.read_text())
        trial["balancer"]["requests"] = {f"replica-{number}": count for number, count in enumerate(each)}
        path.write_text(json.dumps(trial))
    return load_run(folder)


def test_imbalance_is_by_block_from_the_balancers_counts(build_run: Callable[..., Path]) -> None:
    run = _shared_out(build_run, [(100, 150, 125, 125), (125, 125, 125, 125), (500, 0, 0, 0)])
    found = _balance(analyse(run), "session-memory-4r-sticky")
    variations = [math.sqrt(2 * 25**2 / 4) / 125, 0.0, math.sqrt(3)]
    assert found.variation.value == pytest.approx(sum(variations) / 3)
    assert found.most.value == pytest.approx((1.2 + 1 + 4) / 3)
    assert (found.most.low, found.variation.low) == (1.0, 0.0), "three blocks so far apart say little, but not less"
    assert found.by_chance == pytest.approx(math.sqrt(3 / 500))
