"""Locust's own clients behind the virtual user's seam, so that a scenario runs with any of them (`--client`).

`fasthttp` is the session of FastHttpUser (geventhttpclient), `http` that of HttpUser (requests). What they would do of
themselves is taken from them, because it would hide what is measured: no cookie jar (the credential is the virtual
user's), no redirects, no second try; and Locust's request event is left to the virtual user, who knows when the request
was due and what the answer should have been, so that it fires once. An idle connection that the server has closed is
the exception: they see that before they send, and open another.

Octets are counted by the sockets that the clients are given, inside TLS where there is TLS. Locust, which patches the
process, must have been imported before this module is.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent.socket
import gevent.ssl
import requests
from geventhttpclient.client import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.useragent import RetriesExceeded
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ReadTimeoutError

from loadtests import cooperative
from loadtests.client import Answer, Client, client_of

_END_OF_HEAD = b"\r\n\r\n"
_ANY_STATUS = frozenset(range(1000))


def make(name: str, url: str, authority: Path | None, timeout_s: float) -> Client:
    """The client called `name` (see `loadtests.client.CLIENTS`) of the server at `url`."""
    if name == "lean":
        return client_of(url, authority, timeout_s, cooperative.connect)
    session = _FastHttp if name == "fasthttp" else _Requests
    return StockClient(session, url, authority, timeout_s)


class Tally:
    """What went through a client's sockets since the last request began, octet for octet."""

    def __init__(self) -> None:
        self.connections = 0
        self.begin()

    def begin(self) -> None:
        """A request begins."""
        self.sent = bytearray()
        self.received = bytearray()
        self.first_byte_ns = 0
        self.opened = False

    def note_received(self, data: bytes | memoryview) -> None:
        """Octets came."""
        if not self.received and data:
            self.first_byte_ns = time.monotonic_ns()
        self.received += data


def _counting(kind: type, tally: Tally) -> type:
    """A kind of gevent's socket that tells `tally` what passes; whatever sends goes through `send`."""

    class Counting(kind):  # type: ignore[misc]  # the kind is known at run time
        def send(self, data: Any, flags: int = 0, **timeout: Any) -> int:
            count: int = super().send(data, flags, **timeout)
            tally.sent += memoryview(data)[:count]
            return count

        def recv(self, *size: Any) -> bytes:
            data: bytes = super().recv(*size)
            tally.note_received(data)
            return data

        def recv_into(self, buffer: Any, *size: Any) -> int:
            count: int = super().recv_into(buffer, *size)
            tally.note_received(memoryview(buffer)[:count])
            return count

    return Counting


class StockClient:
    """One user's session of a stock client. Not for use by two greenlets at once."""

    def __init__(self, session: Callable[..., Any], url: str, authority: Path | None, timeout_s: float) -> None:
        self._tally = Tally()
        self._session = session(url, self._tally, _tls_context(self._tally, url, authority), authority, timeout_s)

    def request(self, method: bytes, path: bytes, header_lines: bytes = b"", body: bytes = b"") -> Answer:
        """Send one request and read its answer. Never raises for what the network or the server does."""
        headers = dict(line.split(": ", 1) for line in header_lines.decode("latin-1").split("\r\n") if line)
        if body:
            headers.setdefault("Content-Type", "application/json")
        tally = self._tally
        tally.begin()
        answer = Answer(time.monotonic_ns())
        status, content, failure = self._session.exchange(method.decode(), path.decode(), headers, body or None)
        answer.ended_ns = time.monotonic_ns()
        answer.connection_reused = not tally.opened
        answer.first_byte_ns = tally.first_byte_ns
        answer.request_head_bytes, answer.request_body_bytes = _split(tally.sent)
        answer.failure = failure
        if failure is None:
            answer.status, answer.body = status, content or b""
            answer.response_head_bytes, answer.response_body_bytes = _split(tally.received)
            answer.head = bytes(tally.received[: answer.response_head_bytes])
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._session.close()


def _split(octets: bytearray) -> tuple[int, int]:
    """Octets of the head and of what follows."""
    end = octets.find(_END_OF_HEAD)
    head = len(octets) if end < 0 else end + len(_END_OF_HEAD)
    return head, len(octets) - head


def _tls_context(tally: Tally, url: str, authority: Path | None) -> ssl.SSLContext | None:
    if urlsplit(url).scheme != "https":
        return None
    context: Any = gevent.ssl.create_default_context(cafile=authority)
    context.sslsocket_class = _counting(gevent.ssl.SSLSocket, tally)
    return context  # type: ignore[no-any-return]  # gevent's is one


