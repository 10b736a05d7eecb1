"""A TCP connection for one greenlet: while it waits for octets, gevent lets other users go on.

gevent's own socket serves any caller: it reads before it waits (the answer is never there yet, so every request raises
and catches an exception), asks for buffer sizes, and makes a timer object for each wait. Here the wait comes first, and
one timer for the whole process looks for waits that are too long.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import gevent
from gevent import monkey, socket
from gevent.hub import get_hub

_READ, _WRITE = 1, 2
# How often waits are looked at, so how late a timeout may be.
_LOOK_S = 0.1
_NEVER = float("inf")

_native_socket: Any = monkey.get_original("socket", "socket")


def connect(address: tuple[str, int], timeout_s: float) -> CooperativeConnection:
    """A connected socket that sends at once. Raises OSError, TimeoutError after `timeout_s`."""
    connected = socket.create_connection(address, timeout_s)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return CooperativeConnection(_native_socket(fileno=connected.detach()), timeout_s)


class CooperativeConnection:
    """Owns a native, non-blocking socket. `deadline` is that of the wait it is in, on time.monotonic's clock."""

    __slots__ = ("_hub", "_loop_io", "_native", "_native_recv", "_native_send", "_readable", "_timeout_s", "_waits",
                 "deadline", "waiter")  # fmt: skip

    def __init__(self, native: Any, timeout_s: float) -> None:
        native.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._native = native
        self._native_send = native.send
        self._native_recv = native.recv
        self._timeout_s = timeout_s
        self._hub = get_hub()
        self._readable = self._hub.loop.io(native.fileno(), _READ)
        self.deadline = _NEVER
        self.waiter: Any = None
        _Watch.of(self._hub).connections.add(self)

    def sendall(self, data: bytes) -> None:
        """Write all of it; a request nearly always fits the socket's buffer at once."""
        try:
            sent = self._native_send(data)
        except BlockingIOError:  # the buffer is full
            sent = 0
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        writable = self._hub.loop.io(self._native.fileno(), _WRITE)
        try:
            while rest:
                self._wait(writable)
                try:
                    rest = rest[self._native_send(rest) :]
                except BlockingIOError:
                    continue
        finally:
            writable.close()

    def recv(self, size: int) -> bytes:
        """Wait for octets, then read what is there."""
        while True:
            self._wait(self._readable)
            try:
                data: bytes = self._native_recv(size)
            except BlockingIOError:  # woken for nothing
                continue
            return data

    def close(self) -> None:
        """Close the socket; its watcher first, which must not outlive the descriptor."""
        _Watch.of(self._hub).connections.discard(self)
        self._readable.close()
        self._native.close()

    def _wait(self, watcher: Any) -> None:
        self.waiter = waiter = gevent.getcurrent()
        self.deadline = time.monotonic() + self._timeout_s
        watcher.start(waiter.switch)
        try:
            self._hub.switch()
        finally:
            watcher.stop()
            self.deadline = _NEVER


class _Watch:
    """Ends the waits that are over their deadline. One per hub, so one per process."""

    _made: ClassVar[dict[Any, _Watch]] = {}

    def __init__(self, hub: Any) -> None:
        self.connections: set[CooperativeConnection] = set()
        self._timer = hub.loop.timer(_LOOK_S, _LOOK_S, ref=False)
        self._timer.start(self._look)

    @classmethod
    def of(cls, hub: Any) -> _Watch:
        made = cls._made.get(hub)
        if made is None:
            made = cls._made[hub] = cls(hub)
        return made

    def _look(self) -> None:
        # runs in the hub, as gevent's own timeouts do
        now = time.monotonic()
        for late in [each for each in self.connections if each.deadline < now]:
            if late.deadline < now:  # still: those before it may have closed it
                late.waiter.throw(TimeoutError("timed out"))
