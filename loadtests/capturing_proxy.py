"""An independent capture: `python -m loadtests.capturing_proxy PORT FOLDER`, plain sockets between two parties.

It prints its port, forwards each connection to PORT, and when its input ends and all have closed, leaves what went
either way in FOLDER, one pair of files per connection. It knows nothing of HTTP, and shares no code with the client.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from loadtests.port_process import PortProcess
from topology.reaper import Reaper

_JOIN_S = 10.0
_CHUNK = 65536


@dataclass(frozen=True)
class Capture:
    """What clients sent and what they were answered, connection after connection."""

    sent: tuple[bytes, ...]
    received: tuple[bytes, ...]

    @property
    def requests(self) -> int:
        """How many requests the octets hold."""
        return sum(len(_messages(part)) for part in self.sent)


def capturing(target: int, folder: Path, reaper: Reaper, cores: frozenset[int] = frozenset()) -> PortProcess:
    """Start the proxy's process; once all clients have closed, `end` it and then `read_capture`."""
    folder.mkdir(parents=True, exist_ok=True)
    return PortProcess(__name__, str(target), str(folder), reaper=reaper, cores=cores)


def read_capture(folder: Path) -> Capture:
    """Read what a proxy left."""
    sent = sorted(folder.glob("*.sent"))
    return Capture(
        tuple(path.read_bytes() for path in sent), tuple(path.with_suffix(".received").read_bytes() for path in sent)
    )


def _messages(octets: bytes) -> list[bytes]:
    """Heads of the HTTP messages in a stream, each with a Content-Length or no body."""
    heads, at = [], 0
    while at < len(octets):
        end = octets.index(b"\r\n\r\n", at) + 4
        head = octets[at:end]
        heads.append(head)
        lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        at = end + (int(lengths[0]) if lengths else 0)
    return heads


def _forward(source: socket.socket, sink: socket.socket, kept: Path) -> None:
    octets = bytearray()
    with source:
        while data := source.recv(_CHUNK):
            octets += data
            sink.sendall(data)
        with contextlib.suppress(OSError):  # the other side is gone already
            sink.shutdown(socket.SHUT_RDWR)
    kept.write_bytes(octets)


def _serve(listener: socket.socket, target: int, folder: Path, threads: list[threading.Thread]) -> None:
    number = 0
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # closed: no more clients
            return
        server = socket.create_connection(("127.0.0.1", target))
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink, name in ((client, server, "sent"), (server, client, "received")):
            thread = threading.Thread(target=_forward, args=(source, sink, folder / f"{number:04}.{name}"))
            thread.start()
            threads.append(thread)
        number += 1


def main(argv: list[str] | None = None) -> int:
    """Forward until the input ends and every client has closed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.capturing_proxy", description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args(argv)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threads: list[threading.Thread] = []
    accepting = threading.Thread(target=_serve, args=(listener, arguments.port, arguments.folder, threads))
    accepting.start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    accepting.join()
    for thread in threads:
        thread.join(_JOIN_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
