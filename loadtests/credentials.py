"""What a client sends after login: read from the login reply, so that one scenario drives every scheme."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Credential:
    """Header lines, each with its CRLF, ready for the socket.

    `line` goes with every request and is what credential_bytes counts; `state_change_line` goes beside it where a
    request changes state and a cookie carries the credential. `refresh_body` is what POST /refresh takes for a new
    credential, empty where the scheme has no such thing; `lives_s` is how long the line is good, 0 where nobody said.
    """

    line: bytes = b""
    state_change_line: bytes = b""
    refresh_body: bytes = b""
    lives_s: int = 0


NOTHING = Credential()


class ProtocolError(ValueError):
    """A login reply that this client cannot follow."""


def from_reply(body: bytes, set_cookies: list[bytes], earlier: Credential = NOTHING) -> Credential:
    """The credential that a login (or a renewing) reply asks for; `earlier` is what the client had until then.

    A reply that renews the access token alone leaves the refresh token as it is.

    Raises:
        ProtocolError: the reply is not the twins' (see servers/openapi.yaml).

    """
    try:
        wanted = json.loads(body)["credential"]
        match wanted["kind"]:
            case "none":
                return NOTHING
            case "bearer":
                line = f"Authorization: Bearer {wanted['access_token']}\r\n".encode()
                return Credential(
                    line,
                    refresh_body=_refresh_body(wanted) or earlier.refresh_body,
                    lives_s=wanted.get("expires_in", 0),
                )
            case "cookie":
                pair = _cookie(wanted["name"].encode(), set_cookies)
                csrf = f"{wanted['csrf_header']}: {wanted['csrf_token']}\r\n"
                return Credential(b"Cookie: " + pair + b"\r\n", csrf.encode(), lives_s=_max_age_s(pair, set_cookies))
            case kind:
                raise ProtocolError(f"the login reply asks for a credential of unknown kind {kind!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"the login reply is not understood: {error!r}") from error


def _refresh_body(wanted: dict[str, str]) -> bytes:
    if "refresh_token" not in wanted:
        return b""
    return json.dumps({"refresh_token": wanted["refresh_token"]}).encode()


def _max_age_s(pair: bytes, set_cookies: list[bytes]) -> int:
    (attributes,) = (value.split(b";")[1:] for value in set_cookies if value.split(b";", 1)[0] == pair)
    ages = [each.strip()[len(b"max-age=") :] for each in attributes if each.strip().lower().startswith(b"max-age=")]
    return int(ages[0]) if ages else 0


def _cookie(name: bytes, set_cookies: list[bytes]) -> bytes:
    for value in set_cookies:
        pair = value.split(b";", 1)[0]
        if pair.split(b"=", 1)[0] == name:
            return pair
    raise ProtocolError(f"the login reply sets no cookie {name.decode()}")
