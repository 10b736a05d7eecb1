"""The HTTP/1.1 client: one keep-alive connection, octets counted on the socket, times taken around them.

With TLS the octets are those inside it, and the server's certificate is verified. It hides nothing: no retry, no
redirect, no cookie jar, no decompression. A connection that fails is closed, and the next request opens another.
It waits on whatever `connect` gives it: a blocking socket, or under Locust one that lets other users go on meanwhile
(see `loadtests.cooperative`).
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httptools

CLIENTS = ("lean", "fasthttp", "http")
"""What a virtual user can send with: this client, or one of Locust's own (`loadtests.stock_clients`)."""

_RECEIVE_BYTES = 65536
_SERVER_TIMING = re.compile(rb"\r\nserver-timing:[ \t]*([^\r\n]*)", re.IGNORECASE)


class Answer:
    """One request and what came back. `status` 0 and `failure` set when no whole answer came.

    Times in ns of time.monotonic_ns; sizes in octets. `head` is the answer's, as it came: its fields are read when they
    are asked for, because of most answers nobody asks for more than one.
    """

    __slots__ = (
        "body", "connection_reused", "ended_ns", "failure", "first_byte_ns", "head", "request_body_bytes",
        "request_head_bytes", "response_body_bytes", "response_head_bytes", "started_ns", "status",
    )  # fmt: skip

    def __init__(
        self, started_ns: int, request_head_bytes: int = 0, request_body_bytes: int = 0, *, reused: bool = False
    ) -> None:
        self.started_ns = started_ns
        self.first_byte_ns = 0
        self.ended_ns = 0
        self.status = 0
        self.head = b""
        self.body = b""
        self.request_head_bytes = request_head_bytes
        self.request_body_bytes = request_body_bytes
        self.response_head_bytes = 0
        self.response_body_bytes = 0
        self.connection_reused = reused
        self.failure: Exception | None = None

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Fields by name in lower case; of several with one name the last."""
        return dict(_fields(self.head))

    @property
    def set_cookies(self) -> list[bytes]:
        """The value of each Set-Cookie, in their order."""
        return [value for name, value in _fields(self.head) if name == b"set-cookie"]

    @property
    def server_timing(self) -> bytes:
        """The Server-Timing field (the first, if there are several), empty where there is none."""
        found = _SERVER_TIMING.search(self.head)
        return found[1] if found else b""


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return [(name.lower(), value.strip()) for name, _, value in pairs]


class Connection(Protocol):
    """What a client needs of a connected socket. Each raises OSError, TimeoutError where it took too long."""

    def sendall(self, data: bytes, /) -> None:
        """Write all of it."""

    def recv(self, size: int, /) -> bytes:
        """Up to `size` octets as they come, none at the end."""

    def close(self) -> None:
        """Let it go."""


Connect = Callable[[tuple[str, int], float], Connection]
"""From an address and a timeout (s) to a connected socket; raises OSError."""


class Client(Protocol):
    """What sends a virtual user's requests, one at a time."""

    def request(self, method: bytes, path: bytes, header_lines: bytes = b"", body: bytes = b"") -> Answer:
        """Send one request and read its answer; `header_lines` each with its CRLF. Never raises for the network."""

    def close(self) -> None:
        """Close the connection; the next request opens another."""


def blocking(address: tuple[str, int], timeout_s: float) -> socket.socket:
    """A connected TCP socket that sends at once; gevent's when the process is patched."""
    connected = socket.create_connection(address, timeout_s)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def client_of(
    url: str, authority: Path | None = None, timeout_s: float = 10.0, connect: Connect = blocking
) -> HttpClient:
    """A client of the server at `url`; `authority` is the certificate (PEM) that an https server's must lead to.

    `connect` is for http alone: with TLS the socket is the standard library's (gevent's when the process is patched).
    """
    address = urlsplit(url)
    if address.scheme != "https":
        return HttpClient(address.hostname or "", address.port or 80, timeout_s, connect)
    context = ssl.create_default_context(cafile=authority)

    def with_tls(address: tuple[str, int], timeout_s: float) -> Connection:
        plain = blocking(address, timeout_s)
        try:
            return context.wrap_socket(plain, server_hostname=address[0])
        except OSError:
            plain.close()
            raise

    return HttpClient(address.hostname or "", address.port or 443, timeout_s, with_tls)


class HttpClient:
    """One user's connection to one server. Not for use by two greenlets at once."""

    def __init__(self, host: str, port: int, timeout_s: float = 10.0, connect: Connect = blocking) -> None:
        self._address = (host, port)
        self._connect = connect
        self._timeout_s = timeout_s
        self._socket: Connection | None = None
        self._reader = _Reader()
        self._host_line = f" HTTP/1.1\r\nHost: {host}:{port}\r\n".encode()

    def request(self, method: bytes, path: bytes, header_lines: bytes = b"", body: bytes = b"") -> Answer:
        """Send one request and read its answer. Never raises for what the network or the server does."""
        head = b"%s %s%s%s" % (method, path, self._host_line, header_lines)
        if body:
            kind = b"" if b"Content-Type:" in header_lines else b"Content-Type: application/json\r\n"
            head += b"%sContent-Length: %d\r\n\r\n" % (kind, len(body))
        elif method != b"GET":
            head += b"Content-Length: 0\r\n\r\n"
        else:
            head += b"\r\n"
        answer = Answer(time.monotonic_ns(), len(head), len(body), reused=self._socket is not None)
        try:
            self._exchange(head + body if body else head, answer)
        except (OSError, httptools.HttpParserError) as error:
            answer.failure = error
            answer.status = 0
            self.close()
        answer.ended_ns = time.monotonic_ns()
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes, answer: Answer) -> None:
        connection = self._socket
        if connection is None:
            connection = self._socket = self._connect(self._address, self._timeout_s)
            self._reader = _Reader()
        connection.sendall(request)
        reader = self._reader
        reader.expect()
        received = connection.recv(_RECEIVE_BYTES)
        answer.first_byte_ns = time.monotonic_ns() if received else 0
        data = received
        while True:
            if not data:
                raise ConnectionResetError("the server closed the connection before its answer was complete")
            reader.feed(data)
            if reader.complete:
                break
            data = connection.recv(_RECEIVE_BYTES)
            received += data
        head_bytes = received.index(b"\r\n\r\n") + 4
        answer.status = reader.status()
        answer.head = received[:head_bytes]
        answer.body = reader.body
        answer.response_head_bytes = head_bytes
        answer.response_body_bytes = len(received) - head_bytes
        if not reader.keep_alive:
            self.close()


class _Reader:
    """Takes the C parser's callbacks; one per connection, which carries one answer after the other."""

    __slots__ = ("_should_keep_alive", "body", "complete", "feed", "keep_alive", "status")

    def __init__(self) -> None:
        parser = httptools.HttpResponseParser(self)
        self.feed = parser.feed_data
        self.status = parser.get_status_code
        self._should_keep_alive = parser.should_keep_alive
        self.expect()

    def expect(self) -> None:
        """The next answer begins."""
        self.body = b""
        self.complete = False
        self.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self.body = self.body + body if self.body else body

    def on_message_complete(self) -> None:
        self.complete = True
        # asked here: after the callback the parser is ready for the next message and has forgotten this one
        self.keep_alive = self._should_keep_alive()
