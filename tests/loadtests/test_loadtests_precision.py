"""The adaptive stop: by the width of the intervals alone, over every comparison that the report makes."""

import json
import math
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests import run_experiment as run
from loadtests.experiment import Experiment
from loadtests.matrix import ExperimentError, load_experiment
from loadtests.precision import LEAST_BLOCKS, half_width, is_narrow, look, more_blocks
from loadtests.run_folder import SetupError, make_run_folder, write_json
from loadtests.student import mean_and_half_width

SMALL: dict[str, Any] = {"schemes": ["control", "session", "token"], "stores": ["memory"], "replicas": [1]}


def adaptive(precision: str | float = "5%", **changes: Any) -> Experiment:
    return load_experiment("quick", {**SMALL, "precision": precision, **changes})


def trial(cell: str, block: int, p50: float, **changes: Any) -> dict[str, Any]:
    made = {"cell": cell, "block": block, "valid": True, "outcomes": {"ok": 100}, "response_p50_ms": p50}
    return made | changes


def trials(experiment: Experiment, blocks: int, spread: Mapping[str, float], **changes: Any) -> list[dict[str, Any]]:
    chance = random.Random(1)
    return [
        trial(cell.id, block, math.exp(chance.gauss(0, spread.get(cell.scheme, 0.001))), **changes)
        for block in range(1, blocks + 1)
        for cell in experiment.cells
    ]


def test_every_comparison_of_the_report_is_waited_for():
    experiment = adaptive()
    calm = look(experiment.cells, trials(experiment, 10, {}), 0.05)
    assert (calm.compared, calm.unresolved, calm.reached) == (3, (), True)
    found = look(experiment.cells, trials(experiment, 10, {"token": 0.3}), 0.05)
    assert not found.reached
    assert {(each.cell[:5], each.baseline[:7]) for each in found.unresolved} == {
        ("token", "control"),
        ("token", "session"),
    }
    assert all(each.half_width > 0.05 and each.more_blocks > 20 for each in found.unresolved)


def test_the_cells_and_pairs_are_those_that_the_report_compares():
    experiment = adaptive()
    calm = trials(experiment, 10, {})
    refused = [
        each | {"outcomes": {"ok": 90, "refused": 10}} if each["cell"].startswith("session") else each for each in calm
    ]
    assert look(experiment.cells, refused, 0.05).compared == 1
    spoilt = [each | {"valid": each["block"] > 6 or not each["cell"].startswith("session")} for each in calm]
    assert look(experiment.cells, spoilt, 0.05).compared == 1  # 4 of 10 valid: not measurable
    nothing = look(experiment.cells, [each | {"valid": False} for each in calm], 0.05)
    assert nothing.over
    assert not nothing.reached


def test_an_invalid_trial_takes_its_pair_with_it():
    experiment = adaptive()
    made = [each | {"valid": each["block"] != 2} for each in trials(experiment, LEAST_BLOCKS, {})]
    found = look(experiment.cells, made, 0.05)
    assert [each.blocks for each in found.unresolved] == [LEAST_BLOCKS - 1] * 3
    assert [each.more_blocks for each in found.unresolved] == [1] * 3


def test_the_width_is_the_wider_half_of_the_reports_interval_and_nothing_else():
    logs = [0.31, 0.36, 0.28, 0.33]
    mean, half = mean_and_half_width(logs)
    assert half_width(logs) == pytest.approx((math.exp(mean + half) - math.exp(mean)) / math.exp(mean))
    assert half_width([each - 5 for each in logs]) == pytest.approx(half_width(logs))
    assert half_width([0.3]) is None


def test_an_interval_must_be_narrow_three_times_and_from_eight_blocks_on():
    steady = [0.001 * (-1) ** n for n in range(LEAST_BLOCKS)]
    assert is_narrow(steady, 0.05)
    assert not is_narrow(steady[:-1], 0.05)
    wide = [*steady, 0.5]
    assert not is_narrow(wide, 0.05)
    late = [0.5, *[0.0005 * (-1) ** n for n in range(60)]]
    first = next(n for n in range(LEAST_BLOCKS, 60) if (half_width(late[:n]) or 1) <= 0.05)
    assert [is_narrow(late[:n], 0.05) for n in range(first, first + 3)] == [False, False, True]


def test_how_many_more_blocks_it_would_take():
    logs = [0.1 * (-1) ** n for n in range(10)]
    deviation = math.sqrt(0.1**2 * 10 / 9)
    assert more_blocks(logs, 0.05) == math.ceil((2.262 * deviation / math.log(1.05)) ** 2) - 10
    assert more_blocks([0.1], 0.05) is None
    assert more_blocks([0.0] * 10, 0.05) == 1


