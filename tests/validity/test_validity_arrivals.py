"""What was really sent follows the arrival process that was asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

pytestmark = pytest.mark.bench

_USERS, _RATE, _SECONDS = 12, 120, 3


def _measured(results: Path) -> pd.DataFrame:
    (path,) = (results / "latest").glob("trials/1/*1r-roundrobin/samples.parquet")
    samples = pq.read_table(path).to_pandas()
    return samples[samples["phase"] == "measured"].sort_values("started_ns")


@pytest.mark.parametrize("process", ["poisson", "uniform", "burst"])
def test_the_times_of_sending_are_those_of_the_process(process: str, bench: Any):
    arguments = [
        "--schemes",
        "control",
        "--replicas",
        "1",
        "--blocks",
        "1",
        "--duration",
        str(_SECONDS),
        "--arrivals",
        process,
    ]
    done = bench.run(*arguments)
    assert done.returncode == 0, done.stderr
    sent = _measured(bench.results)
    started_s = sent["started_ns"].to_numpy() / 1e9
    gaps = np.diff(started_s)
    assert abs(len(sent) - _SECONDS * _RATE) < (4 * np.sqrt(_SECONDS * _RATE) if process == "poisson" else _USERS + 1)
    if process == "poisson":
        assert stats.kstest(gaps, "expon", args=(0, gaps.mean())).pvalue > 0.001
    elif process == "uniform":
        own = sent.groupby("user", observed=True)["started_ns"].diff().dropna() / 1e9
        assert abs(own.median() - _USERS / _RATE) < 0.002
    else:
        # bursts of all users, and nothing between them
        starts = np.flatnonzero(np.diff(started_s, prepend=-1.0) > 0.5 * _USERS / _RATE)
        assert set(np.diff(starts)) == {_USERS}
