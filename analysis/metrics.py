"""The value of every metric in one block.

Names and units are `loadtests.catalogue`, definitions docs/file-formats.md. One trial is one cell in one block, and
gives one number per metric; what is inferred from several blocks is `analysis.estimates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis import parts
from analysis.load import NO_STORE, Cell, Trial, read_samples
from analysis.parts import Parts, parts_of
from loadtests import load_words
from loadtests import samples as contract
from loadtests.catalogue import BY_NAME, METRICS, Metric

__all__ = ["BY_NAME", "METRICS", "Measurement", "Metric", "measure", "quantile"]

Floats = NDArray[np.float64]

ADMINISTRATION = frozenset({"hello", "client", "info", "config", "ping", "auth", "select", "command"})
"""Store commands that set a connection up or read the store's own state: not counted as work."""
STATEMENTS = ("postgres",)
"""Stores whose commands are SQL statements: there SELECT is the work itself, and chooses no database."""


CPU_KINDS = ("replica", "balancer", "store")

_COLUMNS = (
    "due_ns",
    "started_ns",
    "ended_ns",
    "user_was_busy",
    "phase",
    "operation",
    "status",
    "outcome",
    "replica",
    "request_head_bytes",
    "request_body_bytes",
    "response_head_bytes",
    "response_body_bytes",
    "credential_bytes",
    *parts.COLUMNS,
)
"""What the metrics need of a sample."""


@dataclass(frozen=True)
class Octets:
    """Mean octets per request of one block, by what they are for."""

    credential: float
    request_head: float  # without the credential's line
    request_body: float
    response_head: float
    response_body: float


@dataclass(frozen=True)
class Measurement:
    """What one trial gave: a value per metric (None where it does not apply) and what the figures draw."""

    cell: str
    block: int
    values: Mapping[str, float | None]
    response_ms: Floats
    octets: Octets
    requests_by_replica: Mapping[str, int]
    requests: int
    """Sent in the measured phase."""
    commands: Mapping[str, int] | None
    """What the store counted, by name, connection set-up apart; None where no server counts."""
    node_commands: Mapping[str, int]
    """The same in all by node, of a store of several."""
    fault: str | None
    """Why the trial must not count although the harness found no fault; None if there is nothing."""
    parts: Parts | None = None
    """Where the mean response time goes; None where the replicas did not tell, as in older runs."""


def measure(trial: Trial, cell: Cell) -> Measurement:
    """Return every metric of one trial, from its raw samples and its counters."""
    table = read_samples(trial, _COLUMNS)
    measured, outcome = contract.among(table["phase"], contract.MEASURED), table["outcome"]
    dropped = measured & contract.among(outcome, contract.DROPPED)
    sent = measured & ~dropped
    answered = sent & (_numbers(table, "status") > 0)
    refused = measured & contract.among(outcome, contract.REFUSED)
    wrong = measured & contract.among(outcome, contract.ERROR, contract.TIMEOUT, contract.FAILED, contract.OUTDATED)
    response_ms, service_ms = _times_ms(table, answered)
    count = int(sent.sum())
    octets = _octets(table, sent, answered)
    values: dict[str, float | None] = {
        "response_p50_ms": quantile(response_ms, 0.50),
        "response_p90_ms": quantile(response_ms, 0.90),
        "response_p99_ms": quantile(response_ms, 0.99),
        "response_mean_ms": _mean(response_ms) if response_ms.size else None,
        "service_p50_ms": quantile(service_ms, 0.50),
        "throughput_rps": _throughput_rps(table, answered, trial, cell),
        "refused_ratio": _ratio(int(refused.sum()), count),
        "error_ratio": _ratio(int(wrong.sum()), count),
        "auth_p50_us": _server_p50_us(_numbers(table, "auth_ns")[answered]),
        "store_p50_us": None if cell.store == NO_STORE else _server_p50_us(_numbers(table, "store_ns")[answered]),
        "store_p99_us": None if cell.store == NO_STORE else _server_us(_numbers(table, "store_ns")[answered], 0.99),
        "auth_store_share": _store_share(table, answered),
        "store_commands_per_request": None if cell.is_target else _ratio(sum(_work(trial, cell).values()), count),
        "store_bytes_in_per_request": _store_octets(trial, "bytes_in", count),
        "store_bytes_out_per_request": _store_octets(trial, "bytes_out", count),
        "request_bytes": octets.credential + octets.request_head + octets.request_body,
        "response_bytes": octets.response_head + octets.response_body,
        "credential_bytes": octets.credential,
        **_cpu_us(trial, count),
        "replica_rss_mb": _rss_mb(trial),
        "store_memory_bytes": None if trial.store is None else trial.store.get("memory_bytes"),
    }
    return Measurement(
        cell=trial.cell,
        block=trial.block,
        values={name: values[name] for name in BY_NAME},
        response_ms=response_ms,
        octets=octets,
        requests_by_replica=_by_replica(table, answered),
        requests=count,
        commands=None if trial.store is None else _work(trial, cell),
        node_commands={
            name: sum(_without_administration(counted, cell).values())
            for name, counted in ((trial.store or {}).get("nodes") or {}).items()
        },
        fault=_fault(trial, count, int(dropped.sum()), int(answered.sum())),
        parts=parts_of(
            {name: _numbers(table, name)[answered] for name in parts.COLUMNS},
            _numbers(table, "started_ns")[answered],
            service_ms,
            response_ms,
        ),
    )


