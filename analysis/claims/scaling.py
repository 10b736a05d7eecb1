"""What grows with replicas and with users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.claims.conjunction import Part, all_of, judged
from analysis.claims.evidence import Claim, Evidence, Interval, Judged
from analysis.claims.figures import NONE, above, below, ids, share, told
from analysis.wording import joined

PLACE = 40

_SCALING, _SATURATION, _SESSIONS, _FULL = (
    f"make bench EXPERIMENT={name}" for name in ("scaling", "saturation", "sessions", "full")
)
_LEAST_EFFICIENCY = 0.85
_LEAST_REPLICAS = 4
_TOKEN_BYTES = 16.0
"""Octets per user below which nothing of a user can be kept: an id of 128 bits is as long."""


def _stateless(evidence: Evidence) -> Judged | None:
    scales, efficiency = _tokens_scale(evidence)
    return judged(
        [scales, _tokens_ask_nobody(evidence), _unshared_fail(evidence), _store_fills(evidence)],
        efficiency,
        "of N times one",
    )


def _curves(evidence: Evidence, scheme: str) -> list[Mapping[str, Any]]:
    return [
        series
        for document in evidence.sections("scaling")
        for series in document["series"]
        if series["cells"][0].startswith(f"{scheme}-")
    ]


def _tokens_scale(evidence: Evidence) -> tuple[Part, Interval | None]:
    says = "tokens scale out"
    found = [
        (each, at, efficiency)
        for each in _curves(evidence, "token")
        if (at := each["replicas"][-1]) >= _LEAST_REPLICAS and (efficiency := Interval.of(each["efficiency"][-1]))
    ]
    if not found:
        return Part(says, missing=_SCALING), None
    each, at, efficiency = max(found, key=lambda row: row[1])
    said = f"tokens at {at} replicas served {share(efficiency)} of {at} times one"
    said += f", where {each['busiest'][-1]['kind']} was busiest"
    return Part(says, above(efficiency, _LEAST_EFFICIENCY), said, (each["cells"][-1],)), efficiency


def _tokens_ask_nobody(evidence: Evidence) -> Part:
    says = "without shared state"
    found = [
        (each, commands)
        for each in evidence.cells(scheme="token", store="none")
        if (commands := each.metric("store_commands_per_request"))
    ]
    if not found:
        return Part(says, missing=_SCALING)
    most = max((commands for _, commands in found), key=lambda figure: figure.high)
    return Part(says, most.high == 0, f"a token check makes {told(most)} store commands", (found[0][0].id,))


def _unshared_fail(evidence: Evidence) -> Part:
    says = "sessions need shared state"
    found = [
        (each, refused)
        for each in evidence.cells(scheme="session", store="memory", policy="roundrobin", options={})
        if each.facts["replicas"] > 1 and (refused := each.metric("refused_ratio"))
    ]
    if not found:
        return Part(says, missing="make bench EXPERIMENT=policies")
    each, refused = max(found, key=lambda row: int(row[0].facts["replicas"]))
    said = f"without it {each.facts['replicas']} replicas refused {share(refused)} of the requests"
    return Part(says, all_of([above(refused, NONE) for _, refused in found]), said, tuple(each.id for each, _ in found))


def _store_fills(evidence: Evidence) -> Part:
    """The store that sessions share is what is full at the most replicas, where its quota is small."""
    says = "the shared store becomes the limit"
    found = [each for each in _curves(evidence, "session") if each["bend"] and "store_cpus-" in each["cells"][0]]
    if not found:
        return Part(says, missing=_SATURATION)
    each = found[0]
    bend, last = each["bend"], each["busiest"][-1]
    predicted, observed = Interval.of(bend["predicted"]), Interval.of(bend["observed"])
    said = f"sessions' store was {share(Interval.exactly(last['share']))} busy at {each['replicas'][-1]} replicas"
    said += f"; from its demand it is full at {told(predicted)} replicas" if predicted else ""
    said += f", and the curve bends at {told(observed)}" if observed else ""
    return Part(says, last["kind"] == "store" and last["share"] > _LEAST_EFFICIENCY, said, (each["cells"][-1],))


def _memory(evidence: Evidence) -> Judged | None:
    occupied, slope = _sessions_occupy(evidence)
    return judged([occupied, _tokens_occupy_none(evidence)], slope, "bytes a user")


def _slopes(evidence: Evidence, scheme: str, *readings: str) -> list[tuple[Mapping[str, Any], Interval]]:
    """Of each cell the first of these readings that it has."""
    made = []
    for document in evidence.sections("memory"):
        for cell in document["cells"]:
            lines = [Interval.of(cell["per_session"].get(name)) for name in readings]
            known = next((each for each in lines if each), None)
            if cell["scheme"] == scheme and known:
                made.append((cell, known))
    return made


def _sessions_occupy(evidence: Evidence) -> tuple[Part, Interval | None]:
    says = "sessions occupy memory"
    found = [
        (cell, slope)
        for cell, slope in _slopes(evidence, "session", "store_bytes", "replica_rss_bytes")
        if cell["store"] not in ("file", "sqlite")  # those occupy a disk
    ]
    if not found:
        return Part(says, missing=_SESSIONS), None
    figures = joined(f"{told(slope, 'bytes')} on {cell['store']}" for cell, slope in found)
    usual = next((slope for cell, slope in found if cell["store"] == "redis"), found[0][1])
    outcome = all_of([above(slope, 0) for _, slope in found])
    said = f"one more signed-in user occupies {figures}"
    return Part(says, outcome, said, ids([cell for cell, _ in found], "cell")), usual


def _tokens_occupy_none(evidence: Evidence) -> Part:
    says = "tokens occupy none"
    found = _slopes(evidence, "token", "replica_rss_bytes")
    if not found:
        return Part(says, missing=_SESSIONS)
    figures = joined(told(slope, "bytes") for _, slope in found)
    outcome = all_of([below(slope, _TOKEN_BYTES) for _, slope in found])
    said = f"one more user with a token {figures} of the replica's"
    return Part(says, outcome, said, ids([cell for cell, _ in found], "cell"))


CLAIMS = (
    Claim(
        "stateless-scaling",
        "Tokens scale out without shared state; sessions need it.",
        "Throughput at saturation against replicas; store commands of a token check; requests that replicas refuse "
        "whose sessions are not shared; how busy the shared store is, and at how many replicas it is full",
        "Holds where tokens at the most replicas (four or more) serve over 85 % of N times one, make no store command, "
        "sessions that are not shared are refused at several replicas, and the store that is shared is over 85 % busy "
        "and the busiest at the most replicas of EXPERIMENT=saturation, where its quota is small.",
        _FULL,
        _stateless,
    ),
    Claim(
        "server-memory",
        "Sessions occupy server memory, tokens none.",
        "Slope of the store's own count, or of the replica's resident memory, against signed-in users",
        "Holds where the slope of every store in memory and every database lies above zero, and that of tokens below "
        "16 bytes a user: not even an id of 128 bits would fit.",
        _SESSIONS,
        _memory,
    ),
)
