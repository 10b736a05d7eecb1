"""An independent socket server that plays back a script and keeps what it got, octet for octet."""

import socket
import threading
from collections.abc import Iterator

import pytest


class ScriptedServer:
    """Answers the n-th request with the n-th answer; `None` closes the connection instead, `b""` never answers."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.got: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._silent: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept, which then sees the flag
        self.answers = []
        self._closing = True
        self._thread.join(5)
        self._listener.close()
        for each in self._silent:
            each.close()

    _closing = False

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            first = connection.recv(1, socket.MSG_PEEK)
            if not first:
                connection.close()
                return
            self.connections += 1
            self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while request := self._read(connection):
            self.got.append(request)
            answer = self.answers.pop(0)
            if answer is None:
                break
            if answer == b"":
                self._silent.append(connection)
                return
            for piece in answer.split(b"|"):  # each piece in a packet of its own
                connection.sendall(piece)
        connection.close()

    def _read(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()
