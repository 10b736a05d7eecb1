"""What recognising a user takes, and where that time goes."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.claims.evidence import CellSeen, Claim, Evidence, Interval, Judged, rule_all
from analysis.wording import joined, number

PLACE = 20

_LOOKUP_MS = 1.0, 5.0
_VERIFY_MS = 1.0
_RTT = "store_rtt_ms"
_HALF = 0.5


def _lookup_latency(evidence: Evidence) -> Judged | None:
    """Store time of a session check, by store and by round trip to it."""
    cells = [each for each in _looking_up(evidence) if each.metric("store_p50_us")]
    if not cells:
        return None
    times = {f"{_named(each)}": _ms(each, "store_p50_us") for each in cells}
    verdict = rule_all(time.within(*_LOOKUP_MS) for time in times.values())
    told = joined(f"{name} {number(time.value)} ms" for name, time in sorted(times.items(), key=_by_time))
    usual = next(
        (_ms(each, "store_p50_us") for each in cells if each.facts["store"] == "redis" and not each.options), None
    )
    return Judged(verdict, usual, "ms", f"Median store time of a request: {told}.", _ids(cells))


def _verify_latency(evidence: Evidence) -> Judged | None:
    cells = [
        each
        for each in evidence.cells(scheme="token", replicas=1)
        if set(each.options) <= {"algorithm"} and each.metric("auth_p50_us")
    ]
    if not cells:
        return None
    times = {each.options.get("algorithm", "HS256"): _ms(each, "auth_p50_us") for each in cells}
    verdict = rule_all(time.within(0, _VERIFY_MS) for time in times.values())
    told = joined(f"{name} {number(time.value)} ms" for name, time in sorted(times.items(), key=_by_time))
    return Judged(
        verdict, max(times.values(), key=lambda each: each.value), "ms", f"Median auth time: {told}.", _ids(cells)
    )


def _check_kind(evidence: Evidence) -> Judged | None:
    """Waiting against computing: the store's part of the auth time, and the store's commands."""
    sessions = [each for each in _looking_up(evidence) if each.metric("store_p50_us") and each.metric("auth_p50_us")]
    tokens = [each for each in evidence.cells(scheme="token", options={}) if each.metric("store_commands_per_request")]
    if not sessions or not tokens:
        return None
    shares = {_named(each): _share(each) for each in sessions}
    asks = [_commands(each).low >= 1 for each in sessions]
    never = [_commands(each).high == 0 for each in tokens]
    verdict = rule_all([*asks, *never, *(share > _HALF for share in shares.values())])
    least = min(shares, key=lambda name: shares[name])
    told = (
        f"A session check waits for the store {number(100 * shares[least], 2)} % of its time or more "
        f"(least {least}); a token check makes {'no' if all(never) else 'some'} store commands."
    )
    return Judged(verdict, Interval.exactly(shares[least]), "of the auth time", told, _ids([*sessions, *tokens]))


def _looking_up(evidence: Evidence) -> list[CellSeen]:
    """Return sessions on one replica whose store is a server, as they come, at any round trip."""
    return [
        each
        for each in evidence.cells(scheme="session", replicas=1)
        if set(each.options) <= {_RTT} and (commands := each.metric("store_commands_per_request")) and commands.value
    ]


def _named(cell: CellSeen) -> str:
    rtt = cell.options.get(_RTT)
    return f"{cell.facts['store']}{f' at {rtt} ms round trip' if rtt else ''}"


def _commands(cell: CellSeen) -> Interval:
    return cell.metric("store_commands_per_request") or Interval.exactly(0.0)


def _ms(cell: CellSeen, metric: str) -> Interval:
    found = cell.metric(metric)
    if found is None:
        raise ValueError(f"{cell.id} has no {metric}")
    return found.times(1e-3)


def _share(cell: CellSeen) -> float:
    whole = _ms(cell, "auth_p50_us").value
    return min(1.0, _ms(cell, "store_p50_us").value / whole) if whole else 0.0  # sign-ins alone recognise nobody


def _by_time(pair: tuple[str, Interval]) -> float:
    return pair[1].value


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
        "Median store time over median auth time; store commands per request by the store's own counters",
        "Holds where every session check on a server spends over half its time waiting for the store and makes one "
        "command or more, and a token check makes exactly none.",
        "make bench",
        _check_kind,
    ),
)
