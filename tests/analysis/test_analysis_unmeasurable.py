"""A cell with too few valid blocks: why and what to do stand where its figures would."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from rich.console import Console

from analysis.load import load_run
from analysis.report import terminal
from analysis.report.__main__ import main
from analysis.report.model import build
from analysis.summary import Analysis, analyse, summary_document
from analysis.unmeasurable import advice
from loadtests.measurable import fewest_valid

REDIS = "session-redis-4r-roundrobin"


def spoil(folder: Path, blocks: Iterable[int], cell: str = "*", reason: str = "") -> None:
    for block in blocks:
        for path in folder.glob(f"trials/{block}/{cell}/trial.json"):
            trial = json.loads(path.read_text())
            told = reason or f"generator late: p99 {block}.94 ms over 1.00 ms"
            path.write_text(json.dumps(trial | {"valid": False, "invalid_reasons": [told]}))


def caution(analysis: Analysis) -> str:
    return next((each.text for each in analysis.findings if each.id == "unmeasurable"), "")


def shown(analysis: Analysis) -> str:
    out = io.StringIO()
    terminal.show(Console(file=out, width=80), analysis, build(analysis))
    assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) <= 80
    assert "…" not in out.getvalue()
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize(
    ("planned", "needed"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (10, 5), (30, 15)]
)
def test_half_of_what_ran_is_needed(planned: int, needed: int) -> None:
    assert fewest_valid(planned) == needed


@pytest.mark.parametrize(("spoilt", "measurable"), [(2, True), (3, False), (5, False)])
def test_too_few_valid_blocks_give_no_figure(build_run: Callable[..., Path], spoilt: int, *, measurable: bool) -> None:
    folder = build_run(blocks=5)
    spoil(folder, range(1, spoilt + 1), REDIS)
    analysis = analyse(load_run(folder))
    cell = next(each for each in summary_document(analysis)["cells"] if each["id"] == REDIS)
    assert (cell["measurable"], cell["valid_blocks"], cell["invalid_blocks"]) == (measurable, 5 - spoilt, spoilt)
    assert all((each["value"] is not None) == measurable for name, each in cell["metrics"].items())
    assert any(REDIS in (each.cell, each.baseline) for each in analysis.comparisons) == measurable
    assert bool(caution(analysis)) != measurable
    assert ("cannot be measured" in analysis.answer[0]) != measurable


def test_every_report_says_so_and_what_to_do(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=5)
    spoil(folder, (1, 2, 3), REDIS)
    assert main(["--run", str(folder), "--quiet"]) == 0
    analysis = analyse(load_run(folder))
    assert "session · redis ×4 (2 of 5 blocks valid)" in caution(analysis)  # noqa: RUF001 - a times sign
    assert "generator late: p99 1.94 ms over 1.00 ms (of 3 such)" in caution(analysis)
    assert "lower RATE" in caution(analysis)
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "Cannot be measured here" in text
        assert text.count("cannot be measured here") >= 6  # in every table of metrics
        assert "lower RATE" in text
    text = shown(analysis)
    assert "A row of dashes cannot be measured here" in text
    assert "2/5" in text
    assert caution(analysis) in text


def test_nothing_measured_is_one_sentence(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=3)
    spoil(folder, (1, 2), reason="the machine lost 7.1% to steal")
    assert main(["--run", str(folder), "--quiet"]) == 0
    analysis = analyse(load_run(folder))
    only = (
        "This cannot be measured here: 9 of 27 trials valid, too few for any cell, most often because: the machine "
        "lost 7.1% to steal; run again when the machine is quieter, or on one that is not shared."
    )
    assert analysis.answer == (only,)
    assert not analysis.comparisons
    assert not analysis.noise
    assert analysis.answer[0] in shown(analysis)
    assert json.loads((folder / "summary.json").read_text())["answer"] == list(analysis.answer)
    assert "<figure id" not in (folder / "report.html").read_text(encoding="utf-8")
    assert "## What the figures show" not in (folder / "report.md").read_text(encoding="utf-8")


def test_a_duplicate_that_cannot_be_measured_is_no_noise_of_the_run(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=5)
    spoil(folder, (1, 2, 3), "control-none-1r-roundrobin.aa")
    analysis = analyse(load_run(folder))
    assert "so the run's own noise is unknown" in analysis.answer[1]
    assert "cannot be measured" not in analysis.answer[0]
    assert analysis.comparisons


def test_another_store_stands_for_the_reference_that_cannot_be_measured(build_run: Callable[..., Path]) -> None:
    series = (("session", "redis"), ("session", "memcached"), ("session", "postgres"))
    folder = build_run(blocks=3, replicas=(1,), series=series)
    met = {(each.cell, each.baseline) for each in analyse(load_run(folder)).comparisons if each.question == "store"}
    assert {baseline for _, baseline in met} == {"session-redis-1r-roundrobin"}
    spoil(folder, (1, 2), "session-redis-1r-roundrobin")
    met = {(each.cell, each.baseline) for each in analyse(load_run(folder)).comparisons if each.question == "store"}
    assert met == {("session-postgres-1r-roundrobin", "session-memcached-1r-roundrobin")}


@pytest.mark.parametrize("blocks", [1, 2])
def test_one_or_two_blocks_that_were_asked_for_are_figures(build_run: Callable[..., Path], blocks: int) -> None:
    analysis = analyse(load_run(build_run(blocks=blocks)))
    assert all(each.measurable for each in analysis.results)
    assert not caution(analysis)


def test_blocks_that_an_interrupted_run_did_not_come_to_are_not_held_against_it(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=2)
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(document | {"blocks": 10, "finished": None}))
    assert all(each.measurable for each in analyse(load_run(folder)).results)


def test_the_most_frequent_kind_of_reason_decides_what_to_do() -> None:
    late = {f"generator late: p99 {n}.00 ms over 1.00 ms": 1 for n in range(3)}
    assert "lower RATE" in advice({**late, "wrong answers: 3 error": 2})
    assert "logs" in advice({**late, "wrong answers: 3 error": 4})
    assert "USERS" in advice({"12 requests dropped": 1})
