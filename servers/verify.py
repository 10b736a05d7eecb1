"""Check tokens by the servers' own verifier: `python -m servers.verify < lines`.

Each line of the input is a JSON object `{"jwk": {...}, "token": "...", "algorithms": [...]}`, each of the output
`{"valid": true, "error": null}` or `{"valid": false, "error": "why"}`. For test vectors of others, and to ask why a
token was refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from servers import jws
from servers.jwk import KeyRefusedError, proper_name, verification_key
from servers.tokens import ACCESS, MAX_LENGTH, InvalidTokenError, check_claims, check_signature

_REASONS = (KeyRefusedError, jws.MalformedError, InvalidTokenError)


@dataclass(frozen=True)
class Expected:
    """What a token's claims must say."""

    issuer: str
    audience: str
    type_name: str = ACCESS


def check(line: str, expected: Expected | None) -> None:
    """Raise ValueError, which says why, unless the line's token is good; `expected` None for the signature alone."""
    request = _request(line)
    algorithms, token = request.get("algorithms"), request.get("token")
    if not isinstance(algorithms, list) or not all(isinstance(each, str) for each in algorithms):
        raise InvalidTokenError("algorithms is no list of names")
    if not isinstance(token, str):
        raise InvalidTokenError("token is no text")
    if expected is not None and len(token) > MAX_LENGTH:
        raise InvalidTokenError("too long")
    parts = jws.parts(token)
    header = jws.decode_header(parts.header)
    algorithm = proper_name(header["alg"])
    if algorithm not in {proper_name(each) for each in algorithms}:
        raise InvalidTokenError(f"the algorithm is not among {', '.join(algorithms) or 'none'}")
    key = verification_key(request.get("jwk"), algorithm)
    _check_header(header, request["jwk"].get("kid"), expected)
    jws.decode(parts.payload)
    check_signature(key, parts)
    if expected is not None:
        check_claims(jws.decode_object(parts.payload), expected.issuer, expected.audience)


def verdict(line: str, expected: Expected | None) -> dict[str, Any]:
    """The answer to one line, whatever it holds."""
    try:
        check(line, expected)
    except _REASONS as error:
        return {"valid": False, "error": str(error)}
    return {"valid": True, "error": None}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line: 0 when every line has its answer, 2 when the command line itself is wrong."""
    parser = argparse.ArgumentParser(prog="python -m servers.verify", description="Check tokens, one JSON line each.")
    parser.add_argument("--signature-only", action="store_true", help="neither claims nor the token's type")
    parser.add_argument("--issuer", default="authscale")
    parser.add_argument("--audience", default="authscale")
    arguments = parser.parse_args(argv)
    expected = None if arguments.signature_only else Expected(arguments.issuer, arguments.audience)
    for raw in sys.stdin.buffer:
        sys.stdout.write(json.dumps(verdict(raw.decode("utf-8", "replace"), expected)) + "\n")
        sys.stdout.flush()
    return 0


def _request(line: str) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidTokenError("the line is no JSON") from error
    if not isinstance(request, dict):
        raise InvalidTokenError("the line is no JSON object")
    return request


def _check_header(header: dict[str, Any], kid: Any, expected: Expected | None) -> None:
    named = header.get("kid")
    if kid is not None and named is not None and named != kid:
        raise InvalidTokenError("names another key")
    if expected is None:
        return
    if named is None:
        raise InvalidTokenError("names no key")
    if header.get("typ") != expected.type_name:
        raise InvalidTokenError("of another type")


if __name__ == "__main__":
    sys.exit(main())
