"""Free loopback ports, picked at run time."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"
# Below Linux's and macOS's default ephemeral ranges: a port picked here is not taken a moment later
# by some client's outgoing connection, which a port from bind(0) can be.
_LOWEST, _HIGHEST = 10240, 32767
_TRIES = 400


class NoFreePortError(RuntimeError):
    """No port of the range could be bound."""


def free_ports(count: int, but: Collection[int] = ()) -> list[int]:
    """`count` distinct ports that could be bound just now, `but` those that are promised to others.

    Raises:
        NoFreePortError: when hundreds of random candidates were all busy.

    """
    chosen: set[int] = set()
    tries = min(_TRIES + len(but) + count, _HIGHEST + 1 - _LOWEST)
    for candidate in random.SystemRandom().sample(range(_LOWEST, _HIGHEST + 1), tries):
        if len(chosen) == count:
            break
        if candidate not in but and _can_bind(candidate):
            chosen.add(candidate)
    if len(chosen) < count:
        raise NoFreePortError(
            f"only {len(chosen)} of {count} ports could be had: {tries} random ports between {_LOWEST} and {_HIGHEST} "
            f"on {LOOPBACK} were tried and the rest are busy; see what listens there with: ss -ltn"
        )
    return sorted(chosen)


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        # as the servers do, so that a port in TIME_WAIT is not counted busy
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
