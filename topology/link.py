"""A link between one replica and its store: a constant delay in each direction, and a cut that leaves connections open.

    python -m topology.link SOCKET DELAY_US LISTEN:TARGET ...

One process and one thread. What it reads it sends on so much later, in order; nothing waits for what went before, so
requests that are sent at once arrive at once, and there is no limit to how much is under way. A new connection brings
nothing to the store before the round trip of its handshake is over, which a connection through the kernel alone would
have waited for. What is closed here is closed there when its last octets have arrived.

`SOCKET` takes one command on each connection: `cut` (nothing passes in either direction, connections stay open, a new
one hears nothing), `refuse` (all connections are reset and new ones refused), `heal` (what was held is delivered, as a
network that comes back delivers it again), `delay US`, `stats`. The answer is one line of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import heapq
import itertools
import json
import os
import select
import selectors
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16
_BACKLOG = 1024
_LATE_KEPT = 100_000
_SLACK_NS, _PR_SET_TIMERSLACK = 1, 29
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass(eq=False)
class _End:
    """One side of a connection: its socket, what is due and could not be sent yet, and where its octets go."""

    socket: socket.socket
    opens_ns: int = 0  # nothing of it arrives before
    peer: _End | None = None
    unsent: bytearray = field(default_factory=bytearray)
    ends: bool = False  # once everything is sent
    heard_all: bool = False


class Link:
    """See the module. `pairs` are ports to listen on and the ports that they lead to; `delay_ns` is one way's."""

    def __init__(self, control: Path, delay_ns: int, pairs: list[tuple[int, int]]) -> None:
        self._delay_ns = delay_ns
        self._pairs = pairs
        self._cut = False
        self._due: list[tuple[int, int, _End, bytes]] = []  # no octets: the end of the stream
        self._numbers = itertools.count()
        self._ends: set[_End] = set()
        self._late_ns: deque[int] = deque(maxlen=_LATE_KEPT)
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._listen()
        control.unlink(missing_ok=True)  # of an earlier one that was killed
        admin = socket.socket(socket.AF_UNIX)
        admin.bind(str(control))
        admin.listen()
        self._selector.register(admin, selectors.EVENT_READ, lambda _: self._obey(admin))

    def run(self) -> None:
        """Serve until the process is ended."""
        while True:
            # the selector's own timeout is in whole milliseconds; as a file it can be waited for in microseconds
            select.select([self._selector], [], [], self._wait_s())
            for key, events in self._selector.select(0):
                key.data(events)
            self._deliver()

    def _wait_s(self) -> float | None:
        if self._cut or not self._due:
            return None
        return max(0, self._due[0][0] - time.monotonic_ns()) / 1e9

    def _deliver(self) -> None:
        while not self._cut and self._due and self._due[0][0] <= time.monotonic_ns():
            due_ns, _, end, octets = heapq.heappop(self._due)
            self._late_ns.append(time.monotonic_ns() - due_ns)
            end.unsent += octets
            end.ends = end.ends or not octets
            if end in self._ends:
                self._send(end)

    def _send(self, end: _End) -> None:
        try:
            while end.unsent:
                del end.unsent[: end.socket.send(end.unsent)]
        except BlockingIOError:
            return self._watch(end)
        except OSError:
            return self._drop(end)
        if end.ends:
            with contextlib.suppress(OSError):
                end.socket.shutdown(socket.SHUT_WR)
            if end.heard_all and end.peer and end.peer.heard_all and end.peer.ends and not end.peer.unsent:
                return self._drop(end)
        return self._watch(end)

    def _watch(self, end: _End) -> None:
        """Ask for what the end is ready for. While the link is cut nobody is listened to."""
        wanted = 0 if self._cut or end.heard_all else selectors.EVENT_READ
        wanted |= selectors.EVENT_WRITE if end.unsent and not self._cut else 0
        known = self._selector.get_map().get(end.socket.fileno())
        if known and known.events == wanted:
            return
        if known:
            self._selector.unregister(end.socket)
        if wanted:
            self._selector.register(end.socket, wanted, lambda events: self._ready(end, events))

    def _ready(self, end: _End, events: int) -> None:
        if end not in self._ends:
            return
        if events & selectors.EVENT_WRITE:
            self._send(end)
        if events & selectors.EVENT_READ and end in self._ends:
            self._hear(end)

    def _hear(self, end: _End) -> None:
        now_ns = time.monotonic_ns()
        try:
            octets = end.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._drop(end)
            return
        if end.peer:
            due_ns = max(now_ns, end.opens_ns) + self._delay_ns
            heapq.heappush(self._due, (due_ns, next(self._numbers), end.peer, octets))
        if not octets:
            end.heard_all = True
            self._watch(end)

    def _accept(self, listener: socket.socket, target: int) -> None:
        try:
            ours, _ = listener.accept()
        except OSError:
            return
        theirs = socket.socket()
        for each in (ours, theirs):
            each.settimeout(0)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if theirs.connect_ex((_LOOPBACK, target)) not in (0, errno.EINPROGRESS):
            theirs.close()
            _reset(ours)
            return
        near = _End(ours, opens_ns=time.monotonic_ns() + 2 * self._delay_ns)
        near.peer = far = _End(theirs, peer=near)
        self._ends |= {near, far}
        self._watch(near)
        self._watch(far)

    def _drop(self, end: _End) -> None:
        """One side is gone: so is the other. Reset where something is lost by it."""
        for each in (end, end.peer):
            if each and each in self._ends:
                self._ends.discard(each)
                if self._selector.get_map().get(each.socket.fileno()):
                    self._selector.unregister(each.socket)
                each.socket.close() if each.ends and not each.unsent else _reset(each.socket)

    def _listen(self) -> None:
        for port, target in self._pairs:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_LOOPBACK, port))
            listener.listen(_BACKLOG)
            listener.settimeout(0)
            self._listeners.append(listener)
            self._selector.register(listener, selectors.EVENT_READ, self._accepting(listener, target))

    def _accepting(self, listener: socket.socket, target: int) -> Callable[[int], None]:
        return lambda _: self._accept(listener, target)

    def _deafen(self) -> None:
        """Stop listening: the kernel still shakes hands with who comes, and nobody answers."""
        for listener in self._listeners:
            if self._selector.get_map().get(listener.fileno()):
                self._selector.unregister(listener)

    def _obey(self, admin: socket.socket) -> None:
        connection, _ = admin.accept()
        with connection:
            verb, _, argument = connection.recv(_CHUNK).decode().strip().partition(" ")
            answer = self._do(verb, argument)
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, verb: str, argument: str) -> dict[str, object]:
        if verb == "cut":
            self._set(cut=True)
        elif verb == "refuse":
            self._set(cut=True)
            for end in list(self._ends):
                self._drop(end)
            for listener in self._listeners:
                listener.close()
            self._listeners, self._due = [], []
        elif verb == "heal":
            self._set(cut=False)
        elif verb == "delay":
            self._delay_ns = int(argument) * 1000
        elif verb == "stats":
            late = list(self._late_ns)
            self._late_ns.clear()
            return {"cut": self._cut, "connections": len(self._ends) // 2, "sent": len(late), "late_ns": _median(late)}
        else:
            return {"error": f"unknown: {verb}"}
        return {"cut": self._cut, "delay_us": self._delay_ns // 1000}

    def _set(self, *, cut: bool) -> None:
        if cut == self._cut:
            return
        self._cut = cut
        self._deafen()
        if not cut:
            for listener, (_, target) in zip(self._listeners, self._pairs, strict=False):
                self._selector.register(listener, selectors.EVENT_READ, self._accepting(listener, target))
            if not self._listeners:
                self._listen()
        for end in self._ends:
            self._watch(end)


def _median(values: list[int]) -> int | None:
    return sorted(values)[len(values) // 2] if values else None


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


def _be_prompt() -> None:
    """Wake when it is time: a network does not wait for a processor. What is not allowed is left as it is."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            return
    with contextlib.suppress(OSError):
        os.nice(-10)


def main(control: str, delay_us: str, *pairs: str) -> None:
    """Serve until the process is ended."""
    _be_prompt()
    ports = [(int(near), int(far)) for near, _, far in (pair.partition(":") for pair in pairs)]
    Link(Path(control), int(delay_us) * 1000, ports).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
