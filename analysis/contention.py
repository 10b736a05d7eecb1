"""Which cells show contention and not scaling: several replicas on shared cores, without a quota that holds.

A trial's components say of each whether it had one: `quota_cpus` stands there of those whose quota really was kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.finding import Finding
from analysis.load import Cell, Run
from analysis.wording import count, joined, number, setting

SLOWED = 1.15
"""Times the CPU time from which cores are told to slow each other."""
REPLICA_CPUS, STORE_CPUS = "replica_cpus", "store_cpus"
_KINDS = {REPLICA_CPUS: "replica", STORE_CPUS: "store"}


def contention(run: Run) -> Iterable[Finding]:
    """Yield what limits the findings on scaling: no quota, quotas that add up to more than there is, none to be had."""
    machine = run.document.get("machine", {})
    pinned = (machine.get("pinning") or {}).get("servers")
    cores = len(pinned) if pinned else machine.get("cores")
    yield from _not_kept(run, machine.get("quota_method", "none"))
    yield from _siblings(machine.get("sibling_slowdown"))
    if not cores:
        return
    several = [cell for cell in run.cells if cell.replicas > 1]
    contended = [cell for cell in several if not limited(run, cell)]
    if contended:
        yield _shared(contended, several, int(cores), pinned=bool(pinned))
    crowded = [cell for cell in several if cell not in contended and quotas_cpus(run, cell) > cores]
    if crowded:
        yield _crowded(run, crowded, int(cores))


def limited(run: Run, cell: Cell) -> bool:
    """Whether every replica of the cell had a quota that held, in every trial there is."""
    replicas = [part for part in _components(run, cell) if part["kind"] == "replica"]
    return bool(replicas) and all("quota_cpus" in part for part in replicas)


def quotas_cpus(run: Run, cell: Cell) -> float:
    """Return what all quotas of the cell add up to, in cores."""
    trial = next((each for each in run.trials if each.cell == cell.id), None)
    return sum(part.get("quota_cpus", 0.0) for part in trial.components.values()) if trial else 0.0


def _components(run: Run, cell: Cell) -> list[Mapping[str, Any]]:
    return [part for trial in run.trials if trial.cell == cell.id for part in trial.components.values()]


def _not_kept(run: Run, method: str) -> Iterable[Finding]:
    asked = [cell for cell in run.cells if set(_KINDS) & set(cell.options)]
    without = [cell for cell in asked if method == "none" or not _kept(run, cell)]
    if not without:
        return
    why = (
        "no control group could be made here: they ran without one"
        if method == "none"
        else f"it was lost in some trials, whose control groups ({method}) were changed by somebody else"
    )
    yield Finding(
        "no-quota",
        "caution",
        "The quotas did not hold",
        f"A quota was asked for {count(len(without), 'cell')}, and {why}.",
        tuple(cell.id for cell in without),
    )


def _kept(run: Run, cell: Cell) -> bool:
    """Whether each component for which a quota was asked had it in every trial there is."""
    kinds = {kind for option, kind in _KINDS.items() if option in cell.options}
    return all("quota_cpus" in part for part in _components(run, cell) if part["kind"] in kinds)


def _siblings(slowdown: float | None) -> Iterable[Finding]:
    if slowdown is not None and slowdown >= SLOWED:
        yield Finding(
            "siblings",
            "caution",
            "Generator and servers slow each other",
            f"Work on the servers' core took {number(slowdown, 2)} times as much CPU time while the generator's core "
            "was busy, as threads of one physical core do: latency and CPU time per request grow with the load, and "
            "with whatever else runs here. A machine of more cores has one to leave between the two.",
            (),
        )


def _shared(contended: Sequence[Cell], several: Sequence[Cell], cores: int, *, pinned: bool) -> Finding:
    parts = ["the balancer", "the store"] if pinned else ["the balancer", "the store", "the load generator"]
    servers = f"Up to {count(max(cell.replicas for cell in contended), 'replica')}"
    some = len(contended) < len(several)
    where = f" ({count(len(contended), 'cell')} of {len(several)} with several replicas)" if some else ""
    return Finding(
        "contention",
        "caution",
        "Replicas share the cores",
        f"{joined([servers, *parts])} shared {count(cores, 'core')} without a "
        f"quota{where}, so a step from few replicas to many shows contention, not scaling.",
        tuple(cell.id for cell in contended) if some else (),
    )


def _crowded(run: Run, crowded: Sequence[Cell], cores: int) -> Finding:
    most = max(quotas_cpus(run, cell) for cell in crowded)
    return Finding(
        "crowded",
        "caution",
        "The quotas add up to more than there is",
        f"The quotas of {count(len(crowded), 'cell')} add up to {setting(most)} cores at most, and the servers have "
        f"{count(cores, 'core')}: when all replicas are busy they contend before they meet their quotas.",
        tuple(cell.id for cell in crowded),
    )
