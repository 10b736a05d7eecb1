"""One server of the lab and a browser at it: a real topology behind TLS, pages beside it, what the balancer saw."""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from loadtests.chromium import BrowserError, Chromium, pin
from loadtests.client import HttpClient, client_of
from loadtests.lab_pages import PATH, Pages
from servers.users import PASSWORD, user_name
from topology.balancer import Beside
from topology.local import Accounts, RunningTopology, running
from topology.ports import LOOPBACK
from topology.reaper import Reaper
from topology.spec import NO_STORE, Topology

BANK, SIBLING, OTHER = "bank.test", "blog.bank.test", "attacker.test"
"""The application's host, another host of its site, and another site."""
ACCOUNTS = 10
_SEEN_S = 10.0


@dataclass(frozen=True)
class Server:
    """What a site runs: a scheme with its options, and the protections that are taken away (`servers.unsafe`).

    And whether the browser gives a site in another site's page its cookies.
    """

    name: str
    scheme: str
    options: Mapping[str, str] = field(default_factory=dict)
    unsafe: Mapping[str, str] = field(default_factory=dict)
    third_party_cookies: bool = True

    @property
    def topology(self) -> Topology:
        """One replica behind a balancer that speaks TLS."""
        store = "memory" if self.scheme == "session" else NO_STORE
        return Topology(self.scheme, store, 1, options={**self.options, "tls": "on"}, settings=self.unsafe)

    @property
    def cookie(self) -> str:
        """The cookie that carries the credential; empty where a header does."""
        if self.scheme == "session":
            return "__Host-session"
        return "__Host-token" if self.options.get("carrier") == "cookie" else ""


@dataclass(frozen=True)
class Seen:
    """One request as the balancer saw it."""

    method: str
    path: str
    status: int
    cookie_bytes: int
    authorization_bytes: int
    origin: str
    site: str

    @classmethod
    def read(cls, line: bytes) -> Seen:
        """Of a line of the balancer's log."""
        told = {name: "" if value == "-" else value for name, value in json.loads(line).items()}
        return cls(
            method=told["method"],
            path=told["path"],
            status=int(told["status"]),
            cookie_bytes=int(told["cookie_bytes"] or 0),
            authorization_bytes=int(told["authorization_bytes"] or 0),
            origin=told["origin"],
            site=told["site"],
        )


class Site:
    """What an attempt needs: the browser, the pages, the servers, and what went through the balancer."""

    def __init__(
        self, server: Server, servers: RunningTopology, browser: Chromium, pages: Pages, log: socket.socket
    ) -> None:
        self.server, self.browser, self.pages = server, browser, pages
        self._servers, self._log = servers, log
        self._numbers = itertools.count(1)
        self._port = urlsplit(servers.url).port

    def url(self, host: str, page: str = "", **query: str) -> str:
        """Of a page of the lab, or of a host."""
        asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        return f"https://{host}:{self._port}" + (f"{PATH}{page}?{asked}" if page else "")

    def sign_in(self, keep: str, comment: str = "none") -> str:
        """Open the application's page and sign in there; returns the attempt's number. Raises BrowserError."""
        number = str(next(self._numbers))
        self.browser.forget(*(self.url(host) for host in (BANK, SIBLING, OTHER)))
        self._open_bank(number, keep, comment)
        if (status := self.click("sign-in")) != 200:  # noqa: PLR2004 - an HTTP status
            raise BrowserError(f"{self.server.name}: the page could not sign in: {status}")
        return number

    def attack_from(self, host: str) -> str:
        """Open the attacker's page on a host; returns the attempt's number."""
        self.browser.open(self.url(host, "attack"))
        return str(next(self._numbers))

    def click(self, button: str) -> Any:
        """Press a button of the application's page; returns the status of its request, or what failed."""
        return self.browser.evaluate(
            "new Promise(done => { document.addEventListener('settled', told => done(told.detail), {once: true}); "
            f"document.getElementById('{button}').click(); }})"
        )

    def seen(self, number: str) -> list[Seen]:
        """Every request of an attempt, once the first is answered: a preflight may be all there is.

        Raises BrowserError when none comes.
        """
        found: list[Seen] = []
        with contextlib.suppress(TimeoutError):
            while not found:
                line = self._log.recv(1 << 16)
                if not line.startswith(b"{"):
                    continue  # of a connection without a request
                each = Seen.read(line)
                found += [each] if f"attempt={number}" in each.path.partition("?")[2].split("&") else []
        if not found:
            raise BrowserError(f"{self.server.name}: no request of attempt {number} came within {_SEEN_S:g} s")
        return found

    def client(self) -> HttpClient:
        """A client that is no browser, of the same servers."""
        return client_of(self._servers.url, self._servers.authority)

    def ask(self, header_lines: bytes) -> dict[str, Any]:
        """GET /me with these lines, from outside the browser; empty unless it is answered 200."""
        client = self.client()
        answer = client.request(b"GET", b"/me", header_lines)
        client.close()
        if answer.failure is not None:
            raise BrowserError(f"{self.server.name}: GET /me: {answer.failure}")
        return dict(json.loads(answer.body)) if answer.status == 200 else {}  # noqa: PLR2004 - an HTTP status

    def serial(self) -> int | None:
        """How often the user's state has changed, asked of the server with the cookie that the browser keeps.

        None where no cookie carries the credential: there the balancer's log is the witness.
        """
        if not self.server.cookie:
            return None
        value = self.browser.cookies().get(self.server.cookie)
        if value is None:
            raise BrowserError(f"{self.server.name}: the browser does not keep {self.server.cookie}")
        return int(self.ask(f"Cookie: {self.server.cookie}={value}\r\n".encode())["serial"])

    def _open_bank(self, number: str, keep: str, comment: str) -> None:
        user = f"#name={user_name(0, ACCOUNTS)}&password={quote(PASSWORD)}&attempt={number}"
        self.browser.open("about:blank")  # the same address with another fragment would not load the page anew
        self.browser.open(self.url(BANK, "bank", keep=keep, comment=comment) + user)


@contextlib.contextmanager
def site(server: Server, accounts: Accounts, folder: Path, reaper: Reaper) -> Iterator[Site]:
    """Start servers, pages and a browser with an empty profile. Raises ComponentError, BrowserError, BinaryError."""
    mark = secrets.token_hex(4)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        log.bind((LOOPBACK, 0))
        log.settimeout(_SEEN_S)
        pages = stack.enter_context(Pages())
        beside = Beside(PATH, pages.port, log.getsockname()[1])
        servers = stack.enter_context(
            running(server.topology, accounts, logs=folder / server.name, reaper=reaper, beside=beside)
        )
        if servers.certificate is None:
            raise BrowserError(f"{server.name}: the balancer speaks no TLS")
        key = pin(servers.certificate.server)
        browser = Chromium(
            reaper.folder / f"profile-{mark}", (BANK, SIBLING, OTHER), (key,), reaper,
            third_party_cookies=server.third_party_cookies,
        )  # fmt: skip
        yield Site(server, servers, stack.enter_context(browser), pages, log)
