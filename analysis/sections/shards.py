"""How the commands of a store of several nodes spread over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.compare import Comparison
from analysis.estimates import CellResult, Estimate, estimate
from analysis.load import Run
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.wording import interval, label, percent

PLACE = 46


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the part on nodes, of a run in which some store has several."""
    del run, comparisons
    found = [
        (each, shares)
        for each in results
        if each.measurable
        and (shares := [_shares(made.node_commands) for made in each.measurements])
        and all(len(share) > 1 for share in shares)
    ]
    if not found:
        return None
    rows = [(each, len(shares[0]), _busiest(shares)) for each, shares in found]
    return Section(
        id="shards",
        title="Commands by node",
        tables=(_table(rows),),
        document={"cells": [_record(*row) for row in rows]},
    )


def _shares(commands: Mapping[str, int]) -> list[float]:
    """Of all commands, each node's part, the greatest first."""
    total = sum(commands.values())
    return sorted((each / total for each in commands.values()), reverse=True) if total else []


def _busiest(shares: Sequence[Sequence[float]]) -> Estimate:
    return estimate([each[0] for each in shares], positive=False)


def _table(rows: Sequence[tuple[CellResult, int, Estimate]]) -> Table:
    return Table(
        title="The busiest node's part of all commands",
        columns=("cell", "nodes", "busiest"),
        rows=tuple(
            (Entry(label(each.cell)), Entry(str(nodes)), Entry(percent(most.value), interval(most.low, most.high)))
            for each, nodes, most in rows
        ),
        note="By each node's own counters, of the measured phase; t interval over blocks. Even is one over the nodes.",
    )


def _record(result: CellResult, nodes: int, most: Estimate) -> dict[str, Any]:
    return {
        "cell": result.cell.id,
        "store": result.cell.store,
        "nodes": nodes,
        "busiest_share": {"value": most.value, "low": most.low, "high": most.high},
    }
