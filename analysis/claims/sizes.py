"""What the credential adds to a request, in octets on the socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.claims.evidence import CellSeen, Claim, Evidence, Interval, Judged, rule_all
from analysis.wording import joined, number

PLACE = 10

_ABOUT_50 = 25.0, 100.0
_MANY = 500.0
_NO_END = float("inf")


def _cookie_size(evidence: Evidence) -> Judged | None:
    cells = [each for each in evidence.cells(scheme="session", options={}) if each.metric("credential_bytes")]
    if not cells:
        return None
    size = _credential(cells[0])
    verdict = rule_all(_credential(each).within(*_ABOUT_50) for each in cells)
    return Judged(verdict, size, "bytes", f"The Cookie line is {number(size.value)} bytes.", _ids(cells))


def _token_size(evidence: Evidence) -> Judged | None:
    cells = [each for each in evidence.cells(scheme="token", replicas=1) if _of_size(each)]
    sizes = {_kind(each): _credential(each) for each in cells} or _lines(evidence)
    if not sizes:
        return None
    usual = sizes.get("HS256, bearer") or next(iter(sizes.values()))
    http2 = _over_http2(evidence)
    verdict = rule_all(size.within(_MANY, _NO_END) for size in (*sizes.values(), *http2.values()))
    detail = f"Bytes of the header line: {_told(sizes)}."
    if http2:
        detail += f" Over HTTP/2 a token adds: {_told(http2)}."
    return Judged(verdict, usual, "bytes", detail, _ids(cells))


def _told(sizes: Mapping[str, Interval]) -> str:
    return joined(f"{name} {number(size.value)}" for name, size in sorted(sizes.items(), key=lambda p: p[1].value))


def _payloads(evidence: Evidence) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the tokens whose octets were counted over HTTP/1.1 and HTTP/2, each with its kind."""
    return [
        (_named(cell["options"]), cell)
        for document in evidence.sections("payload")
        for cell in document["cells"]
        if cell.get("scheme") == "token"
    ]


def _lines(evidence: Evidence) -> dict[str, Interval]:
    return {kind: size for kind, cell in _payloads(evidence) if (size := Interval.of(cell["line_bytes"]))}


def _over_http2(evidence: Evidence) -> dict[str, Interval]:
    """Return what a token adds to the first request of a connection and to every other one."""
    return {
        f"{kind}, {which}": size
        for kind, cell in _payloads(evidence)
        for which, name in (("first request", "first"), ("repeated", "repeated"))
        if (size := Interval.of(cell["added_bytes"][name]))
    }


def _of_size(cell: CellSeen) -> bool:
    """Whether no option but those that change the token's size differs."""
    return set(cell.options) <= {"algorithm", "carrier", "claims_bytes"} and cell.metric("credential_bytes") is not None


def _kind(cell: CellSeen) -> str:
    return _named(cell.options)


def _named(options: Mapping[str, str]) -> str:
    more = f" with {options['claims_bytes']} bytes of claims" if "claims_bytes" in options else ""
    return f"{options.get('algorithm', 'HS256')}, {options.get('carrier', 'bearer')}{more}"


def _credential(cell: CellSeen) -> Interval:
    found = cell.metric("credential_bytes")
    if found is None:
        raise ValueError(f"{cell.id} sends no credential")
    return found


def _ids(cells: list[CellSeen]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.id for each in cells))


CLAIMS = (
    Claim(
        "cookie-size",
        "A session adds a small cookie, about 50 bytes, to a request.",
        "Bytes of the Cookie line on the socket",
        "Holds where the line has 25 to 100 bytes (half to twice 50) in every cell; does not hold where in none.",
        "make bench",
        _cookie_size,
    ),
    Claim(
        "token-size",
        "A token adds 500 bytes or more to a request.",
        "Bytes of the Authorization or Cookie line on the socket, by algorithm, carrier and claims; and over HTTP/2",
        "Holds where every token adds 500 bytes or more, over HTTP/1.1 and, where it was measured, to the first and "
        "to a repeated request over HTTP/2; does not hold where none does; else depends on which.",
        "make bench EXPERIMENT=tokens",
        _token_size,
    ),
)
