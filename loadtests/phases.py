"""The phases of a trial inside the generator: users wait at each border until all have come.

With a control folder (see `control`) the harness opens each border: it reads counters while nothing is in flight, so
that what the store and the balancer counted belongs to the measured requests exactly. Without one, as when somebody
runs `locust -f` by hand, there are no borders: each user signs in when Locust starts it, and goes on until stopped.

The warm-up runs in rounds until its response times are steady (`steady`) or its budget is spent; both stand in
`WarmUp`. The harness sees one phase, and nothing here reads a time of the measured one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import gevent
from gevent.event import Event

from loadtests import control, steady
from loadtests.samples import LOGIN, MEASURED, WARM_UP

_POLL_S = 0.002
# All clocks start a moment after the signal, so that every user is awake before its first request is due.
_HEAD_START_NS = 20_000_000


@dataclass
class Phase:
    """A phase; requests due `length_ns` after `start_ns` belong to the next. `seed` is its own, of its arrivals."""

    name: str
    length_ns: float
    seed: str = ""
    start_ns: int = 0
    arrived: int = 0
    following: Phase | None = None
    over: Event = field(default_factory=Event)


@dataclass
class WarmUp:
    """The warm-up so far; `steady` is None where it was not judged, `truncated` counts the transient's requests."""

    round_s: float
    budget_s: float
    rounds: int = 0
    steady: bool | None = None
    truncated: int = 0
    _times: list[tuple[int, int]] = field(default_factory=list)

    def saw(self, due_ns: int, took_ns: int) -> None:
        """A request of the warm-up was answered."""
        self._times.append((due_ns, took_ns))

    def judge(self) -> bool:
        """Whether another round is needed, after one more has ended."""
        self.rounds += 1
        if not self.round_s or not self.budget_s:
            return False
        self._times.sort()
        found = steady.truncation([took_ns for _, took_ns in self._times])
        if found is not None:
            self.steady, self.truncated = found.steady, found.at
        # half a millisecond for the sum of floats
        return not self.steady and (self.rounds + 1) * self.round_s <= self.budget_s + 0.0005

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """For trial.json."""
        return {
            "seconds": self.rounds * self.round_s,
            "rounds": self.rounds if self.round_s else 0,
            "steady": self.steady,
            "truncated": self.truncated,
        }


class Phases:
    """Shared by all users of the process."""

    def __init__(
        self, users: int, warm_up_s: float, duration_s: float, folder: Path | None, warm_up_max_s: float = 0.0
    ) -> None:
        self._users = users
        self._folder = folder
        self.warmed = WarmUp(warm_up_s, warm_up_max_s)
        self.before = Phase("", 0)
        self.login = Phase(LOGIN, 0)
        self.warm_up = Phase(WARM_UP, warm_up_s * 1e9, WARM_UP)
        self.measured = Phase(MEASURED, duration_s * 1e9 if folder else float("inf"), MEASURED)
        self.end = Phase("end", 0)

    def follow(self, phase: Phase) -> Phase:
        """Wait until every user has come to the end of `phase`; returns the one that follows, its clock started."""
        if self._folder is None:
            return self._by_hand(phase)
        phase.arrived += 1
        phase.over.wait()
        if phase.following is None:
            raise RuntimeError("a border opened before it was known what follows")
        return phase.following

    def _by_hand(self, phase: Phase) -> Phase:
        following = {"": self.login, LOGIN: self.warm_up, WARM_UP: self.measured}.get(phase.name, self.end)
        return Phase(following.name, following.length_ns, following.seed, time.monotonic_ns())

    def conduct(self, started: Callable[[Phase, str], None], finish: Callable[[], None]) -> None:
        """Open each border in turn, in a greenlet of its own; `started` is told the phase and the signal's text."""
        if self._folder is None:
            return
        phase = self._open(self.before, self.login, started, self._in_step(self.before, None, control.LOG_IN))
        phase = self._open(phase, self.warm_up, started, self._in_step(phase, control.LOGGED_IN, control.WARM_UP))
        self._wait_for_all(phase)
        while self.warmed.judge():
            seed = f"{WARM_UP} {self.warmed.rounds + 1}"
            phase = self._open(phase, Phase(WARM_UP, self.warm_up.length_ns, seed), started, "")
            self._wait_for_all(phase)
        phase = self._open(phase, self.measured, started, self._in_step(phase, control.WARMED_UP, control.MEASURE))
        self._open(phase, self.end, started, self._in_step(phase, control.MEASURED, control.FINISH))
        finish()

    def _open(self, phase: Phase, following: Phase, started: Callable[[Phase, str], None], text: str) -> Phase:
        started(following, text)
        following.start_ns = time.monotonic_ns() + _HEAD_START_NS
        phase.following = following
        phase.over.set()
        return following

    def _wait_for_all(self, phase: Phase) -> None:
        while phase.arrived < self._users:
            gevent.sleep(_POLL_S)

    def _in_step(self, phase: Phase, before: str | None, after: str) -> str:
        self._wait_for_all(phase)
        folder = self._folder
        if folder is None:
            raise RuntimeError("by hand there is nobody to keep step with")
        if before:
            control.give(folder, before)
        while not control.given(folder, after):
            gevent.sleep(_POLL_S)
        return control.text_of(folder, after)
