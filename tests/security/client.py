"""What the suite asks a server with: plain HTTP, one connection per request, nothing hidden."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_S = 15
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        """The value of the only header of that name."""
        (value,) = self.all(name)
        return value

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies that it sets, by name."""
        pairs = (line.partition(";")[0].partition("=") for line in self.all("Set-Cookie"))
        return {name.strip(): value for name, _, value in pairs if value}


@dataclass(frozen=True)
class Login:
    """What a client that signed in sends from then on: read from the reply, whatever the scheme."""

    reply: Reply
    headers: dict[str, str]
    csrf: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, reply: Reply) -> Login:
        """The reply to a sign-in, or to a refresh."""
        credential = reply.json["credential"]
        csrf = {credential["csrf_header"]: credential["csrf_token"]} if "csrf_token" in credential else {}
        cookies = reply.cookies
        if credential["kind"] == "bearer":
            return cls(reply, {"Authorization": f"Bearer {credential['access_token']}"}, csrf, cookies)
        if credential["kind"] == "none":
            return cls(reply, {}, csrf, cookies)
        return cls(reply, {"Cookie": f"{credential['name']}={cookies[credential['name']]}"}, csrf, cookies)

    @property
    def credential(self) -> dict[str, Any]:
        """As the body tells it."""
        credential: dict[str, Any] = self.reply.json["credential"]
        return credential

    @property
    def change(self) -> dict[str, str]:
        """Headers of a request that changes state."""
        return self.headers | self.csrf

    @property
    def secret(self) -> str:
        """What proves who it is, as the client holds it; empty where nothing does."""
        return next((value.partition(self._before(name))[2] for name, value in self.headers.items()), "")

    @property
    def jwt(self) -> str | None:
        """The access token, if that is what the client holds."""
        return self.secret if _JWT.fullmatch(self.secret) else None

    @property
    def refresh(self) -> str | None:
        """What renews the credential, wherever it came: in the body, or in a cookie of its own."""
        if "refresh_token" in self.credential:
            return str(self.credential["refresh_token"])
        return next((value for name, value in self.cookies.items() if "refresh" in name), None)

    def holding(self, secret: str) -> dict[str, str]:
        """The headers of a client that holds `secret` in place of its own."""
        return {name: f"{value.partition(self._before(name))[0]}{self._before(name)}{secret}"
                for name, value in self.headers.items()}  # fmt: skip

    @staticmethod
    def _before(name: str) -> str:
        return "=" if name == "Cookie" else " "


def ask(
    url: str,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: Any = None,
    *,
    raw: bytes | None = None,
    authority: Path | None = None,
) -> Reply:
    """One request on a connection of its own; `body` goes as JSON, `raw` as it is."""
    sent = dict(headers or {})
    if body is not None:
        raw = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        trust = ssl.create_default_context(cafile=authority)
        connection = http.client.HTTPSConnection(address.hostname, address.port, timeout=_TIMEOUT_S, context=trust)
    else:
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request(method, path, raw, sent)
        answer = connection.getresponse()
        return Reply(answer.status, answer.getheaders(), answer.read())
