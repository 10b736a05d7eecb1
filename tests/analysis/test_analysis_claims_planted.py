"""Every claim of the ledger against evidence of real short runs, in which one figure is changed: the verdict follows.

`data/claims-evidence.json.gz` holds what the suite `full` measured with two blocks on a busy machine: summaries and the
facts of a browser lab, without texts. It is evidence for a test and for no design review.
"""

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.claims import all_claims, judge_all
from analysis.claims.evidence import Evidence

Document = dict[str, Any]
Plant = Callable[[Document], None]


def _metric(name: str, value: float, **facts: Any) -> Plant:
    """Set a metric of the cells with these facts."""

    def plant(found: Document) -> None:
        for cell in [cell for summary in found["summaries"] for cell in summary["cells"]]:
            if all(cell[key] == wanted for key, wanted in facts.items()):
                cell["metrics"][name] = _exactly(value)

    return plant


def _rows(found: Document, section: str, rows: str = "cells") -> Iterator[Document]:
    for summary in found["summaries"]:
        yield from summary["sections"].get(section, {}).get(rows, [])


def _figure(section: str, name: str, value: float, rows: str = "cells", **facts: Any) -> Plant:
    """Set a figure of the rows of a section with these facts."""

    def plant(found: Document) -> None:
        for row in _rows(found, section, rows):
            if all(row.get(key) == wanted for key, wanted in facts.items()):
                (row["figures"] if name in row.get("figures", {}) else row)[name] = _exactly(value)

    return plant


def _exactly(value: float) -> Document:
    return {"value": value, "low": value, "high": value}


def _tokens_occupy(found: Document) -> None:
    for row in _rows(found, "memory"):
        if row["scheme"] == "token":
            row["per_session"] = {
                name: each and {**each, **_exactly(400.0)} for name, each in row["per_session"].items()
            }


def _tokens_end_at_once(found: Document) -> None:
    for row in _rows(found, "revocation"):
        if row["scheme"] == "token":
            row.update(supported=True, ends_with_its_life=False, unended=0, p99_ms={**_exactly(2.0), "at_least": False})


def _postgres_can_be_searched(found: Document) -> None:
    """All that the claim asks is then measured: it persists no restart."""
    (rows,) = [s["sections"]["revocation"]["cells"] for s in found["summaries"] if s["run"]["id"] == "revocation"]
    rows += [
        {**copy.deepcopy(row), "store": "postgres", "cell": row["cell"].replace("redis", "postgres")}
        for row in rows
        if row["scheme"] == "session"
    ]


def _cheaper_with_copies(found: Document) -> None:
    for replicas, cpu_us in ((1, 200.0), (4, 100.0)):
        _metric("store_cpu_us_per_request", cpu_us, store="replicated", replicas=replicas)(found)


def _lives(shortest: float) -> Plant:
    """Let an experiment of access lives have been run; `shortest` is its commands a request at 1 s."""

    def plant(found: Document) -> None:
        cells = [
            {"cell": f"hybrid-{life}", "life_s": life, "store_commands_per_request": _exactly(commands)}
            for life, commands in ((1, shortest), (4, 0.1))
        ]
        found["summaries"].append(
            {"run": {"id": "hybrid"}, "cells": [], "comparisons": [], "sections": {"access-life": {"cells": cells}}}
        )

    return plant


def _seen(claim: str, name: str, *, value: bool) -> Plant:
    return lambda found: found["lab"]["claims"][claim].update({name: value})


PLANTS: list[tuple[str, str, Plant]] = [
    ("cookie-size", "does not hold", _metric("credential_bytes", 900, scheme="session")),
    ("token-size", "holds", _metric("credential_bytes", 900, scheme="token")),
    ("token-size", "does not hold", _metric("credential_bytes", 90, scheme="token")),
    ("lookup-latency", "holds", _metric("store_p50_us", 2000, scheme="session")),
    ("lookup-latency", "does not hold", _metric("store_p50_us", 9000, scheme="session")),
    ("verify-latency", "holds", _metric("auth_p50_us", 100, scheme="token")),
    ("verify-latency", "does not hold", _metric("auth_p50_us", 3000, scheme="token")),
    ("check-kind", "depends", _metric("store_commands_per_request", 1, scheme="token")),
    ("stateless-scaling", "does not hold", _metric("refused_ratio", 0, store="memory")),
    ("server-memory", "does not hold", _tokens_occupy),
    ("memory-store", "does not hold", _metric("refused_ratio", 0, store="memory")),
    ("memory-store", "does not hold", _metric("auth_p50_us", 9000, store="memory")),
    ("file-store", "does not hold", _metric("refused_ratio", 0, store="file")),
    ("database-store", "does not hold", _postgres_can_be_searched),
    ("redis-store", "does not hold", _metric("store_p99_us", 5000, store="redis")),
    ("memcached-store", "does not hold", _metric("store_p50_us", 5000, store="memcached")),
    ("sticky", "does not hold", _figure("balancing", "refused_ratio", 0.5, policy="sticky")),
    ("sticky", "does not hold", _figure("faults", "users_signed_out_share", 0, fault="kill-replica", store="memory")),
    ("replication", "does not hold", _cheaper_with_copies),
    ("central-store", "does not hold", _figure("faults", "users_signed_out_share", 0.5, fault="kill-replica")),
    ("revocation-session", "holds", _figure("revocation", "p99_ms", 3, scheme="session")),
    ("revocation-session", "does not hold", _figure("revocation", "p99_ms", 4000, scheme="session")),
    ("revocation-token", "does not hold", _tokens_end_at_once),
    ("hybrid", "depends", _lives(0.2)),
    ("hybrid", "does not hold", _lives(2.0)),
    ("no-difference", "holds", _figure("work", "ratio", 1.0, rows="ratios")),
    ("no-difference", "does not hold", _figure("work", "ratio", 2.0, rows="ratios")),
    ("header-storage", "does not hold", _seen("header-storage", "http_only_cookie_read", value=True)),
    ("cookie-csrf", "does not hold", _seen("cookie-csrf", "bearer_changed", value=True)),
]


@pytest.fixture(scope="module")
def evidence() -> Document:
    packed = (Path(__file__).parent / "data" / "claims-evidence.json.gz").read_bytes()
    found: Document = json.loads(gzip.decompress(packed))
    return found


def _verdicts(found: Document) -> dict[str, str]:
    rulings = judge_all(Evidence(found["summaries"], found["lab"]))
    return {each.claim.id: each.judged.verdict for each in rulings}


def test_every_claim_has_a_plant():
    assert {claim for claim, *_ in PLANTS} == {claim.id for claim in all_claims()}
    assert len(all_claims()) == 21


@pytest.mark.parametrize(
    ("claim", "verdict", "plant"), PLANTS, ids=[f"{claim}-{verdict}" for claim, verdict, _ in PLANTS]
)
def test_a_changed_figure_changes_the_verdict(claim: str, verdict: str, plant: Plant, evidence: Document):
    before = _verdicts(evidence)
    planted = copy.deepcopy(evidence)
    plant(planted)
    assert before[claim] != verdict
    assert _verdicts(planted)[claim] == verdict


def test_what_is_missing_is_named_with_the_command_that_measures_it(evidence: Document):
    without = [each for each in evidence["summaries"] if "faults" not in each["sections"]]
    rulings = {each.claim.id: each.judged for each in judge_all(Evidence(without, None))}
    assert rulings["sticky"].verdict == "not measured"
    assert "EXPERIMENT=faults" in rulings["sticky"].detail
    assert rulings["header-storage"].verdict == "not measured"
