"""The HTTP/1.1 client: one keep-alive connection, octets counted on the socket, times taken around them.

With TLS the octets are those inside it, and the server's certificate is verified.
Sockets are gevent's when the process is patched (under Locust) and blocking ones elsewhere. It hides nothing: no retry,
no redirect, no cookie jar, no decompression. A connection that fails is closed, and the next request opens another.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httptools

_RECEIVE_BYTES = 65536


@dataclass(slots=True)
class Answer:
    """One request and what came back. `status` 0 and `failure` set when no whole answer came.

    Times in ns of time.monotonic_ns; sizes in octets.
    """

    started_ns: int
    first_byte_ns: int = 0
    ended_ns: int = 0
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    set_cookies: list[bytes] = field(default_factory=list)
    body: bytes = b""
    request_head_bytes: int = 0
    request_body_bytes: int = 0
    response_head_bytes: int = 0
    response_body_bytes: int = 0
    connection_reused: bool = False
    failure: Exception | None = None


def client_of(url: str, authority: Path | None = None, timeout_s: float = 10.0) -> HttpClient:
    """A client of the server at `url`; `authority` is the certificate (PEM) that an https server's must lead to."""
    address = urlsplit(url)
    if address.scheme != "https":
        return HttpClient(address.hostname or "", address.port or 80, timeout_s)
    context = ssl.create_default_context(cafile=authority)
    return HttpClient(address.hostname or "", address.port or 443, timeout_s, context)


class HttpClient:
    """One user's connection to one server. Not for use by two greenlets at once."""

    def __init__(self, host: str, port: int, timeout_s: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self._address = (host, port)
        self._tls = tls
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._host_line = f"Host: {host}:{port}\r\n".encode()

    def request(self, method: bytes, path: bytes, header_lines: bytes = b"", body: bytes = b"") -> Answer:
        """Send one request and read its answer. Never raises for what the network or the server does."""
        head = b"%s %s HTTP/1.1\r\n%s%s" % (method, path, self._host_line, header_lines)
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        elif method != b"GET":
            head += b"Content-Length: 0\r\n\r\n"
        else:
            head += b"\r\n"
        answer = Answer(
            started_ns=time.monotonic_ns(),
            request_head_bytes=len(head),
            request_body_bytes=len(body),
            connection_reused=self._socket is not None,
        )
        try:
            self._exchange(head + body, answer)
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

    def _connected(self) -> socket.socket:
        plain = socket.create_connection(self._address, self._timeout_s)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._address[0])
        except OSError:
            plain.close()
            raise

    def _exchange(self, request: bytes, answer: Answer) -> None:
        if self._socket is None:
            self._socket = self._connected()
        self._socket.sendall(request)
        reader = _Reader(answer)
        parser = reader.parser
        received = b""
        while not reader.complete:
            data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                raise ConnectionResetError("the server closed the connection before its answer was complete")
            if not answer.first_byte_ns:
                answer.first_byte_ns = time.monotonic_ns()
            received = received + data if received else data
            parser.feed_data(data)
        answer.status = parser.get_status_code()
        answer.response_head_bytes = received.index(b"\r\n\r\n") + 4
        answer.response_body_bytes = len(received) - answer.response_head_bytes
        if not reader.keep_alive:
            self.close()


class _Reader:
    """Takes the C parser's callbacks."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.parser = httptools.HttpResponseParser(self)
        self.complete = False
        self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._answer.headers[name] = value
        if name == b"set-cookie":
            self._answer.set_cookies.append(value)

    def on_body(self, body: bytes) -> None:
        self._answer.body += body

    def on_message_complete(self) -> None:
        self.complete = True
        # asked here: after the callback the parser is ready for the next message and has forgotten this one
        self.keep_alive = self.parser.should_keep_alive()
