"""Signed-in users who were refused: what the topology explains, and what nothing does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.load import Cell
from analysis.wording import capital, count, joined, label, percent, subject

AGREES = 0.03
"""A refused share this close to (N-1)/N is what lost per-process sessions give, or within as many standard errors:"""
ERRORS = 3


def refusals(results: Sequence[CellResult]) -> Iterable[Finding]:
    """Say of each cell with refusals what explains them, and that none of these is compared."""
    refused = [each for each in results if each.refused]
    lost = [each for each in refused if _may_lose(each.cell)]
    for each in refused:
        share, cell = each.value("refused_ratio") or 0.0, each.cell
        if each in lost:
            alike = [other for other in lost if _losing(other.cell) == _losing(cell)]
            if each is alike[0]:
                yield Finding("sessions-lost", "finding", *_lost(share, each), tuple(it.cell.id for it in alike))
        elif cell.lags:
            yield Finding("sessions-late", "finding", *_late(share, each), (cell.id,))
        else:
            yield Finding(
                "refused",
                "caution",
                f"{capital(subject(cell))}: signed-in users were refused",
                f"{percent(share)} of the requests of {cell.id} were refused although their user was signed in. "
                "Nothing in this setting explains it; look at the logs of its trials.",
                (cell.id,),
            )
    if refused:
        several = len({each.cell.policy for each in results}) > 1
        names = joined(label(each.cell, policy=several) for each in refused)
        yield Finding(
            "left-out",
            "caution",
            "Left out of the comparisons",
            f"No latency or CPU of {names} is compared: signed-in users were refused there, and a refusal is cheaper "
            "than an answer.",
            tuple(each.cell.id for each in refused),
        )


def _may_lose(cell: Cell) -> bool:
    return not cell.shared and cell.replicas > 1 and cell.policy != "sticky"


def _losing(cell: Cell) -> tuple[str, str, int, str]:
    """Return what decides how many sessions are lost; options do not."""
    return cell.scheme, cell.store, cell.replicas, cell.policy


def _lost(share: float, result: CellResult) -> tuple[str, str]:
    cell = result.cell
    expected = (cell.replicas - 1) / cell.replicas
    policy = {"roundrobin": "round-robin", "leastconn": "least-connections"}.get(cell.policy, cell.policy)
    requests = sum(each.requests for each in result.measurements)
    spread = math.sqrt(expected * (1 - expected) / max(requests, 1))  # of a share of so many requests, one by chance
    agrees = "as expected" if abs(share - expected) <= max(AGREES, ERRORS * spread) else "not as expected"
    kept = {"memory": "Per-process sessions", "file": "Sessions in files", "sqlite": "Sessions in SQLite"}
    return (
        f"{kept.get(cell.store, capital(subject(cell)))} are lost behind a balancer",
        (
            f"{capital(subject(cell))} are lost behind a {policy} balancer: {percent(share)} of requests at "
            f"{count(cell.replicas, 'replica')} were refused, {agrees} ((N-1)/N = {percent(expected)}): only the "
            "replica that signed a user in knows the session."
        ),
    )


def _late(share: float, result: CellResult) -> tuple[str, str]:
    cell = result.cell
    return (
        f"{capital(subject(cell))}: refused within the lag",
        (
            f"{percent(share)} of requests at {count(cell.replicas, 'replica')} were refused although their user was "
            "signed in: the replica that was asked reads a copy of the store, and the sign-in had not reached it yet."
        ),
    )
