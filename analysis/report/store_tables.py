"""Tables of the store: commands by name and by node, and whether they are whole; and of what each option costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from analysis.estimates import CellResult, Estimate
from analysis.metrics import BY_NAME
from analysis.prices import PRICED, Price, difference, price_name, prices
from analysis.report.table import Entry, Table
from analysis.wording import NOTHING, interval, label, number, signed


def command_tables(results: Sequence[CellResult]) -> Iterable[Table]:
    """Return what each store counted, by name of the command, and by node where there are several."""
    counted = [each for each in results if each.whole_commands is not None and not each.cell.duplicate_of]
    if counted:
        yield Table(
            title="Store commands, exactly",
            columns=("cell", "a request", "whole number", "by command"),
            rows=tuple(_commands(each) for each in counted),
            note="Of all valid blocks, connection set-up apart. Whole number: the same in every block, and an integer.",
        )
    nodes = [each for each in counted if any(len(made.node_commands) > 1 for made in each.measurements)]
    if nodes:
        names = list(dict.fromkeys(name for each in nodes for made in each.measurements for name in made.node_commands))
        yield Table(
            title="Store commands by node",
            columns=("cell", *names),
            rows=tuple(_by_node(each, names) for each in nodes),
            note="Commands in all valid blocks, and the share of each node.",
        )


def _commands(result: CellResult) -> tuple[Entry, ...]:
    requests = sum(made.requests for made in result.measurements)
    named = _sum([made.commands or {} for made in result.measurements])
    parts = (f"{name} {number(n / requests)}" for name, n in sorted(named.items(), key=lambda each: -each[1]) if n)
    return (
        Entry(label(result.cell)),
        Entry(number(result.value("store_commands_per_request"))),
        Entry("yes" if result.whole_commands else "no"),
        Entry(", ".join(parts) or NOTHING),
    )


def _by_node(result: CellResult, names: Sequence[str]) -> tuple[Entry, ...]:
    counted = _sum([made.node_commands for made in result.measurements])
    total = sum(counted.values()) or 1
    shares = (Entry(number(counted[name]), f"{100 * counted[name] / total:.0f} %") for name in names if name in counted)
    missing = (Entry(NOTHING) for name in names if name not in counted)
    return (Entry(label(result.cell)), *shares, *missing)


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    made: dict[str, int] = {}
    for each in counts:
        for name, n in each.items():
            made[name] = made.get(name, 0) + n
    return made


def price_tables(results: Sequence[CellResult]) -> Iterable[Table]:
    """Return what each option changes, against the same cell without it."""
    every = prices(results)
    if every:
        yield Table(
            title="What an option changes",
            columns=("option", *(_heading(name) for name in PRICED)),
            rows=tuple(_price(each) for each in every),
            note="The mean difference by block to the same cell without the option, and its 95 % interval.",
        )


def _heading(metric: str) -> str:
    known = BY_NAME[metric]
    return f"{known.title} ({known.unit})" if known.unit else known.title


def _price(price: Price) -> tuple[Entry, ...]:
    changed, where = price_name(price)
    return (Entry(changed, where), *(_difference(difference(metric, price)) for metric in PRICED))


def _difference(found: Estimate) -> Entry:
    if found.value is None:
        return Entry(NOTHING)
    text = "0" if found.value == 0 else signed(found.value)
    return Entry(text, "" if found.low is None else interval(found.low, found.high))
