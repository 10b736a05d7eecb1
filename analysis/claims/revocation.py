"""How soon a log-out holds, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.claims.conjunction import UNDECIDED, all_of
from analysis.claims.evidence import Claim, Evidence, Interval, Judged, rule_all
from analysis.claims.figures import below, ids, less, told
from analysis.wording import capital, joined, number

PLACE = 70

_REVOCATION, _HYBRID = "make bench EXPERIMENT=revocation", "make bench EXPERIMENT=hybrid"
_FULL = "make bench EXPERIMENT=full"
_AT_ONCE_MS = 100.0
"""Below this a person takes an answer for instant (Miller 1968; Nielsen 1993)."""
_LESS_COMMANDS = 0.5
_LIVES = ("token_ttl_s", "access_ttl_s", "hash_cost")
"""Options that say how long a watch must be, and no kind of token."""


def _cells(evidence: Evidence, scheme: str) -> list[Mapping[str, Any]]:
    return [
        each
        for document in evidence.sections("revocation")
        for each in document["cells"]
        if each["scheme"] == scheme and each["way"] == "logout"
    ]


def _p99(cell: Mapping[str, Any]) -> Interval | None:
    """Return the 99th percentile in ms; None where too few log-outs bound it from above."""
    return Interval.of(cell["p99_ms"]) if cell["supported"] else None


def _at_once(cell: Mapping[str, Any]) -> bool | None:
    """Whether 99 of 100 log-outs hold on every replica within 100 ms; None where the figure does not tell."""
    if cell["unended"]:
        return False
    found = cell["p99_ms"]
    if found["low"] is not None and found["low"] > _AT_ONCE_MS:
        return False
    bounded = _p99(cell)
    return below(bounded, _AT_ONCE_MS) if bounded else None


def _session(evidence: Evidence) -> Judged | None:
    cells = [each for each in _cells(evidence, "session") if each["supported"]]
    if not cells:
        return None
    outcomes = [_at_once(each) for each in cells]
    times = joined(f"{each['store']} {_time(each)}" for each in cells)
    least = joined(f"{each['store']} ({each['known_by'][0]})" for each in cells)
    detail = f"Milliseconds until every replica refused, p99: {times}. Replicas that knew the session: {least}."
    detail += f" Where it is none of both, it {UNDECIDED}." if None in outcomes else ""
    usual = next((each for each in cells if each["store"] == "redis"), cells[0])
    return Judged(rule_all(outcomes), _p99(usual), "ms at p99", detail, ids(cells, "cell"))


def _time(cell: Mapping[str, Any]) -> str:
    figure = _p99(cell)
    if figure:
        return told(figure)
    found = cell["p99_ms"]
    return f"{'at least ' if found['at_least'] else ''}{number(found['value'])} (no upper end)"


def _until_it_ends(cell: Mapping[str, Any]) -> bool:
    """Whether nothing but the end of its own life ends it, as far as the log-out goes."""
    return not cell["supported"] or bool(cell["ends_with_its_life"]) or bool(cell["unended"])


def _token(evidence: Evidence) -> Judged | None:
    """Holds as long as no kind of token is ended by a log-out."""
    cells = _cells(evidence, "token")
    if not any("revocation" not in each["options"] for each in cells):
        return None
    outcomes = [_until_it_ends(each) for each in cells]
    kept = [each for each, outcome in zip(cells, outcomes, strict=True) if outcome]
    ended = [each for each, outcome in zip(cells, outcomes, strict=True) if not outcome]
    detail = f"To its end is accepted: {joined(_kind(each) for each in kept) or 'none'}."
    if ended:
        detail += f" Ended by the log-out, p99: {joined(f'{_kind(each)} {_time(each)} ms' for each in ended)}."
    hybrid = [each for each in _cells(evidence, "hybrid") if each["supported"]]
    if hybrid:
        detail += f" With hybrid's short life: {joined(f'{_time(each)} ms' for each in hybrid)}."
    verdict = rule_all(outcomes)
    detail += " It depends on a list that is looked up with each request." if verdict == "depends" else ""
    figure = next((_p99(each) for each in kept if _p99(each)), None)
    return Judged(verdict, figure, "ms at p99" if figure else "", detail, ids(cells, "cell"))


def _kind(cell: Mapping[str, Any]) -> str:
    own = {name: value for name, value in cell["options"].items() if name not in _LIVES}
    words = [own.get("revocation", "a token by itself")]
    words += ["with a cache of verified tokens"] if own.get("verify_cache") == "on" else []
    refused = f" (it has no such way: {cell['status']})" if not cell["supported"] else ""
    return " ".join(words) + refused


def _both(evidence: Evidence) -> Judged | None:
    """Commands of hybrid's shortest life beside a session's; when its log-outs hold."""
    lives = [each for document in evidence.sections("access-life") for each in document["cells"]]
    known = [(each, at) for each in lives if (at := Interval.of(each["store_commands_per_request"]))]
    sessions = [
        commands
        for each in evidence.cells(scheme="session", store="redis", replicas=1, options={})
        if (commands := each.metric("store_commands_per_request"))
    ]
    watched = [each for each in _cells(evidence, "hybrid") if each["supported"] and "revocation" not in each["options"]]
    if not (known and sessions and watched):
        return _half_of_it(known, sessions, watched)
    shortest, commands = min(known, key=lambda row: int(row[0]["life_s"]))
    fewer = less(commands, sessions[0].times(_LESS_COMMANDS))
    outcomes = [_at_once(each) for each in watched]
    ends = [each["unended"] == 0 and _by_its_life(each) for each in watched]
    at_a_life = joined(f"{told(at)} at {each['life_s']} s" for each, at in sorted(known, key=lambda r: r[0]["life_s"]))
    detail = f"Store commands a request by the life of an access token: {at_a_life}; a session makes "
    detail += f"{told(sessions[0])}. Log-outs held after, p99: {joined(f'{_time(each)} ms' for each in watched)}."
    if fewer is False or not all(ends):
        verdict = rule_all([False])
    elif fewer and all_of(outcomes):
        verdict = rule_all([True])
    else:
        verdict = rule_all([None])
        detail += (
            f" Whether it makes under half of a session's commands {UNDECIDED}."
            if fewer is None
            else " It depends on the life: a log-out holds at the end of the access token's, not at once."
        )
    cells = (*ids([row for row, _ in known], "cell"), *ids(watched, "cell"))
    return Judged(verdict, commands, f"commands a request at {shortest['life_s']} s", detail, cells)


def _by_its_life(cell: Mapping[str, Any]) -> bool:
    """Whether the last log-out held by the end of the life that was left, but for the 100 ms of `at once`."""
    most = cell["most_remaining_ms"]
    return most is None or float(cell["max_ms"]) <= float(most) + _AT_ONCE_MS


def _half_of_it(known: Sequence[object], sessions: Sequence[object], watched: Sequence[object]) -> Judged | None:
    if not (known or watched):
        return None
    lacking = [_HYBRID] if not (known and sessions) else []
    lacking += [f"{_REVOCATION} SCHEMES=hybrid"] if not watched else []
    there = "store commands" if known else "revocation"
    commands = joined(f"`{each}`" for each in lacking)
    return Judged("not measured", None, "", f"{capital(there)} alone was measured; besides: {commands}.")


CLAIMS = (
    Claim(
        "revocation-session",
        "A session can be revoked at once, everywhere.",
        "Time from the acknowledgement of a log-out until every replica refuses, by store",
        "Holds where on every store 99 of 100 log-outs hold on every replica that knew the session within 100 ms (the "
        "interval of p99, which needs 368 log-outs, lies below it); does not hold where on none.",
        _REVOCATION,
        _session,
    ),
    Claim(
        "revocation-token",
        "A token cannot be revoked before it expires.",
        "The same; of a token by itself, with a denylist or an epoch, and with a cache of verified tokens",
        "Holds where every kind of token is accepted to the end of its life, or has no way to be signed out; does not "
        "hold where a log-out ends every kind; else depends on which.",
        _REVOCATION,
        _token,
    ),
    Claim(
        "hybrid",
        "Short tokens plus refresh tokens that can be revoked give both: few look-ups and revocation.",
        "Store commands per request against the life of the access token; time from a log-out until every replica "
        "refuses",
        "Holds where the shortest life makes under half of a session's commands and 99 of 100 log-outs hold within "
        "100 ms; does not hold where it makes more, or a log-out does not hold by the end of the access token; where "
        "it holds at that end, depends on the life.",
        _FULL,
        _both,
    ),
)
