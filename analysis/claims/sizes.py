"""What the credential adds to a request, in octets on the socket."""

from __future__ import annotations

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
    by_kind = {_kind(each): each for each in cells}
    if not by_kind:
        return None
    sizes = {name: _credential(each) for name, each in by_kind.items()}
    usual = sizes.get("HS256, bearer") or next(iter(sizes.values()))
    verdict = rule_all(size.within(_MANY, _NO_END) for size in sizes.values())
    told = joined(f"{name} {number(size.value)}" for name, size in sorted(sizes.items(), key=lambda p: p[1].value))
    return Judged(verdict, usual, "bytes", f"Bytes of the header line: {told}.", _ids(cells))


def _of_size(cell: CellSeen) -> bool:
    """Whether no option but those that change the token's size differs."""
    return set(cell.options) <= {"algorithm", "carrier", "claims_bytes"} and cell.metric("credential_bytes") is not None


def _kind(cell: CellSeen) -> str:
    options = cell.options
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
        "Holds where every token has 500 bytes or more, does not hold where none has; else depends on which.",
        "make bench EXPERIMENT=tokens",
        _token_size,
    ),
)
