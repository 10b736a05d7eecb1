"""HTTP/2 over TLS, to count octets: a connection whose HEADERS frames are known to the octet.

Two encoders, for clients differ in what HPACK is allowed to remember: one indexes every field; the other never indexes
Authorization nor a cookie under 20 octets (RFC 7541, 7.1.3), which is what the library `h2` does by default.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.settings

ENCODERS = ("indexing", "never-indexed")
FRAME_HEADER_BYTES = 9
_HEADERS, _CONTINUATION = 1, 9
_TIMEOUT_S = 10.0
Fields = Sequence[tuple[str, str]]


class Http2Error(RuntimeError):
    """The server speaks no HTTP/2, or not to the end."""


@dataclass(frozen=True)
class Exchange:
    """One request and its answer: octets of the header block, and with the heads of its frames."""

    status: int
    block_bytes: int
    frame_bytes: int


class Http2:
    """One connection; requests go one after the other. See `connected`."""

    def __init__(self, connection: ssl.SSLSocket, authority: str, *, indexing: bool) -> None:
        self._socket, self._authority = connection, authority
        # what normalises is what marks Authorization as never to be indexed; all names here are in lower case already
        config = h2.config.H2Configuration(client_side=True, normalize_outbound_headers=not indexing)
        self._h2 = h2.connection.H2Connection(config)
        self._h2.initiate_connection()
        self._socket.sendall(self._h2.data_to_send())
        self._await(h2.events.RemoteSettingsChanged)

    @property
    def peer_table_bytes(self) -> int:
        """What the server lets the encoder remember."""
        return int(self._h2.remote_settings[h2.settings.SettingCodes.HEADER_TABLE_SIZE])

    def get(self, path: str, fields: Fields = ()) -> Exchange:
        """GET `path`, with fields in lower case. Raises Http2Error, OSError."""
        stream = self._h2.get_next_available_stream_id()
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", self._authority), (":path", path)]
        self._h2.send_headers(stream, [*pseudo, *fields], end_stream=True)
        sent = self._h2.data_to_send()
        lengths = [length for kind, length in frames(sent) if kind in {_HEADERS, _CONTINUATION}]
        self._socket.sendall(sent)
        status = 0
        for event in self._await(h2.events.StreamEnded):
            if isinstance(event, h2.events.ResponseReceived):
                status = int(dict(event.headers or ())[b":status"])
        return Exchange(status, sum(lengths), sum(lengths) + FRAME_HEADER_BYTES * len(lengths))

    def _await(self, kind: type[h2.events.Event]) -> list[h2.events.Event]:
        """Every event up to one of this kind."""
        found: list[h2.events.Event] = []
        while not any(isinstance(event, kind) for event in found):
            data = self._socket.recv(1 << 16)
            if not data:
                raise Http2Error(f"the server closed the connection before {kind.__name__}")
            found += self._h2.receive_data(data)
            if ended := [event for event in found if isinstance(event, h2.events.ConnectionTerminated)]:
                raise Http2Error(f"the server ended the connection: {ended[0]}")
            if answer := self._h2.data_to_send():  # acknowledgements
                self._socket.sendall(answer)
        return found


@contextmanager
def connected(url: str, trusted: Path, *, indexing: bool) -> Iterator[Http2]:
    """A connection to the server at `url`, whose certificate leads to `trusted` (PEM). Raises Http2Error, OSError."""
    address = urlsplit(url)
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["h2"])
    host, port = address.hostname or "", address.port or 443
    with (
        socket.create_connection((host, port), _TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        if connection.selected_alpn_protocol() != "h2":
            raise Http2Error(f"{url} does not offer HTTP/2")
        yield Http2(connection, f"{host}:{port}", indexing=indexing)


def frames(octets: bytes) -> Iterator[tuple[int, int]]:
    """Type and payload length of each frame (RFC 9113, 4.1)."""
    at = 0
    while at < len(octets):
        length = int.from_bytes(octets[at : at + 3])
        yield octets[at + 3], length
        at += FRAME_HEADER_BYTES + length
