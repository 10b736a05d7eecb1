"""Names in dictionaries: found by code, whatever the dictionary of the chunk."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadtests import samples
from loadtests.recorder import Recorder

KIND = samples.SCHEMA.field("outcome").type


def coded(codes, names):
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(names, pa.string()))


@pytest.fixture
def column():
    """Three chunks whose codes mean different things, one with a name that no row has, one empty."""
    return pa.chunked_array(
        [coded([0, 1, 0], ["ok", "refused"]), coded([], []), coded([1, 0, 2, 2], ["refused", "ok", "late", "unused"])]
    )


def test_rows_are_found_by_name_in_every_chunk(column):
    texts = np.array(["ok", "refused", "ok", "ok", "refused", "late", "late"])
    for names in (["ok"], ["refused", "late"], ["unused"], ["nobody"]):
        assert samples.among(column, *names).tolist() == np.isin(texts, names).tolist()


def test_counts_are_of_the_chosen_rows_and_in_order_of_name(column):
    rows = np.array([True, False, True, False, True, True, True])
    assert list(samples.counts(column, rows).items()) == [("late", 2), ("ok", 2), ("refused", 1)]
    assert samples.counts(column, np.zeros(7, dtype=bool)) == {}


def test_no_row_is_no_answer():
    nothing = pa.chunked_array([], KIND)
    assert samples.among(nothing, "ok").tolist() == []
    assert samples.counts(nothing, np.empty(0, dtype=bool)) == {}


def test_a_file_of_several_row_groups_keeps_its_names(tmp_path, monkeypatch):
    monkeypatch.setattr("loadtests.recorder.ROWS_PER_GROUP", 4)
    recorder = Recorder()
    outcomes = ["ok", "ok", "error", "ok", "timeout", "ok", "ok", "ok", "failed"]
    busy = reused = False
    for outcome in outcomes:
        recorder.add(0, 0, 0, 0, busy, 0, "me", "measured", 200, outcome, *[0] * 5, reused, b"")
    path = tmp_path / "samples.parquet"
    recorder.write(path)
    assert pq.ParquetFile(path).num_row_groups == 3
    table = pq.read_table(path)
    assert samples.among(table["outcome"], "error", "failed").tolist() == [
        each in ("error", "failed") for each in outcomes
    ]
    assert samples.counts(table["outcome"], np.ones(9, dtype=bool)) == {"error": 1, "failed": 1, "ok": 6, "timeout": 1}
    assert list(tmp_path.iterdir()) == [path]