class _FastHttp:
    """FastHttpUser's session, on a pool of one connection."""

    def __init__(
        self, url: str, tally: Tally, context: ssl.SSLContext | None, _authority: Path | None, timeout_s: float
    ) -> None:
        self._told = _Told()
        self._session = FastHttpSession(
            url, self._told, None, insecure=False, ssl_context_factory=lambda **_: context, max_retries=0,
            concurrency=1, connection_timeout=timeout_s, network_timeout=timeout_s,
        )  # fmt: skip
        agent = self._session.client
        agent.cookiejar = None
        agent.valid_response_codes = _ANY_STATUS  # type: ignore[misc]  # a 401 is an answer like any other
        agent.redirect_response_codes = frozenset()  # type: ignore[misc]
        client: HTTPClient = agent.clientpool.get_client(url)
        _count_in_pool(client._connection_pool, tally)  # noqa: SLF001 - the one place where its sockets are made

    def exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, bytes | None, Exception | None]:
        """Status, body and failure of one request."""
        response: Any = self._session.request(method, path, data=body, headers=headers)  # type: ignore[arg-type]  # octets are taken, too
        failure = self._told.exception
        return (0, None, _plain(failure)) if failure else (response.status_code, response.content, None)

    def close(self) -> None:
        self._session.client.close()


class _Told:
    """Takes the place of Locust's request event: keeps what the session says went wrong, a body cut short included."""

    exception: Exception | None = None

    def fire(self, *, exception: Exception | None, **_: Any) -> None:
        self.exception = exception


def _count_in_pool(pool: ConnectionPool, tally: Tally) -> None:
    """Let the pool's sockets be counted, and let it send nothing twice."""
    counting = _counting(gevent.socket.socket, tally)

    def make_socket(family: int, kind: int, protocol: int) -> Any:
        tally.opened = True
        return counting(family, kind, protocol)

    pool._create_tcp_socket = make_socket  # type: ignore[method-assign,assignment]  # noqa: SLF001 - the hook for it
    # the client tries `size` + 1 times where a connection ends in the middle; places are counted by a semaphore
    pool.size = -1


class _Requests:
    """HttpUser's session, on a pool of one connection."""

    def __init__(
        self, url: str, tally: Tally, context: ssl.SSLContext | None, authority: Path | None, timeout_s: float
    ) -> None:
        self._timeout_s = timeout_s
        self._session = HttpSession(url, _Told(), None, pool_manager=_pool_manager(tally, context))
        self._session.trust_env = False
        self._session.cookies.set_policy(_NoCookies())
        # a path and not True, for which Locust's adapter would take a context of its own
        self._session.verify = str(authority or DEFAULT_CA_BUNDLE_PATH)

    def exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, bytes | None, Exception | None]:
        """Status, body and failure of one request."""
        response = self._session.request(
            method, path, data=body, headers=headers, allow_redirects=False, timeout=self._timeout_s
        )
        return response.status_code, response.content, _plain(response.error)

    def close(self) -> None:
        self._session.close()


class _NoCookies(requests.cookies.cookielib.DefaultCookiePolicy):  # type: ignore[name-defined,misc]
    """Keeps no cookie and sends none."""

    def __init__(self) -> None:
        super().__init__(allowed_domains=[])


def _pool_manager(tally: Tally, context: ssl.SSLContext | None) -> PoolManager:
    counting = _counting(gevent.socket.socket, tally)

    def counted(plain: Any) -> Any:
        tally.opened = True
        timeout_s = plain.gettimeout()
        made = counting(plain.family, plain.type, plain.proto, fileno=plain.detach())
        made.settimeout(timeout_s)
        return made

    class Plain(HTTPConnection):
        def _new_conn(self) -> Any:
            return counted(super()._new_conn())

    class Tls(HTTPSConnection):
        def _new_conn(self) -> Any:
            return counted(super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    manager = PoolManager(num_pools=1, maxsize=1, ssl_context=context)
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return manager


def _plain(error: Exception | None) -> Exception | None:
    """The failure in the words of the lean client: TimeoutError where time was up."""
    cause = getattr(error, "original", error) if isinstance(error, RetriesExceeded) else error
    # in the middle of a body, requests tells a timeout as a failed connection around urllib3's own
    around = cause.args[0] if isinstance(cause, requests.exceptions.ConnectionError) and cause.args else None
    if isinstance(cause, (requests.exceptions.Timeout, TimeoutError)) or isinstance(around, ReadTimeoutError):
        return TimeoutError("timed out")
    return cause
