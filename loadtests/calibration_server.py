"""The calibration server: `python -m loadtests.calibration_server LAW`, started by loadtests.calibration.

It speaks as much of the twins' interface as the scenario `browse` asks for, signs everybody in without a credential and
answers GET /me after a time drawn from its law. It prints its port; when a line comes in, it restarts
every user's draws. The line says by how much to answer earlier, and how long after the start of the phase its first
request is due (ns): that request sets the stalls' clock. At the end of its input it prints what it gave, as JSON.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from loadtests.calibration_laws import BY_NAME, STALL_OFFSET_S, Law, service_start_ns, service_times_ns

# select wakes some 60 us late, more on an idle core: the last stretch of a wait is spent asking the clock.
_SPIN_NS = 300_000
_IDLE_S = 0.5
_NEVER = 1 << 62
_JSON = b"Content-Type: application/json\r\n"


class _User:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.name = ""
        self.answer = b""
        self.received = b""
        self.draws: Iterator[int] = iter(())


class CalibrationServer:
    """One thread; answers leave when they are due, whatever else waits."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._users: dict[int, _User] = {}
        self._pending: list[tuple[int, int, int]] = []  # end, number of the user's socket, begun at
        self._epoch_ns = _NEVER
        self._advance_ns = self._first_due_ns = 0
        self.asked_ns: list[int] = []
        self.given_ns: list[int] = []

    def serve(self, orders: Any) -> None:
        """Until the end of `orders`, a stream of lines."""
        while True:
            self._answer_due()
            ahead_ns = self._pending[0][0] - time.monotonic_ns() if self._pending else round(_IDLE_S * 1e9)
            timeout_s = max(0, ahead_ns - _SPIN_NS) / 1e9
            readable, _, _ = select.select([orders, self._listener, *self._users], [], [], timeout_s)
            for each in readable:
                if each is orders:
                    order = orders.readline()
                    if not order:
                        return
                    self._begin(*map(int, order.split()))
                elif each is self._listener:
                    self._accept()
                else:
                    self._read(each)

    def _begin(self, advance_ns: int, first_due_ns: int) -> None:
        self._advance_ns, self._first_due_ns = advance_ns, first_due_ns
        self._epoch_ns = _NEVER
        self.asked_ns, self.given_ns = [], []
        for user in self._users.values():
            user.draws = service_times_ns(self._law, user.name)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._users[connection.fileno()] = _User(connection)

    def _read(self, number: int) -> None:
        user, now = self._users[number], time.monotonic_ns()
        data = user.connection.recv(65536)
        if not data:
            del self._users[number]
            user.connection.close()
            return
        user.received += data
        head, found, body = user.received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        user.received = b""
        if head.startswith(b"POST /login "):
            user.name = json.loads(body)["username"]
            user.answer = _reply({"user": user.name})
            user.draws = service_times_ns(self._law, user.name)
            user.connection.sendall(_reply({"user": user.name, "role": "user", "credential": {"kind": "none"}}))
        elif head.startswith(b"GET /me "):
            if self._epoch_ns == _NEVER:
                self._epoch_ns = now - self._first_due_ns + round(STALL_OFFSET_S * 1e9)
            start = service_start_ns(self._law, now, self._epoch_ns)
            asked = start + next(user.draws) - self._advance_ns
            heapq.heappush(self._pending, (asked, number, start))
        else:
            user.connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _answer_due(self) -> None:
        while self._pending and self._pending[0][0] <= time.monotonic_ns():
            due, number, start = heapq.heappop(self._pending)
            user = self._users.get(number)
            if user is None:
                continue
            user.connection.sendall(user.answer)
            self.asked_ns.append(due - start)
            self.given_ns.append(time.monotonic_ns() - start)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line[15:])
    return 0


def _reply(document: dict[str, Any]) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (_JSON, len(body), body)


def main(argv: list[str] | None = None) -> int:
    """Serve until the input ends; then print what was asked of this server and what it gave."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.calibration_server", description=__doc__.splitlines()[0])
    parser.add_argument("law", choices=list(BY_NAME))
    server = CalibrationServer(BY_NAME[parser.parse_args(argv).law])
    gc.disable()  # a collection would be a service time of its own
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    with open(0, "rb", buffering=0, closefd=False) as orders:
        server.serve(orders)
    late_us = sorted((given - asked) / 1e3 for given, asked in zip(server.given_ns, server.asked_ns, strict=True))
    told = {
        "requests": len(late_us),
        "asked_mean_ms": sum(server.asked_ns) / max(1, len(late_us)) / 1e6,
        "given_mean_ms": sum(server.given_ns) / max(1, len(late_us)) / 1e6,
        "late_us": {f"p{share:g}": _at(late_us, share / 100) for share in (50, 99, 99.9, 100)},
        "cpu_s": time.process_time(),
    }
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()
    return 0


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


if __name__ == "__main__":
    sys.exit(main())
