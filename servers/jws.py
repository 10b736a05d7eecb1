"""Compact JWS (RFC 7515), strictly: one spelling of each token, and no header that chooses anything.

PyJWT checks the signatures (`servers.jwk`). Taking a token apart is done here, once: its own `decode_complete` looks
at each character in a Python loop, prepares the key anew each time and accepts padding.
"""

from __future__ import annotations

import binascii
import json
from typing import Any, NamedTuple

# headers that would let a token choose its own key, or that this server does not understand (RFC 7515, 4.1)
REFUSED_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_PADDING = (b"", b"", b"==", b"=")
# the last character of a segment whose length leaves 2 or 3 over four: its spare bits must be zero (RFC 4648, 3.5)
_LAST = (frozenset(_ALPHABET), frozenset[int](), frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))


class MalformedError(ValueError):
    """What was sent is no token of one right spelling."""


class Parts(NamedTuple):
    """A token taken apart, nothing of it decoded yet; `signed` is what the signature is over."""

    header: bytes
    payload: bytes
    signature: bytes
    signed: bytes


def parts(token: str) -> Parts:
    """The three segments. Raises MalformedError."""
    try:
        raw = token.encode("ascii")
    except UnicodeEncodeError:
        raise MalformedError("not a compact JWS") from None
    # what is left without the alphabet must be the two dots between the segments
    if raw.translate(None, _ALPHABET) != b"..":
        raise MalformedError("not a compact JWS")
    signed, _, signature = raw.rpartition(b".")
    header, _, payload = signed.partition(b".")
    return Parts(header, payload, signature, signed)


def decode(segment: bytes) -> bytes:
    """What a segment of the alphabet stands for. Raises MalformedError for a second spelling of it."""
    over = len(segment) & 3
    if over and segment[-1] not in _LAST[over]:
        raise MalformedError("a segment is no canonical base64url")
    return binascii.a2b_base64(segment.translate(_STANDARD) + _PADDING[over])


def decode_object(segment: bytes) -> dict[str, Any]:
    """The JSON object in a segment. A name that stands twice, NaN and Infinity are refused. Raises MalformedError."""
    try:
        found = _decoder.decode(decode(segment).decode())
    except (ValueError, RecursionError) as error:
        raise MalformedError("a segment holds no JSON object of unique names") from error
    if not isinstance(found, dict):
        raise MalformedError("a segment holds no JSON object of unique names")
    return found


def decode_header(segment: bytes) -> dict[str, Any]:
    """The header, if it has nothing that this server refuses. Raises MalformedError."""
    header = decode_object(segment)
    if not REFUSED_HEADERS.isdisjoint(header):
        raise MalformedError("a header that this server does not accept")
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid", ""), str):
        raise MalformedError("the header's alg or kid is no text")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
