"""The ledger of claims as a table: what was claimed, what was found, by which rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from analysis.claims.evidence import Ruling
from analysis.report.table import Entry, Table
from analysis.wording import NOTHING, count, interval, joined, number

TITLE = "Common claims, judged"
_COLUMNS = ("claim", "verdict", "figure (95 % interval)", "what was found", "rule")
_ORDER = ("holds", "does not hold", "depends", "not measured")


def tally(rulings: Sequence[Ruling]) -> str:
    """Return the ledger in one line: `21 claims: 9 hold, 4 do not hold, 6 depend on more, 2 were not measured`."""
    counts = Counter[str](each.judged.verdict for each in rulings)
    words = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "depends": ("depends", "depend"),
        "not measured": ("was not measured", "were not measured"),
    }
    told = joined(f"{counts[name]} {words[name][counts[name] != 1]}" for name in _ORDER if counts[name])
    return f"{count(len(rulings), 'common claim')} on sessions and tokens: {told}."


def ledger_tables(rulings: Sequence[Ruling], links: Mapping[str, Entry] | None = None) -> tuple[Table, ...]:
    """Return the table of what was judged, and one of what this run does not measure, with the command that does.

    `links`: by a claim's id, the report that measured it; None where this is that report.
    """
    judged = [each for each in rulings if each.judged.verdict != "not measured"]
    rest = [each for each in rulings if each.judged.verdict == "not measured"]
    tables = []
    if judged:
        tables.append(
            Table(
                title=tally(rulings),
                columns=(*_COLUMNS, *(("measured by",) if links is not None else ())),
                rows=tuple(_row(each, links) for each in judged),
                note="Every verdict follows from the figures by the rule beside it; none is written by hand.",
                cards=True,
            )
        )
    if rest:
        tables.append(
            Table(
                title=f"{count(len(rest), 'claim')} that this run does not measure",
                columns=("claim", "what measures it"),
                rows=tuple((Entry(each.claim.text, each.claim.id), Entry(each.claim.command)) for each in rest),
                cards=True,
            )
        )
    return tuple(tables)


def _row(ruling: Ruling, links: Mapping[str, Entry] | None) -> tuple[Entry, ...]:
    figure, verdict = ruling.judged.value, ruling.judged.verdict
    return (
        Entry(ruling.claim.text, ruling.claim.id),
        Entry(verdict, verdict=verdict.replace(" ", "-")),
        Entry(f"{number(figure.value)} {ruling.judged.unit}".strip(), interval(figure.low, figure.high))
        if figure
        else Entry(NOTHING),
        Entry(ruling.judged.detail),
        Entry(ruling.claim.rule),
        *((links.get(ruling.claim.id, Entry(NOTHING)),) if links is not None else ()),
    )
