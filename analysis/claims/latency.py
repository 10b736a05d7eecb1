"""What recognising a user takes, and where that time goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.claims.conjunction import UNDECIDED
from analysis.claims.evidence import CellSeen, Claim, Evidence, Interval, Judged, rule_all
from analysis.claims.figures import above, at_ease, per_ms
from analysis.wording import capital, joined, number

PLACE = 20

_LOOKUP_MS = 1.0, 5.0
_VERIFY_MS = 1.0
_RTT = "store_rtt_ms"
_HALF = 0.5


def _lookup_latency(evidence: Evidence) -> Judged | None:
    """Store time of a session check, by store and by round trip to it."""
    times = [(each, _named(each), time) for each in _looking_up(evidence) if (time := per_ms(each, "store_p50_us"))]
    if not times:
        return None
    usual = next((time for each, _, time in times if each.facts["store"] == "redis" and not each.options), None)
    return _judged(times, _LOOKUP_MS, usual, "store time of a request")


def _verify_latency(evidence: Evidence) -> Judged | None:
    times = [
        (each, each.options.get("algorithm", "HS256"), time)
        for each in at_ease(evidence.cells(scheme="token", replicas=1))
        if set(each.options) <= {"algorithm"} and (time := per_ms(each, "auth_p50_us"))
    ]
    if not times:
        return None
    slowest = max((time for *_, time in times), key=lambda each: each.value)
    return _judged(times, (0.0, _VERIFY_MS), slowest, "auth time")


def _judged(
    times: Sequence[tuple[CellSeen, str, Interval]], bounds: tuple[float, float], usual: Interval | None, what: str
) -> Judged:
    """Return whether each time (ms) lies within the bounds; a cell may stand in several runs, and counts in each."""
    outcomes = [time.within(*bounds) for *_, time in times]
    detail = f"Median {what}: {_spread([(name, time) for _, name, time in times])}."
    unsure = dict.fromkeys(name for (_, name, _), out in zip(times, outcomes, strict=True) if out is None)
    detail += f" {capital(UNDECIDED)}: {joined(unsure)}." if unsure else ""
    return Judged(rule_all(outcomes), usual, "ms" if usual else "", detail, _ids([each for each, *_ in times]))


def _spread(times: Iterable[tuple[str, Interval]]) -> str:
    """Return each name with its least and greatest time: `redis 0.18 to 0.22 ms and postgres 0.37 ms`."""
    found: dict[str, list[float]] = {}
    for name, time in times:
        found.setdefault(name, []).append(time.value)
    ends = sorted((min(values), max(values), name) for name, values in found.items())
    return joined(f"{name} {number(low)}{'' if low == high else f' to {number(high)}'} ms" for low, high, name in ends)


def _check_kind(evidence: Evidence) -> Judged | None:
    """Waiting against computing: the store's part of the auth time, and the store's commands."""
    sessions = [(each, part) for each in _looking_up(evidence) if (part := each.metric("auth_store_share"))]
    tokens = [each for each in evidence.cells(scheme="token", options={}) if each.metric("store_commands_per_request")]
    if not sessions or not tokens:
        return None
    asks = [_commands(each).low >= 1 for each, _ in sessions]
    never = [_commands(each).high == 0 for each in tokens]
    waits = [above(part, _HALF) for _, part in sessions]
    least_cell, least = min(sessions, key=lambda pair: pair[1].value)
    told = (
        f"A session check waits for the store for {number(100 * least.value, 2)} % of its time or more "
        f"(least on {_named(least_cell)}); a token check makes {'no' if all(never) else 'some'} store commands."
    )
    unsure = dict.fromkeys(_named(each) for (each, _), waiting in zip(sessions, waits, strict=True) if waiting is None)
    told += f" {capital(UNDECIDED)}, whether half: {joined(unsure)}." if unsure else ""
    cells = _ids([*(each for each, _ in sessions), *tokens])
    return Judged(rule_all([*asks, *never, *waits]), least, "of the auth time", told, cells)


def _looking_up(evidence: Evidence) -> list[CellSeen]:
    """Return sessions on one replica whose store is a server, as they come, at any round trip."""
    return [
        each
        for each in at_ease(evidence.cells(scheme="session", replicas=1))
        if set(each.options) <= {_RTT} and (commands := each.metric("store_commands_per_request")) and commands.value
    ]


def _named(cell: CellSeen) -> str:
    rtt = cell.options.get(_RTT)
    return f"{cell.facts['store']}{f' at {rtt} ms round trip' if rtt else ''}"


def _commands(cell: CellSeen) -> Interval:
    return cell.metric("store_commands_per_request") or Interval.exactly(0.0)


def _ids(cells: Sequence[CellSeen]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.id for each in cells))


CLAIMS = (
    Claim(
        "lookup-latency",
        "A session check takes 1 to 5 ms, set by the store.",
        "Median store time of a request (Server-Timing), by store and by round trip to it",
        "Holds where the interval lies within 1 to 5 ms on every store that is a server; does not hold where on none; "
        "else depends on the store and how far away it is.",
        "make bench EXPERIMENT=crossover",
        _lookup_latency,
    ),
    Claim(
        "verify-latency",
        "A token check takes under 1 ms.",
        "Median auth time of a request (Server-Timing), by algorithm",
        "Holds where the interval lies below 1 ms for every algorithm; does not hold where for none.",
        "make bench EXPERIMENT=tokens",
        _verify_latency,
    ),
    Claim(
        "check-kind",
        "A session check is a network call, a token check is CPU.",
        "Median share of store time in auth time of GET /me (0, 1 and 5 ms away, where measured); store commands per "
        "request by the store's own counters",
        "Holds where every session check on a server spends over half its time waiting for the store and makes one "
        "command or more, and a token check makes exactly none.",
        "make bench",
        _check_kind,
    ),
)
