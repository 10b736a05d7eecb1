"""Policies and balancers as a user runs them: who is refused, whose counts agree, and what the cookie costs."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from loadtests.samples import LOGIN, MEASURED

pytestmark = pytest.mark.bench
ROUTE = len("; route=replica-0")
CELLS = {
    f"session-memory-3r-{policy}{balancer}"
    for policy in ("roundrobin", "sticky")
    for balancer in ("", ".balancer-nginx")
}


def _trial(run: Path, cell: str) -> tuple[dict, pd.DataFrame]:
    folder = run / "trials" / "1" / cell
    return json.loads((folder / "trial.json").read_text()), pq.read_table(folder / "samples.parquet").to_pandas()


def test_two_in_three_are_refused_and_nobody_where_the_balancer_is_sticky(policies_run: Path):
    for cell in CELLS:
        trial, samples = _trial(policies_run, cell)
        known = samples[(samples["phase"] == MEASURED) & (samples["operation"] == "me")]
        refused = (known["outcome"] == "refused").mean()
        if "sticky" in cell:
            assert refused == 0, cell
            assert not [reason for reason in trial["invalid_reasons"] if "wrong answers" in reason]
        else:
            assert abs(refused - 2 / 3) <= 0.2, cell  # some 100 requests: four standard errors
        assert set(trial["outcomes"]) <= {"ok", "refused"}, cell


def test_every_balancers_counts_are_the_clients(policies_run: Path):
    for cell in CELLS:
        trial, samples = _trial(policies_run, cell)
        measured = samples[samples["phase"] == MEASURED]
        counted = {name: count for name, count in trial["balancer"]["requests"].items() if count}
        assert measured["replica"].astype(str).value_counts().to_dict() == counted, cell
        assert trial["sent"] == sum(counted.values()) == len(measured)
        assert not [reason for reason in trial["invalid_reasons"] if "counted" in reason]
        if "roundrobin" in cell:
            assert max(counted.values()) - min(counted.values()) <= 1, cell


def test_the_cookie_is_carried_and_is_no_part_of_the_credential(policies_run: Path):
    for balancer in ("", ".balancer-nginx"):
        plain, sticky = (
            samples[(samples["phase"] == MEASURED) & (samples["operation"] == "me")]
            for policy in ("roundrobin", "sticky")
            for _, samples in (_trial(policies_run, f"session-memory-3r-{policy}{balancer}"),)
        )
        assert set(plain["credential_bytes"]) == set(sticky["credential_bytes"])
        (without,), (with_it,) = set(plain["request_head_bytes"]), set(sticky["request_head_bytes"])
        assert with_it - without == ROUTE


def test_who_stamps_no_request_gives_no_queue_time(policies_run: Path):
    for cell in CELLS:
        _, samples = _trial(policies_run, cell)
        queue = samples[samples["phase"] != LOGIN]["queue_ns"]
        assert (queue == -1).all() if "nginx" in cell else (queue >= 0).all(), cell


def test_run_json_says_which_balancer_it_was(policies_run: Path):
    record = json.loads((policies_run / "run.json").read_text())
    assert {"haproxy", "nginx"} <= set(record["software"]["binaries"])
    told = {cell["id"]: (cell["balancer"], cell["options"]) for cell in record["cells"]}
    assert told["session-memory-3r-sticky"] == ("haproxy", {})
    assert told["session-memory-3r-sticky.balancer-nginx"] == ("nginx", {"balancer": "nginx"})
