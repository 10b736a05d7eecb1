"""Intervals, tests and verdicts on simulated data of known truth: 1,000 experiments each, of 3, 5 and 10 blocks."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from analysis import coverage
from analysis.coverage import BLOCKS, Rate, main, simulate, stopping_block, table

THREE_ERRORS = 3 * math.sqrt(0.05 * 0.95 / 1000)  # of a rate that is 5 %, in 1,000 experiments: 2.1 %


@functools.cache
def found() -> tuple[Rate, ...]:
    """Of some fifteen seconds."""
    return simulate(1)


def shares(name: str) -> list[float]:
    """By number of blocks."""
    return [each.share for each in found() if each.name == name]


@pytest.mark.parametrize(
    "name",
    [
        "interval of a cell's p50 covers",
        "paired interval of a ratio of p50 covers",
        "paired interval of a ratio of p99 covers",
    ],
)
def test_an_interval_covers_what_it_claims(name: str) -> None:
    assert len(shares(name)) == len(BLOCKS)
    assert all(0.93 <= share <= 0.97 for share in shares(name))


@pytest.mark.parametrize(
    "name",
    [
        "type I error of one comparison",
        "any wrong verdict among 8 comparisons (Holm)",
        "equivalent though at the margin, this noise",
        "equivalent though at the margin, little noise",
    ],
)
def test_wrong_verdicts_are_one_in_twenty_at_most(name: str) -> None:
    assert len(shares(name)) == len(BLOCKS)
    assert all(share <= 0.05 + THREE_ERRORS for share in shares(name))


def test_the_error_rates_are_not_kept_by_never_saying_anything() -> None:
    assert shares("type I error of one comparison") == pytest.approx([0.05] * 3, abs=THREE_ERRORS)
    assert shares("power: 50 % slower is found")[1] > 0.95
    assert shares("power: 20 % slower is found")[2] > 0.9
    assert shares("power: equality is found, little noise")[2] > 0.9


def test_the_ways_that_were_not_taken_cover_too_little_or_take_too_much() -> None:
    assert shares("  percentile bootstrap instead") == sorted(shares("  percentile bootstrap instead"))
    assert max(shares("  percentile bootstrap instead")) < 0.93
    assert max(shares("  requests as independent instead")) < 0.7
    assert min(shares("  without a correction instead")) > 0.2
    assert min(shares("  unpaired instead")) > 0.97
    assert shares("  and is wider than the paired one")[-1] > 0.9


def test_the_interval_covers_after_an_adaptive_stop() -> None:
    ours = [each for each in found() if each.name.startswith("interval after the stop")]
    naive = [each for each in found() if each.name.startswith("  at the first narrow one")]
    assert len(ours) == len(naive) == len(coverage.NEEDED)
    assert all(each.experiments >= 1000 and 0.93 <= each.share <= 0.97 for each in ours)
    assert min(each.share for each in naive) < 0.92  # what the rule is there against


def test_the_stop_sees_no_difference_but_only_the_spread() -> None:
    spread = np.random.default_rng(3).normal(0, 0.05, 30)
    stops = {stopping_block(list(spread + shift), 0.05) for shift in (-2.0, 0.0, 0.01, 1.0)}
    assert len(stops) == 1
    assert 8 <= stops.pop() < 30


def test_a_missed_bound_is_told_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bad = [Rate("type I error of one comparison", blocks, 0.09, 1000, high=0.05) for blocks in BLOCKS]
    monkeypatch.setattr(coverage, "simulate", lambda seed: tuple(bad))  # noqa: ARG005 - as it is called
    assert main(["--out", str(tmp_path / "new" / "coverage.json")]) == 1
    assert "9.0   9.0   9.0   at most 5 FAILED" in capsys.readouterr().out
    written = json.loads((tmp_path / "new" / "coverage.json").read_text())
    assert [each["kept"] for each in written["rates"]] == [False] * 3


def test_the_table_fits_a_terminal() -> None:
    assert max(map(len, table(found()).splitlines())) <= 80


def test_the_methodology_quotes_what_the_command_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "methodology.md").read_text()
    quoted = page.split("    % of simulated experiments")[1].split("\n\nOf 1,000")[0].replace("\n    ", "\n")
    printed = table(found()).split("% of simulated experiments")[1].split("\n\nOf 1,000")[0]
    assert quoted.strip() == printed.strip()
