"""Where the time goes: parts that are known, parts that must add up, and parts that must be doubted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.breakdown import breakdowns
from analysis.estimates import estimate_run
from analysis.load import load_run
from analysis.parts import PARTS, parts_of
from analysis.section import sections_of
from loadtests import samples as contract

MS = 1_000_000


def _columns(count: int, **changes: int) -> dict[str, np.ndarray]:
    told = {"first_byte_ns": 9 * MS, "auth_ns": 3 * MS, "store_ns": 2 * MS, "queue_ns": MS, "app_ns": 5 * MS} | changes
    return {name: np.full(count, value) for name, value in told.items()}


def test_each_part_is_what_it_was_made_of():
    # sent at 1 ms, first octet at 9, last at 9.5, its user busy for 4 ms before: 12.5 ms in all
    made = parts_of(_columns(4), np.full(4, MS), np.full(4, 8.5), np.full(4, 12.5))
    assert made is not None
    known = {"user": 4.0, "queue": 1, "flask": 2, "auth": 1, "store": 2, "reading": 0.5, "outside": 2}
    assert made.mean_ms == pytest.approx(known)
    assert sum(made.mean_ms.values()) == pytest.approx(12.5)
    assert made.negative_share == 0
    assert made.outside_grid_ms[0] == made.outside_grid_ms[-1] == 2.0


def test_a_remainder_below_nothing_is_counted_and_untold_requests_are_left_out():
    columns = _columns(4)
    columns["queue_ns"] = np.array([MS, MS, MS, 7 * MS])
    columns["app_ns"] = np.array([5 * MS, 5 * MS, -1, 5 * MS])
    made = parts_of(columns, np.full(4, MS), np.full(4, 8.5), np.full(4, 8.5))
    assert made is not None
    assert made.negative_share == pytest.approx(1 / 3)
    assert parts_of(_columns(4, app_ns=-1), np.full(4, MS), np.full(4, 8.5), np.full(4, 8.5)) is None


def test_the_parts_of_a_run_add_up_to_its_mean(quick_run: Path):
    run = load_run(quick_run)
    made = breakdowns(estimate_run(run))
    assert {each.result.cell.id for each in made} == {
        f"{name}-{replicas}r-roundrobin"
        for name in ("control-none", "session-redis", "token-none")
        for replicas in (1, 4)
    } | {"session-memory-1r-roundrobin"}  # at 4 replicas it refuses
    for each in made:
        assert each.sum_ms == pytest.approx(each.response_mean_ms, rel=0.05)
        assert set(each.parts) == set(PARTS)
    redis = next(each for each in made if each.result.cell.id == "session-redis-1r-roundrobin")
    assert redis.parts["store"].value == pytest.approx(0.112, rel=0.1)


def test_the_section_says_which_parts_not_to_believe(build_run: Callable[..., Path]):
    folder = build_run(blocks=2, requests=100, replicas=(1,))
    for path in folder.glob("trials/*/token-*/samples.parquet"):
        table = pq.read_table(path)
        longer = pa.array(np.asarray(table["queue_ns"]) + 50 * MS)
        pq.write_table(table.set_column(table.schema.get_field_index("queue_ns"), "queue_ns", longer), path)
    run = load_run(folder)
    made = next(each for each in sections_of(run, estimate_run(run), ()) if each.id == "breakdown")
    doubted = next(each for each in made.findings if each.kind == "caution")
    assert "token" in doubted.text
    assert "control" not in doubted.text
    verdicts = {each["cell"]: each["adds_up"] for each in made.document["cells"]}
    assert verdicts == {
        "control-none-1r-roundrobin": True,
        "session-memory-1r-roundrobin": True,
        "session-redis-1r-roundrobin": True,
        "token-none-1r-roundrobin": False,
    }
    json.dumps(made.document, allow_nan=False)


def test_samples_of_format_1_are_still_read_and_have_no_parts(build_run: Callable[..., Path]):
    folder = build_run(blocks=2, requests=60, replicas=(1,))
    for path in folder.glob("trials/*/*/samples.parquet"):
        old = pq.read_table(path).drop_columns(["app_ns"]).replace_schema_metadata({contract.METADATA_KEY: b"1"})
        pq.write_table(old, path)
    run = load_run(folder)
    results = estimate_run(run)
    assert all(each.value("response_mean_ms") for each in results)
    assert all(each.parts is None for result in results for each in result.measurements)
    assert not [each for each in sections_of(run, results, ()) if each.id == "breakdown"]
