"""What the credential adds to a request, in octets on the socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from analysis.claims.evidence import CellSeen, Claim, Evidence, Interval, Judged, rule_all
from analysis.wording import count_of, number

PLACE = 10

_ABOUT_50 = 25.0, 100.0
_MANY = 500.0
_NO_END = float("inf")


class Kind(NamedTuple):
    """What decides a token's size: algorithm and carrier, and the bytes of claims besides its own."""

    name: str
    claims_bytes: int = 0


_USUAL = Kind("HS256, bearer")


def _cookie_size(evidence: Evidence) -> Judged | None:
    cells = [each for each in evidence.cells(scheme="session", options={}) if each.metric("credential_bytes")]
    if not cells:
        return None
    size = _credential(cells[0])
    verdict = rule_all(_credential(each).within(*_ABOUT_50) for each in cells)
    return Judged(verdict, size, "bytes", f"The Cookie line is {number(size.value)} bytes.", _ids(cells))


def _token_size(evidence: Evidence) -> Judged | None:
    cells = [each for each in evidence.cells(scheme="token", replicas=1) if _of_size(each)]
    sizes = {_kind(each.options): _credential(each) for each in cells} or _lines(evidence)
    if not sizes:
        return None
    usual = sizes.get(_USUAL) or next(iter(sizes.values()))
    first, repeated = (_over_http2(evidence, which) for which in ("first", "repeated"))
    every = (*sizes.values(), *first.values(), *repeated.values())
    detail = f"Over HTTP/1.1 {_span(sizes)}."
    if first and repeated:
        detail += f" Over HTTP/2 the first request of a connection pays {_span(first)}; a later one {_span(repeated)}."
    detail += f" {_reach(sizes)}"
    return Judged(rule_all(size.within(_MANY, _NO_END) for size in every), usual, "bytes", detail, _ids(cells))


def _span(sizes: Mapping[Kind, Interval]) -> str:
    """Return the ends, tokens with more claims apart: `378 (HS256, cookie) to 725 bytes (RS256, bearer)`."""
    own = {kind: size.value for kind, size in sizes.items() if not kind.claims_bytes}
    more = {kind: size.value for kind, size in sizes.items() if kind.claims_bytes}
    least, most = (end(own or more, key=(own or more).__getitem__) for end in (min, max))
    low, high = ((own or more)[kind] for kind in (least, most))
    told = (
        count_of(high, "byte") if low == high else f"{number(low)} ({least.name}) to {number(high)} bytes ({most.name})"
    )
    return told if not own or not more else f"{told}, with more claims up to {number(max(more.values()))}"


def _reach(sizes: Mapping[Kind, Interval]) -> str:
    """Return which tokens reach 500 bytes over HTTP/1.1: that is what it depends on."""
    reach = {kind: size.low >= _MANY for kind, size in sizes.items()}
    named = [kind.name for kind, reaches in reach.items() if reaches and not kind.claims_bytes]
    counts = sorted({kind.claims_bytes for kind in reach if kind.claims_bytes})
    enough = (at for at in counts if all(reaches for kind, reaches in reach.items() if kind.claims_bytes >= at))
    named += [f"{claims:,} bytes of claims" for claims in [next(enough, None)] if claims]
    return f"It takes {_either(named)} to reach {number(_MANY)}." if named else f"None reaches {number(_MANY)}."


def _either(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _payloads(evidence: Evidence) -> list[tuple[Kind, Mapping[str, Any]]]:
    """Return the tokens whose octets were counted over HTTP/1.1 and HTTP/2, each with its kind."""
    return [
        (_kind(cell["options"]), cell)
        for document in evidence.sections("payload")
        for cell in document["cells"]
        if cell.get("scheme") == "token"
    ]


def _lines(evidence: Evidence) -> dict[Kind, Interval]:
    return {kind: size for kind, cell in _payloads(evidence) if (size := Interval.of(cell["line_bytes"]))}


def _over_http2(evidence: Evidence, which: str) -> dict[Kind, Interval]:
    """Return what a token adds to the `first` request of a connection, or to a `repeated` one."""
    return {kind: size for kind, cell in _payloads(evidence) if (size := Interval.of(cell["added_bytes"][which]))}


def _of_size(cell: CellSeen) -> bool:
    """Whether no option but those that change the token's size differs."""
    return set(cell.options) <= {"algorithm", "carrier", "claims_bytes"} and cell.metric("credential_bytes") is not None


def _kind(options: Mapping[str, str]) -> Kind:
    name = f"{options.get('algorithm', 'HS256')}, {options.get('carrier', 'bearer')}"
    return Kind(name, int(options.get("claims_bytes", 0)))


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
