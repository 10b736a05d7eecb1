"""Two runs compared: known differences are found, intervals cover, and the exit status says what became of a demand."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import compare_runs
from analysis.across import Matched, control_of
from analysis.estimates import estimate_run
from analysis.load import load_run
from analysis.report.__main__ import main as report_main
from analysis.welch import difference
from loadtests.thresholds import ThresholdError, parse

SIMULATIONS = 1_000
DRIFT = 0.5
EFFECT = math.log(1.2)


def test_the_control_beside_a_cell_does_the_same_work(build_run: Callable[..., Path]) -> None:
    extra = tuple((scheme, "none", {"work_ms": "10"}) for scheme in ("control", "token"))
    results = estimate_run(load_run(build_run(blocks=2, replicas=(1,), extra=extra)))
    pairs = [Matched(each, each) for each in results if not each.cell.duplicate_of]
    controls = {pair.cell.id: control_of(pair, pairs) for pair in pairs if pair.cell.scheme == "token"}
    assert {token: found.cell.id for token, found in controls.items() if found} == {
        "token-none-1r-roundrobin": "control-none-1r-roundrobin",
        "token-none-1r-roundrobin.work_ms-10": "control-none-1r-roundrobin.work_ms-10",
    }


@pytest.mark.parametrize("blocks", [3, 5, 10])
@pytest.mark.parametrize("effect", [0.0, EFFECT])
def test_the_guarded_interval_covers_whatever_the_machine_drifts(blocks: int, effect: float):
    rng = np.random.default_rng(blocks)
    covered = 0
    for _ in range(SIMULATIONS):
        drift = rng.normal(0, DRIFT)
        control = rng.normal(0, 0.1, (2, blocks))
        cell = control + rng.normal(0.3, 0.05, (2, blocks))
        control[1] += drift
        cell[1] += drift + effect
        found = difference(list(cell[0] - control[0]), list(cell[1] - control[1]))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= effect <= found.high
        assert (found.low <= 0 <= found.high) == (found.p >= 0.05)
    # with no effect what is not covered is the type I error
    assert 0.93 <= covered / SIMULATIONS <= 0.97


@pytest.fixture
def two(build_run: Callable[..., Path], tmp_path: Path) -> Callable[..., list[str]]:
    def build(change: Callable[[dict[str, Any]], None] | None = None, *, slower: float = 1.0) -> list[str]:
        typical = {("control", "none"): 1.0, ("session", "redis"): 1.6, ("token", "none"): 1.25}
        series = tuple(typical)
        build_run("base", blocks=5, series=series, typical_ms=typical, seed=1)
        typical = {**typical, ("token", "none"): 1.25 * slower}
        head = build_run("head", blocks=5, series=series, typical_ms=typical, seed=2)
        document = json.loads((head / "run.json").read_text())
        document["seed"] = 1
        if change:
            change(document)
        (head / "run.json").write_text(json.dumps(document))
        return ["--a", "base", "--b", "head", "--results", str(tmp_path), "--out", str(tmp_path / "compare")]

    return build


def test_a_slower_scheme_is_found_and_no_other(two: Callable[..., list[str]], tmp_path: Path):
    assert compare_runs.main(two(slower=1.5)) == 0
    found = json.loads((tmp_path / "compare" / "compare.json").read_text())
    said = {each["cell"]: each["verdict"] for each in found["timed"] if each["metric"] == "response_p50_ms"}
    assert {cell for cell, verdict in said.items() if verdict == "slower"} == {
        "token-none-1r-roundrobin",
        "token-none-4r-roundrobin",
    }
    assert found["changes"] == []
    assert {each["verdict"] for each in found["counted"]} == {"equal"}


@pytest.mark.parametrize(
    ("demand", "status"),
    [
        ("B/A request_bytes == 1", 0),
        ("B/A response_p50_ms < 1.10", 3),
        ("session*: B/A response_p99_ms < 1.0001", 4),
        ("control-none-1r*: store_p50_us < 1", 5),
        ("control-none-1r*: store_p50_us < 1; token*: B/A response_p50_ms < 1.1", 3),
        ("tokn*: response_p50_ms < 1", 2),
        ("B/A auth_p50_us < 1", 2),
    ],
)
def test_the_exit_status_is_the_gravest_outcome(two: Callable[..., list[str]], demand: str, status: int):
    assert compare_runs.main([*two(slower=1.5), "--thresholds", demand]) == status


def test_processes_and_containers_are_compared_on_counts_alone(two: Callable[..., list[str]], tmp_path: Path):
    def in_containers(document: dict[str, Any]) -> None:
        images = {"balancer": {"name": "haproxy:3.2", "id": "sha256:1", "digest": None}}
        document["launcher"] = "compose"
        document["software"] |= {"engine": "24.0.7", "compose": "2.26.1", "images": images}

    assert compare_runs.main(two(in_containers, slower=1.5)) == 0
    found = json.loads((tmp_path / "compare" / "compare.json").read_text())
    told = {each["what"]: (each["rule"], each["a"], each["b"]) for each in found["changes"]}
    assert told["launcher"] == ("counts only", "local", "compose")
    assert told["image balancer"] == ("warn", "not recorded", "haproxy:3.2 sha256:1")
    assert told["container engine"] == ("warn", "not recorded", "24.0.7")
    assert found["timed"] == []
    assert {each["verdict"] for each in found["counted"]} == {"equal"}


def test_another_load_is_refused_unless_forced(two: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]):
    arguments = two(lambda document: document["load"].update(rate_rps=300))
    assert compare_runs.main(arguments) == 2
    assert "load rate_rps: 200 in A, 300 in B" in capsys.readouterr().err
    assert compare_runs.main([*arguments, "--force"]) == 0
    assert "FORCED" in capsys.readouterr().out


def test_of_another_processor_only_counts_are_compared(two: Callable[..., list[str]], tmp_path: Path):
    arguments = two(lambda document: document["machine"].update(cpu="another"))
    assert compare_runs.main([*arguments, "--thresholds", "B/A response_p50_ms < 9"]) == 5
    found = json.loads((tmp_path / "compare" / "compare.json").read_text())
    assert found["timed"] == []
    assert found["counted"]


@pytest.mark.parametrize(
    "text",
    ["response_p99 < 1", "response_p99_ms < x", "response_p99_ms == 1", "refused_ratio => 0", "B/A request_bytes < 1"],
)
def test_what_is_no_threshold_is_refused(text: str):
    with pytest.raises(ThresholdError):
        parse([text])


def test_the_commands_of_the_page_on_pipelines_work(
    two: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
    two()
    (tmp_path / "results").mkdir()
    for name in ("base", "head"):
        (tmp_path / name).rename(tmp_path / "results" / name)
    monkeypatch.chdir(tmp_path)
    lines = [line for line in page.split("<!-- test: executed -->")[1].split("## ")[0].splitlines() if line.strip()]
    run = {"analysis.report": report_main, "analysis.compare_runs": compare_runs.main}
    for line in lines:
        module, *arguments = shlex.split(line)[2:]
        assert run[module](arguments) == 0, line
    assert (tmp_path / "results" / "compare" / "compare.md").read_text().startswith("**Thresholds passed")