@pytest.mark.parametrize("text", ["5%", "5 %", "0.05", 0.05])
def test_a_precision_is_a_share(text: str | float):
    experiment = adaptive(text)
    assert experiment.precision.asked == pytest.approx(0.05)
    assert (experiment.blocks, experiment.most_blocks) == (8, 30)
    assert adaptive(text, blocks=12).blocks == 12
    assert adaptive(text, blocks=40).most_blocks == 40
    assert adaptive(text, max_blocks=9).most_blocks == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": "5"}, r"precision must lie between 0 and 1, such as 5% or 0.05, not 5"),
        ({"precision": "0%"}, "precision must lie between"),
        ({"precision": "100%"}, "precision must lie between"),
        ({"precision": "nan"}, "precision must lie between"),
        ({"precision": "narrow"}, "precision 'narrow' is not a share"),
        ({"precision": "5%", "max_blocks": 5}, "max_blocks must lie between 8 and"),
        ({"precision": "5%", "max_blocks": 9, "blocks": 10}, "max_blocks must lie between 10 and"),
        ({"max_blocks": 10}, "max_blocks does nothing without a precision"),
        ({"precision": "5%", "schemes": ["token"]}, "no two of these cells are compared"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any], said: str):
    with pytest.raises(ExperimentError, match=said):
        load_experiment("quick", {**SMALL, **changes})


def test_a_block_has_its_order_however_many_follow():
    experiment = adaptive()
    assert experiment.order(30)[:8] == experiment.order()
    assert experiment.order_by_id(12) == load_experiment("quick", {**SMALL, "blocks": 12}).as_dict()["order"]


def test_room_is_asked_for_the_most_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=60_000_000))
    make_run_folder(tmp_path, adaptive())
    with pytest.raises(SetupError, match="nearly full"):
        make_run_folder(tmp_path, adaptive(max_blocks=1000))


class Watcher:
    """What the run shows, and nothing else."""

    def __init__(self) -> None:
        self.looks: list[int] = []

    def looked(self, found: Any) -> None:
        self.looks.append(len(found.unresolved))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Any], list[int]]]:
    """Runs all blocks with trials of a given spread in place of real ones; returns run.json and the blocks run."""

    def all_blocks(experiment: Experiment, spread: float, stop_at: int = 10**6) -> tuple[dict[str, Any], list[int]]:
        ran: list[int] = []

        def block(_around: Any, number: int, cells: Any, _shown: Any) -> list[dict[str, Any]]:
            if number == stop_at:
                raise KeyboardInterrupt
            written = json.loads((tmp_path / "run.json").read_text())
            assert written["order"][number - 1] == [cell.id for cell in cells]  # known before it is run
            assert len(written["order"]) == written["blocks"] >= number
            ran.append(number)
            return [
                trial(cell.id, number, math.exp(random.Random(f"{number}{cell.id}").gauss(0, spread))) for cell in cells
            ]

        monkeypatch.setattr(run, "_run_block", block)
        path = tmp_path / "run.json"
        begun = path.exists()
        record = json.loads(path.read_text()) if begun else experiment.as_dict()
        write_json(path, record)
        around = SimpleNamespace(experiment=experiment, run_folder=tmp_path)
        return record | run._run_blocks(around, Watcher(), record), ran  # type: ignore[arg-type]

    return all_blocks


def test_a_calm_run_ends_after_the_least_blocks(runs: Any):
    record, ran = runs(adaptive(), 0.001)
    assert ran == list(range(1, 9))
    assert (record["blocks"], len(record["order"])) == (8, 8)
    assert record["precision"] == {
        "asked": 0.05, "metric": "response_p50_ms", "least_blocks": 8, "max_blocks": 30, "blocks": 8, "reached": True,
        "unresolved": [],
    }  # fmt: skip


def test_a_noisy_run_ends_at_the_most_and_names_what_is_open(runs: Any):
    record, ran = runs(adaptive(max_blocks=11), 0.3)
    assert (len(ran), record["blocks"], len(record["order"])) == (11, 11, 11)
    assert not record["precision"]["reached"]
    assert len(record["precision"]["unresolved"]) == 3
    assert all(each["blocks"] == 11 and each["more_blocks"] > 0 for each in record["precision"]["unresolved"])


def test_a_run_between_ends_when_it_is_narrow_and_where_it_would_have_if_it_was_killed(runs: Any, tmp_path: Path):
    unharmed, ran = runs(adaptive(), 0.05)
    assert 8 < len(ran) < 30
    assert unharmed["precision"]["reached"]
    (tmp_path / "run.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        runs(adaptive(), 0.05, stop_at=11)
    left = json.loads((tmp_path / "run.json").read_text())
    assert (left["blocks"], len(left["order"])) == (11, 11)
    assert not left["precision"]["reached"]
    again = Experiment.from_dict(left)
    assert again == adaptive()
    assert runs(again, 0.05)[0] == unharmed


def test_a_run_without_a_precision_is_as_it_was(runs: Any):
    experiment = load_experiment("quick", {**SMALL, "blocks": 4})
    record, ran = runs(experiment, 0.3)
    assert (ran, record["blocks"], record["precision"]) == ([1, 2, 3, 4], 4, None)
    older = {key: value for key, value in record.items() if key != "precision"}
    assert Experiment.from_dict(older) == experiment


def test_an_order_that_was_meddled_with_is_refused(runs: Any):
    record, _ = runs(adaptive(max_blocks=9), 0.3)
    record["order"][8].reverse()
    with pytest.raises(ValueError, match="order"):
        Experiment.from_dict(record)
