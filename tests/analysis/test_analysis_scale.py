"""The bench of analysis tells the truth, and what makes it fast changes no figure."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import bench_analysis
from analysis.bench_analysis import BenchError, Size, spend
from analysis.load import load_run
from analysis.summary import analyse, summary_document
from loadtests import samples as contract


def renamed(table: pa.Table, order: Callable[[list[str]], list[str]]) -> pa.Table:
    """Return the same rows with the dictionaries in another order, so that codes mean other names."""
    columns = []
    for field in contract.SCHEMA:
        column = table[field.name].combine_chunks()
        if pa.types.is_dictionary(field.type):
            names = ["never used", *order(column.dictionary.to_pylist())]
            codes = pa.array([names.index(name) for name in column.to_pylist()], field.type.index_type)
            column = pa.DictionaryArray.from_arrays(codes, names)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=contract.SCHEMA)


def test_several_files_with_dictionaries_of_their_own_give_the_same_figures(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=2, policies=("roundrobin", "sticky"))
    before = summary_document(analyse(load_run(folder)))
    assert any(cell["metrics"]["refused_ratio"]["value"] for cell in before["cells"])
    balance = [each.requests_by_replica for result in analyse(load_run(folder)).results for each in result.measurements]
    for path in folder.glob("trials/*/*/samples.parquet"):
        table = pq.read_table(path)
        pq.write_table(renamed(table.slice(0, 250), sorted), path.with_name("samples-0.parquet"), row_group_size=100)
        pq.write_table(
            renamed(table.slice(250), lambda names: sorted(names, reverse=True)), path.with_name("samples-1.parquet")
        )
        path.unlink()
    after = analyse(load_run(folder))
    assert summary_document(after) == before
    assert [each.requests_by_replica for result in after.results for each in result.measurements] == balance


def sizes(power: float, constant: float = 0.0) -> list[Size]:
    counts = (300_000, 1_000_000, 3_000_000, 10_000_000)
    return [Size(n, 190, (constant + 1e-7 * n**power,), (1.0,), 0.2) for n in counts]


def test_the_exponent_is_that_of_the_growth() -> None:
    for power in (0.5, 1.0, 1.5, 2.0):
        assert bench_analysis.exponent(sizes(power)) == pytest.approx(power)
    assert bench_analysis.exponent(sizes(1.0, constant=2.0)) < 0.5
    assert bench_analysis.straight_line(sizes(1.0, constant=2.0)) == pytest.approx((2.0, 0.1))


def test_growth_worse_than_linear_shows_between_the_two_largest_and_is_missed() -> None:
    written = bench_analysis.document(sizes(2.0, constant=1e6), Size(1, 4, (1.0,), (1.0,), 0.1))
    assert written["exponent"] < bench_analysis.MAX_EXPONENT < written["exponent_of_two_largest"]
    assert not written["passed"]
    assert "MISSED" in bench_analysis.table(written)


def test_a_process_is_charged_its_own_time_and_memory() -> None:
    took = spend(
        [sys.executable, "-c", "held = b'x' * 600_000_000\nwhile __import__('time').process_time() < 0.5: pass"]
    )
    assert 0.5 <= took.cpu_seconds < 5
    assert took.seconds >= 0.5
    assert 600_000_000 / 2**30 <= took.peak_gib < 1
    with pytest.raises(BenchError, match="ended with 3: no such thing"):
        spend([sys.executable, "-c", "import sys; print('first\\nno such thing', file=sys.stderr); sys.exit(3)"])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_analysis, "SERIES", (("control", "none"), ("session", "redis")))
    monkeypatch.setattr(bench_analysis, "REPLICAS", (1,))
    monkeypatch.setattr(bench_analysis, "BLOCKS", 2)
    monkeypatch.setattr(bench_analysis, "SHARES", (0.2, 1.0))


@pytest.mark.usefixtures("small")
def test_it_reports_real_runs_and_fails_when_a_limit_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_analysis, "MAX_SECONDS", 0.1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    out = tmp_path / "out" / "bench-analysis.json"
    assert bench_analysis.main(["--samples", "20000", "--repeats", "1", "--out", str(out)]) == 1
    written = json.loads(out.read_text())
    assert [each["samples"] for each in written["sizes"]] == [4002, 20004]
    assert written["long_trials"]["samples"] == 20000
    assert {"seconds", "peak_gib", "exponent", "machine", "software"} <= set(written)
    assert 0.1 < written["seconds"] < 60
    assert 0.05 < written["peak_gib"] < bench_analysis.MAX_PEAK_GIB
    told = capsys.readouterr().out
    assert "MISSED" in told
    assert max(map(len, told.splitlines()[:-1])) <= 80
    assert list(tmp_path.iterdir()) == [out.parent]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("module", "name", "told"),
    [(shutil, "disk_usage", "GiB are free in"), (psutil, "virtual_memory", "GiB of memory are free")],
)
def test_too_little_room_is_one_line_before_anything_is_written(
    module: object, name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(module, name, lambda *_: SimpleNamespace(free=1000, available=1000))
    monkeypatch.setattr(bench_analysis, "measure", lambda *_: pytest.fail("it began"))
    assert bench_analysis.main(["--samples", "100000", "--out", str(tmp_path / "out.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error
    assert error.count("\n") == 1
