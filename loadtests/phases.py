"""The phases of a trial inside the generator: users wait at each border until all have come.

With a control folder (see `control`) the harness opens each border: it reads counters while nothing is in flight, so
that what the store and the balancer counted belongs to the measured requests exactly. Without one, as when somebody
runs `locust -f` by hand, there are no borders: each user signs in when Locust starts it, and goes on until stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import gevent
from gevent.event import Event

from loadtests import control
from loadtests.samples import LOGIN, MEASURED, WARM_UP

_POLL_S = 0.002
# All clocks start a moment after the signal, so that every user is awake before its first request is due.
_HEAD_START_NS = 20_000_000


@dataclass
class Phase:
    """A phase and its border. `start_ns` is set when it opens; requests due `length_ns` later belong to the next."""

    name: str
    length_ns: float
    start_ns: int = 0
    arrived: int = 0
    opened: Event = field(default_factory=Event)


class Phases:
    """Shared by all users of the process."""

    def __init__(self, users: int, warm_up_s: float, duration_s: float, folder: Path | None) -> None:
        self._users = users
        self._folder = folder
        self.login = Phase(LOGIN, 0)
        self.warm_up = Phase(WARM_UP, warm_up_s * 1e9)
        self.measured = Phase(MEASURED, duration_s * 1e9 if folder else float("inf"))
        self.end = Phase("end", 0)

    def enter(self, phase: Phase) -> int:
        """Wait at the border of `phase` until it opens; returns when the user's clock in it starts, ns."""
        if self._folder is None:
            return time.monotonic_ns()
        phase.arrived += 1
        phase.opened.wait()
        return phase.start_ns

    def conduct(self, started: Callable[[Phase, str], None], finish: Callable[[], None]) -> None:
        """Open each border in turn, in a greenlet of its own; `started` is told the phase and the signal's text."""
        if self._folder is None:
            return
        for phase, before, after in (
            (self.login, None, control.LOG_IN),
            (self.warm_up, control.LOGGED_IN, control.WARM_UP),
            (self.measured, control.WARMED_UP, control.MEASURE),
            (self.end, control.MEASURED, control.FINISH),
        ):
            while phase.arrived < self._users:
                gevent.sleep(_POLL_S)
            started(phase, self._in_step(self._folder, before, after))
            phase.start_ns = time.monotonic_ns() + _HEAD_START_NS
            phase.opened.set()
        finish()

    def _in_step(self, folder: Path, before: str | None, after: str) -> str:
        if before:
            control.give(folder, before)
        while not control.given(folder, after):
            gevent.sleep(_POLL_S)
        return control.text_of(folder, after)
