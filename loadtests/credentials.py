"""What a client sends after login: read from the login reply, so that one scenario drives every scheme."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Credential:
    """Header lines, each with its CRLF, ready for the socket.

    `line` goes with every request and is what credential_bytes counts; `state_change_line` goes beside it where a
    request changes state and a cookie carries the credential.
    """

    line: bytes = b""
    state_change_line: bytes = b""


NOTHING = Credential()


class ProtocolError(ValueError):
    """A login reply that this client cannot follow."""


def from_reply(body: bytes, set_cookies: list[bytes]) -> Credential:
    """The credential that a login (or a renewing) reply asks for.

    Raises:
        ProtocolError: the reply is not the twins' (see servers/openapi.yaml).

    """
    try:
        wanted = json.loads(body)["credential"]
        match wanted["kind"]:
            case "none":
                return NOTHING
            case "bearer":
                return Credential(f"Authorization: Bearer {wanted['access_token']}\r\n".encode())
            case "cookie":
                pair = _cookie(wanted["name"].encode(), set_cookies)
                csrf = f"{wanted['csrf_header']}: {wanted['csrf_token']}\r\n"
                return Credential(b"Cookie: " + pair + b"\r\n", csrf.encode())
            case kind:
                raise ProtocolError(f"the login reply asks for a credential of unknown kind {kind!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"the login reply is not understood: {error!r}") from error


def _cookie(name: bytes, set_cookies: list[bytes]) -> bytes:
    for value in set_cookies:
        pair = value.split(b";", 1)[0]
        if pair.split(b"=", 1)[0] == name:
            return pair
    raise ProtocolError(f"the login reply sets no cookie {name.decode()}")
