"""Reads the Server-Timing header (W3C Server Timing) as the twins write it."""

from __future__ import annotations

import re
from typing import NamedTuple

ABSENT = -1
_DURATIONS = (b"auth", b"store", b"queue", b"app")
_ENTRY = re.compile(rb"(\w+);(?:dur=([0-9.]+)|desc=\"([^\"]*)\")")


class ServerTiming(NamedTuple):
    """Durations in ns, `ABSENT` where the header has none; the replica's name, or empty."""

    auth_ns: int = ABSENT
    store_ns: int = ABSENT
    queue_ns: int = ABSENT
    app_ns: int = ABSENT
    replica: str = ""


def parse(header: bytes | None) -> ServerTiming:
    """The twins' entries of a Server-Timing header; durations there are in ms."""
    if not header:
        return ServerTiming()
    durations = {}
    replica = ""
    for name, milliseconds, description in _ENTRY.findall(header):
        if milliseconds:
            durations[name] = round(float(milliseconds) * 1e6)
        elif name == b"replica":
            replica = description.decode("ascii", "replace")
    auth, store, queue, app = (durations.get(name, ABSENT) for name in _DURATIONS)
    return ServerTiming(auth, store, queue, app, replica)