def quantile(values: Floats, share: float) -> float | None:
    """Return the quantile of raw samples by linear interpolation (Hyndman and Fan 1996, type 7); None of none."""
    return float(np.quantile(values, share, method="linear")) if values.size else None


def _numbers(table: pa.Table, name: str) -> NDArray[Any]:
    return np.asarray(table[name].to_numpy())


def _times_ms(table: pa.Table, answered: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return response and service times in ms of the answered requests.

    The response time of a request whose user was still busy counts from when it was due: leaving the wait out is
    coordinated omission (Tene). That of an idle user counts from its waking: the rest is the generator's own delay.
    """
    ended = _numbers(table, "ended_ns")[answered]
    service = (ended - _numbers(table, "started_ns")[answered]) / 1e6
    since_due = (ended - _numbers(table, "due_ns")[answered]) / 1e6
    return np.where(_numbers(table, "user_was_busy")[answered], since_due, service), service


def _throughput_rps(table: pa.Table, answered: NDArray[np.bool_], trial: Trial, cell: Cell) -> float | None:
    """Return the answered requests a second: of an open loop those that fell due in the measured phase.

    In a closed loop each user has one more under way when the phase ends: there those count that were answered in it.
    """
    if load_words.is_closed(cell.load) and answered.any():
        from_ns = trial.measured_from_ns or int(_numbers(table, "due_ns").min())
        answered = answered & (_numbers(table, "ended_ns") <= from_ns + trial.duration_s * 1e9)
    return _ratio(int(answered.sum()), trial.duration_s)


def _octets(table: pa.Table, sent: NDArray[np.bool_], answered: NDArray[np.bool_]) -> Octets:
    credential = _mean(_numbers(table, "credential_bytes")[sent])
    return Octets(
        credential=credential,
        request_head=_mean(_numbers(table, "request_head_bytes")[sent]) - credential,
        request_body=_mean(_numbers(table, "request_body_bytes")[sent]),
        response_head=_mean(_numbers(table, "response_head_bytes")[answered]),
        response_body=_mean(_numbers(table, "response_body_bytes")[answered]),
    )


def _server_p50_us(spent_ns: NDArray[Any]) -> float | None:
    return _server_us(spent_ns, 0.50)


def _server_us(spent_ns: NDArray[Any], share: float) -> float | None:
    """Return the quantile of a Server-Timing duration in us, over the answers that carried one."""
    return quantile(spent_ns[spent_ns >= 0] / 1e3, share)


def _store_share(table: pa.Table, answered: NDArray[np.bool_]) -> float | None:
    """Return the median part that store time has in auth time, of the reads: they ask the store for nothing else."""
    auth, store = _numbers(table, "auth_ns"), _numbers(table, "store_ns")
    told = answered & contract.among(table["operation"], "me") & (auth > 0) & (store >= 0)
    return quantile(store[told] / auth[told], 0.50)


def _work(trial: Trial, cell: Cell) -> dict[str, int]:
    """Return the commands that the store counted in the measured phase, by name, connection set-up apart."""
    return {} if trial.store is None else _without_administration(trial.store.get("commands") or {}, cell)


def _without_administration(counted: Mapping[str, int], cell: Cell) -> dict[str, int]:
    if cell.store in STATEMENTS:
        return dict(counted)
    return {name: n for name, n in counted.items() if name.lower().split("|")[0] not in ADMINISTRATION}


def _store_octets(trial: Trial, name: str, requests: int) -> float | None:
    """Return what the store counted of octets per request; None where it does not count, as in older runs."""
    counted = None if trial.store is None else trial.store.get(name)
    return None if counted is None else _ratio(counted, requests)


def _cpu_us(trial: Trial, requests: int) -> dict[str, float | None]:
    """Return CPU time per request in us, by kind of component and in all; None for a kind that does not run."""
    spent_ns = {
        kind: [part["cpu_ns"] for part in trial.components.values() if part["kind"] == kind] for kind in CPU_KINDS
    }
    values = {
        f"{kind}_cpu_us_per_request": _ratio(sum(parts) / 1e3, requests) if parts else None
        for kind, parts in spent_ns.items()
    }
    total = _ratio(sum(map(sum, spent_ns.values())) / 1e3, requests) if any(spent_ns.values()) else None
    return {**values, "total_cpu_us_per_request": total}


def _rss_mb(trial: Trial) -> float | None:
    sizes = [part["rss_bytes"] for part in trial.components.values() if part["kind"] == "replica"]
    return _mean(np.asarray(sizes)) / 1e6 if sizes else None


def _by_replica(table: pa.Table, answered: NDArray[np.bool_]) -> dict[str, int]:
    return {name: n for name, n in contract.counts(table["replica"], answered).items() if name}


def _fault(trial: Trial, sent: int, dropped: int, answered: int) -> str | None:
    if (sent, dropped) != (trial.sent, trial.dropped):
        return "the samples and trial.json disagree on the requests sent"
    return None if answered else "no request was answered"


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else 0.0


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
