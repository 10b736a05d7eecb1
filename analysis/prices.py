"""What an option costs: each cell against the same cell without that option, and the stores against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.compare import Comparison, find
from analysis.estimates import CellResult, Estimate
from analysis.finding import Finding
from analysis.wording import (
    capital,
    count,
    interval,
    joined,
    label,
    number,
    option_value,
    signed,
    store_name,
    subject,
)
from loadtests.pairs import is_usual, pairs
from loadtests.student import mean_and_half_width

TITLES = {
    "touch": "The price of sliding expiry",
    "algorithm": "The price of the signature algorithm",
    "carrier": "The price of the carrier",
    "claims_bytes": "The price of claims",
    "revocation": "The price of revocation",
    "verify_cache": "What a cache of verified tokens changes",
    "tls": "The price of TLS at the balancer",
    "balancer": "What the balancer changes",
    "store_rtt_ms": "The price of a store further away",
    "shards": "What several shards change",
    "persistence": "The price of persistence",
    "cluster_copies": "The price of copies",
    "access_ttl_s": "What the life of an access token changes",
}
"""Findings by option; one that has no title here goes by its name."""
TOLD: Mapping[str, tuple[str, ...]] = {
    "touch": ("store_commands_per_request", "store_cpu_us_per_request", "auth_p50_us", "response_p50_ms"),
    "algorithm": ("auth_p50_us", "replica_cpu_us_per_request", "credential_bytes"),
    "carrier": ("auth_p50_us", "replica_cpu_us_per_request", "credential_bytes"),
    "claims_bytes": ("auth_p50_us", "replica_cpu_us_per_request", "credential_bytes"),
    "revocation": ("auth_p50_us", "store_commands_per_request", "total_cpu_us_per_request"),
    "verify_cache": ("auth_p50_us", "replica_cpu_us_per_request"),
    "tls": ("balancer_cpu_us_per_request", "total_cpu_us_per_request", "response_p50_ms"),
    "balancer": ("balancer_cpu_us_per_request", "total_cpu_us_per_request", "response_p50_ms"),
}
MOST_TOLD = 4
"""Cells above which a finding tells only `BRIEF` of each; the table has the rest."""
BRIEF = ("store_commands_per_request", "auth_p50_us")
PRICED = (
    "auth_p50_us",
    "replica_cpu_us_per_request",
    "store_cpu_us_per_request",
    "balancer_cpu_us_per_request",
    "store_commands_per_request",
    "credential_bytes",
    "response_p50_ms",
)
"""What the table of prices shows of every option."""
_WORDS = {
    "auth_p50_us": ("auth time", "us"),
    "replica_cpu_us_per_request": ("replica CPU", "us"),
    "store_cpu_us_per_request": ("store CPU", "us"),
    "balancer_cpu_us_per_request": ("balancer CPU", "us"),
    "total_cpu_us_per_request": ("CPU of all servers", "us"),
    "store_commands_per_request": ("store commands", ""),
    "credential_bytes": ("credential", "bytes"),
    "response_p50_ms": ("median response time", "ms"),
}


@dataclass(frozen=True)
class Price:
    """`cell` against `without`, which differ in the options `changed` alone."""

    cell: CellResult
    without: CellResult
    changed: Mapping[str, str]


def prices(results: Sequence[CellResult]) -> tuple[Price, ...]:
    """Return every pair of cells that a run has of the question `option`, refused and empty cells left out."""
    by_id = {each.cell.id: each for each in results}
    fit = [each.cell for each in results if each.cell.duplicate_of is None and each.measurable and not each.refused]
    made = [(by_id[cell.id], by_id[other.id]) for cell, other in pairs(fit)["option"]]
    return tuple(
        Price(cell, other, dict(cell.cell.options.items() - other.cell.options.items())) for cell, other in made
    )


def difference(metric: str, price: Price) -> Estimate:
    """Return the mean difference over shared blocks, with its t interval; a store that one side lacks costs 0."""
    ours, theirs = price.cell.by_block(metric), price.without.by_block(metric)
    if ours and not theirs and metric.startswith("store_"):
        theirs = dict.fromkeys(ours, 0.0)
    values = [ours[block] - theirs[block] for block in sorted(ours.keys() & theirs.keys())]
    if not values:
        return Estimate(None, None, None, 0)
    mean, half = mean_and_half_width(values)
    return Estimate(mean, None if half is None else mean - half, None if half is None else mean + half, len(values))


def price_findings(results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Iterable[Finding]:
    """Say of each option that varies what it costs, at the fewest replicas, and rank the stores."""
    yield from _ranked(results)
    every = [each for each in prices(results) if len(each.changed) == 1]
    for name in dict.fromkeys(name for each in every for name in each.changed):
        made = [each for each in every if name in each.changed]
        fewest = min(each.cell.cell.replicas for each in made)
        here = [each for each in made if each.cell.cell.replicas == fewest]
        title = TITLES.get(name, f"The price of {name.replace('_', ' ')}")
        yield Finding(
            f"price-{name}",
            "finding",
            title,
            _sentences(name, here, comparisons),
            tuple(each.cell.cell.id for each in here),
        )


def _sentences(name: str, here: Sequence[Price], comparisons: Sequence[Comparison]) -> str:
    """Return a sentence for each value of the option: what it changes in every cell that has it."""
    replicas = count(here[0].cell.cell.replicas, "replica")
    made = []
    for value in dict.fromkeys(each.changed[name] for each in here):
        told = [
            _told(name, each, comparisons, brief=len(here) > MOST_TOLD) for each in here if each.changed[name] == value
        ]
        made.append(f"With {option_value(name, value)}, at {replicas}: {'; '.join(told)}.")
    return " ".join(made)


def _told(name: str, price: Price, comparisons: Sequence[Comparison], *, brief: bool) -> str:
    """Return `sessions on PostgreSQL: store commands −1 to 1, auth time −409 us (−420 to −399)`."""  # noqa: RUF002
    made = find(comparisons, "response_p50_ms", price.cell.cell.id, price.without.cell.id)
    counted = name not in ("touch", "revocation") or not price.cell.in_process
    parts = []
    metrics = TOLD.get(name, ("auth_p50_us", "total_cpu_us_per_request"))
    for metric in [each for each in metrics if each in BRIEF] if brief else metrics:
        if metric.startswith("store_") and not counted:
            continue
        words = _change(metric, price)
        if words:
            parts.append(words + (f" [{made.verdict}]" if made and metric == made.metric else ""))
    return f"{subject(price.without.cell)}: {joined(parts)}"


def _change(metric: str, price: Price) -> str:
    found = difference(metric, price)
    if found.value is None:
        return ""
    title, unit = _WORDS[metric]
    value = price.cell.value(metric)
    if found.value == 0 and found.low in (None, 0):
        return f"{title} as before"
    span = "" if found.low is None or found.low == found.high else f" ({interval(found.low, found.high)})"
    to = "" if span else f" to {number(value)}"
    return f"{title} {signed(found.value)}{' ' + unit if unit else ''}{span}{to}"


def _ranked(results: Sequence[CellResult]) -> Iterable[Finding]:
    """Rank the stores by the time that recognising a session takes, at each number of replicas."""
    cells = [each.cell for each in results]
    fit = [each for each in results if each.cell.scheme == "session" and each.cell.duplicate_of is None]
    fit = [each for each in fit if each.measurable and not each.refused and is_usual(each.cell, cells)]
    for replicas in sorted({each.cell.replicas for each in fit}):
        here = sorted(
            (each for each in fit if each.cell.replicas == replicas), key=lambda each: each.value("auth_p50_us") or 0.0
        )
        if len({each.cell.store for each in here}) > 2:  # noqa: PLR2004 - two are told by the comparisons
            parts = [_placed(each) for each in here]
            yield Finding(
                f"stores-ranked-{replicas}r",
                "finding",
                f"Stores by auth time at {count(replicas, 'replica')}",
                f"Median time to recognise a session, shortest first: {'; '.join(parts)}.",
                tuple(each.cell.id for each in here),
            )


def _placed(result: CellResult) -> str:
    found = result.estimates["auth_p50_us"]
    span = "" if found.low is None else f" ({interval(found.low, found.high)})"
    return f"{capital(store_name(result.cell))} {number(found.value)} us{span}"


def price_name(price: Price) -> tuple[str, str]:
    """Return what changed, and in which cell, for a row of a table."""
    changed = ", ".join(option_value(name, value) for name, value in price.changed.items())
    return changed, label(price.without.cell)
