"""The ratio of marginal costs, on made-up blocks whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis import bench_auth
from analysis.fieller import ratio_of_means
from analysis.load import Run, Trial

TRUTH = {"control": 200.0, "session": 275.0, "flask-session": 500.0, "token": 260.0, "flask-jwt-extended": 350.0}


def a_run(blocks: int = 5, noise: float = 0.0, faults: dict[tuple[str, int], tuple[str, ...]] | None = None) -> Run:
    rng = np.random.default_rng(3)
    cells = [{"id": scheme, "scheme": scheme, "options": {}, "duplicate_of": None} for scheme in TRUTH]
    cells.append({"id": "control.aa", "scheme": "control", "options": {}, "duplicate_of": "control"})
    cells.append({"id": "token.rs256", "scheme": "token", "options": {"algorithm": "RS256"}, "duplicate_of": None})
    trials = []
    for block in range(1, blocks + 1):
        drift = 1 + 0.3 * block  # all of a block are slower together
        for cell in cells:
            cpu_us = (TRUTH[cell["scheme"]] + (10_000 if cell["options"] else 0)) * drift
            reasons = (faults or {}).get((cell["id"], block), ())
            trials.append(
                Trial(
                    cell=cell["id"],
                    block=block,
                    valid=not reasons,
                    invalid_reasons=reasons,
                    earlier_attempt=(),
                    duration_s=6,
                    sent=3000,
                    dropped=0,
                    generator={},
                    machine={},
                    components={
                        "replica-0": {"kind": "replica", "cpu_ns": 3e6 * cpu_us * (1 + noise * rng.normal())},
                        "haproxy": {"kind": "balancer", "cpu_ns": 9e9},
                    },
                    store=None,
                    folder=Path(),
                )
            )
    document = {"id": "made-up", "seed": 1, "software": {}, "machine": {}, "cells": cells}
    return Run(folder=Path(), document=document, cells=(), trials=tuple(trials))


def test_without_noise_the_ratios_are_the_truth_whatever_the_drift():
    written = bench_auth.document(a_run(), None)
    assert written["session_vs_flask_session"] == pytest.approx({"value": 0.25, "low": 0.25, "high": 0.25, "blocks": 5})
    assert written["token_vs_flask_jwt_extended"]["value"] == pytest.approx(0.4)
    assert written["marginal_cpu_us_per_request"]["session"]["by_block"]["1"] == pytest.approx(75 * 1.3)


def test_with_noise_the_interval_holds_the_truth_and_is_no_wider_than_it_need_be():
    told = bench_auth.document(a_run(noise=0.01), None)["session_vs_flask_session"]
    assert told["low"] < 0.25 < told["high"]
    assert told["high"] - told["low"] < 0.1


@pytest.mark.parametrize("blocks", [3, 5])
def test_fiellers_interval_covers_as_often_as_it_says(blocks: int):
    rng = np.random.default_rng(5)
    runs, inside = 4000, 0
    for _ in range(runs):
        shared = rng.normal(0, 10, blocks)  # control's noise is in both differences
        estimate = ratio_of_means(75 + rng.normal(0, 6, blocks) - shared, 300 + rng.normal(0, 20, blocks) - shared)
        inside += estimate.low is not None and estimate.high is not None and estimate.low <= 0.25 <= estimate.high
    assert 0.94 < inside / runs < 0.96


def test_what_cannot_be_told_from_nothing_has_no_interval():
    assert ratio_of_means([1.0, 2.0, 3.0], [1.0, -1.0, 0.5]).low is None
    assert ratio_of_means([1.0], [2.0]) == ratio_of_means([2.0], [4.0])
    assert ratio_of_means([1.0], [2.0]).high is None
    assert ratio_of_means([], []).value is None
    with pytest.raises(ValueError, match="do not pair"):
        ratio_of_means([1.0], [])


def test_a_late_generator_spares_cpu_and_wrong_answers_do_not():
    late = {("session", 1): ("generator late: p99 5.13 ms over 1.38 ms",)}
    assert len(bench_auth.costs(a_run(faults=late)).marginal["session"]) == 5
    wrong = {("session", 1): ("generator late: p99 5 ms over 1 ms", "wrong answers: 3 error")}
    found = bench_auth.costs(a_run(faults=wrong))
    assert sorted(found.marginal["session"]) == [2, 3, 4, 5]
    assert found.left_out["session"] == 1
    assert bench_auth.ratio(found.marginal["session"], found.marginal["flask-session"]).blocks == 4


def test_a_block_without_control_compares_nothing():
    faults = {(cell, 2): ("the machine lost 5.0% to steal",) for cell in ("control", "control.aa")}
    found = bench_auth.costs(a_run(faults=faults))
    assert sorted(found.marginal["token"]) == [1, 3, 4, 5]


def test_the_table_fits_a_terminal_and_the_document_is_json():
    parts = {"whole_us": 180.0, "parts_us": {"framework": 95.0, "crypto": 2.0}, "remainder_us": 83.0}
    written = bench_auth.document(a_run(noise=0.01), {"schemes": {"flask-jwt-extended": parts}})
    text = bench_auth.table(json.loads(json.dumps(written)))
    assert max(map(len, text.splitlines())) <= 80
    assert "session / flask-session" in text
    assert "46%" in text


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert bench_auth.main(["--run", str(tmp_path / "none"), "--out", str(tmp_path / "out.json")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("authscale: no such run")
    assert said.count("\n") == 1
