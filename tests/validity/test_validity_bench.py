"""What a small `make bench` must show: the figures that do not depend on the machine."""

import json
import math
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.bench


@pytest.fixture(scope="session")
def summary(small_run: Path) -> dict:
    return json.loads((small_run / "summary.json").read_text())


def _metric(summary: dict, cell: str, name: str) -> float:
    (found,) = [each for each in summary["cells"] if each["id"] == cell]
    return found["metrics"][name]["value"]


def test_every_cell_has_valid_blocks(summary: dict):
    assert len(summary["cells"]) >= 8
    assert {cell["id"]: cell["valid_blocks"] for cell in summary["cells"] if not cell["valid_blocks"]} == {}


def test_three_quarters_are_refused_on_memory_behind_four_replicas_and_nobody_elsewhere(summary: dict):
    for cell in summary["cells"]:
        refused = cell["metrics"]["refused_ratio"]["value"]
        if cell["store"] == "memory" and cell["replicas"] == 4:
            assert abs(refused - 0.75) <= 0.07, cell["id"]  # some 600 requests: four standard errors
        else:
            assert refused == 0, cell["id"]
        assert cell["metrics"]["error_ratio"]["value"] == 0, cell["id"]


def test_store_commands_per_request_are_exact(summary: dict):
    for cell in summary["cells"]:
        expected = 1 if cell["store"] == "redis" else 0
        assert cell["metrics"]["store_commands_per_request"]["value"] == expected, cell["id"]


def test_credentials_are_as_long_as_their_header_lines(summary: dict):
    for cell in summary["cells"]:
        got = cell["metrics"]["credential_bytes"]["value"]
        if cell["scheme"] == "control":
            assert got == 0
        elif cell["scheme"] == "session":
            assert got == len("Cookie: __Host-session=") + 22 + 2
        else:
            assert 300 < got < 500


def test_the_counts_of_all_parties_agree(small_run: Path):
    for path in small_run.glob("trials/*/*/trial.json"):
        trial = json.loads(path.read_text())
        samples = pq.read_table(path.with_name("samples.parquet")).to_pandas()
        measured = samples[samples["phase"] == "measured"]
        assert trial["sent"] == sum(trial["balancer"]["requests"].values()) == len(measured)
        assert measured["replica"].value_counts().to_dict() == {
            name: count for name, count in trial["balancer"]["requests"].items() if count
        }
        assert trial["generator"]["locust_requests"] == len(samples)


def test_percentiles_are_those_of_the_raw_samples(small_run: Path, summary: dict):
    for cell in summary["cells"]:
        by_block = [
            _p50_ms(pq.read_table(path).to_pylist())
            for path in sorted(small_run.glob(f"trials/*/{cell['id']}/samples.parquet"))
            if json.loads(path.with_name("trial.json").read_text())["valid"]
        ]
        mean = math.exp(sum(map(math.log, by_block)) / len(by_block))
        assert cell["metrics"]["response_p50_ms"]["value"] == pytest.approx(mean, rel=1e-9), cell["id"]


def _p50_ms(rows: list[dict]) -> float:
    waits = sorted(
        row["ended_ns"] - (row["due_ns"] if row["user_was_busy"] else row["started_ns"])
        for row in rows
        if row["phase"] == "measured" and row["status"]
    )
    middle = len(waits) // 2
    return (waits[middle] if len(waits) % 2 else (waits[middle - 1] + waits[middle]) / 2) / 1e6


def test_where_the_time_goes_is_told_of_every_cell_that_refuses_nobody(summary: dict):
    told = {each["cell"]: each for each in summary["sections"]["breakdown"]["cells"]}
    answering = [each for each in summary["cells"] if not each["metrics"]["refused_ratio"]["value"]]
    assert set(told) == {each["id"] for each in answering if each["measurable"] and not each["duplicate_of"]}
    for cell, each in told.items():
        parts = {name: part["value"] for name, part in each["parts_ms"].items()}
        assert each["negative_share"] <= 0.05, cell  # the balancer's clock and the replica's agree
        assert abs(each["difference"]) < 0.05, cell
        assert (parts["store"] > 0) == cell.startswith("session"), cell
        assert min(parts[name] for name in ("queue", "flask", "outside")) > 0, cell


def test_the_report_is_there_and_told(small_run: Path):
    said = (small_run.parent / "stdout.txt").read_text()
    assert "report.html" in said
    html = (small_run / "report.html").read_text()
    assert "75" in html
    for name in ("report.md", "summary.csv", "run.json"):
        assert (small_run / name).stat().st_size > 0


def test_nothing_secret_is_kept(small_run: Path):
    run = json.loads((small_run / "run.json").read_text())
    assert run["finished"]
    assert not [path for path in small_run.rglob("*") if path.name in {"secret", "users.db"}]


def _keys(value: object) -> set[str]:
    """Names of fields, but for those below a table whose names are data (components, commands, options, packages)."""
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    if not isinstance(value, dict):
        return set()
    named_by_data = ("components", "commands", "nodes", "options", "requests", "packages", "binaries", "outcomes")
    return set(value).union(*(_keys(below) for name, below in value.items() if name not in named_by_data))


@pytest.mark.parametrize("name", ["run.json", "trials/1/session-redis-4r-roundrobin/trial.json"])
def test_every_field_is_documented(name: str, small_run: Path):
    formats = (Path(__file__).parents[2] / "docs" / "file-formats.md").read_text()
    documented = set(re.findall(r'"(\w+)":', formats))
    assert _keys(json.loads((small_run / name).read_text())) <= documented


def test_positions_are_those_of_the_order(small_run: Path):
    order = json.loads((small_run / "run.json").read_text())["order"]
    for path in small_run.glob("trials/*/*/trial.json"):
        trial = json.loads(path.read_text())
        assert order[trial["block"] - 1][trial["position"] - 1] == trial["cell"]
