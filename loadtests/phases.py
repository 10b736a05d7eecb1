"""The phases of a trial inside the generator: users wait at each border until all have come.

With a channel to it (see `control`) the harness opens each border: it reads counters while nothing is in flight, so
that what the store and the balancer counted belongs to the measured requests exactly. Without one, as when somebody
runs `locust -f` by hand, there are no borders: each user signs in when Locust starts it, and goes on until stopped.

The warm-up runs in rounds until its response times are steady (`steady`) or its budget is spent; both stand in
`WarmUp`. The harness sees one phase, and nothing here reads a time of the measured one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

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
    cpu_share: float = 0.0
    """Of a core, that this process used from when the phase was opened until nothing of it was in flight."""
    _opened: tuple[int, int] = (0, 0)

    def begin(self) -> None:
        """Its clock starts."""
        self._opened = time.process_time_ns(), time.monotonic_ns()
        self.start_ns = self._opened[1] + _HEAD_START_NS

    def account(self) -> None:
        """All its requests are answered."""
        cpu_ns, at_ns = self._opened
        self.cpu_share = (time.process_time_ns() - cpu_ns) / max(1, time.monotonic_ns() - at_ns)


@dataclass
class WarmUp:
    """The warm-up so far; `steady` is None where it was not judged, `truncated` counts the transient's requests."""

    round_s: float
    budget_s: float
    rounds: int = 0
    steady: bool | None = None
    truncated: int = 0
    _times: list[tuple[int, int, int]] = field(default_factory=list)

    def saw(self, due_ns: int, took_ns: int) -> None:
        """A request of the present round, due so long after the round began, was answered."""
        self._times.append((self.rounds, due_ns, took_ns))

    @property
    def judged(self) -> bool:
        """Whether anything is decided by its times."""
        return bool(self.round_s and self.budget_s)

    def of_round(self) -> list[tuple[int, int]]:
        """What the present round `saw`, for who judges the times of several processes together."""
        return [(due_ns, took_ns) for number, due_ns, took_ns in self._times if number == self.rounds]

    def judge(self) -> bool:
        """Whether another round is needed, after one more has ended."""
        self.rounds += 1
        if not self.judged:
            return False
        self._times.sort()
        found = steady.truncation([took_ns for *_, took_ns in self._times])
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
    """Shared by all users of the process; `judge` says whether the warm-up needs another round (`WarmUp.judge`)."""

    def __init__(
        self, users: int, warm_up_s: float, duration_s: float, channel: control.Channel | None,
        warm_up_max_s: float = 0.0, judge: Callable[[WarmUp], bool] = WarmUp.judge,
    ) -> None:  # fmt: skip
        self._users = users
        self._channel = channel
        self._judge = judge
        self.warmed = WarmUp(warm_up_s, warm_up_max_s)
        self.before = Phase("", 0)
        self.login = Phase(LOGIN, 0)
        self.warm_up = Phase(WARM_UP, warm_up_s * 1e9, WARM_UP)
        self.measured = Phase(MEASURED, duration_s * 1e9 if channel else float("inf"), MEASURED)
        self.end = Phase("end", 0)

    def follow(self, phase: Phase) -> Phase:
        """Wait until every user has come to the end of `phase`; returns the one that follows, its clock started."""
        if self._channel is None:
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
        if self._channel is None:
            return
        phase = self._open(self.before, self.login, started, self._in_step(self.before, None, control.LOG_IN))
        phase = self._open(phase, self.warm_up, started, self._in_step(phase, control.LOGGED_IN, control.WARM_UP))
        self._wait_for_all(phase)
        while self._judge(self.warmed):
            seed = f"{WARM_UP} {self.warmed.rounds + 1}"
            phase = self._open(phase, Phase(WARM_UP, self.warm_up.length_ns, seed), started, "")
            self._wait_for_all(phase)
        phase = self._open(phase, self.measured, started, self._in_step(phase, control.WARMED_UP, control.MEASURE))
        self._open(phase, self.end, started, self._in_step(phase, control.MEASURED, control.FINISH))
        finish()

    def _open(self, phase: Phase, following: Phase, started: Callable[[Phase, str], None], text: str) -> Phase:
        started(following, text)
        following.begin()
        phase.following = following
        phase.over.set()
        return following

    def _wait_for_all(self, phase: Phase) -> None:
        while phase.arrived < self._users:
            gevent.sleep(_POLL_S)
        phase.account()

    def _in_step(self, phase: Phase, before: str | None, after: str) -> str:
        self._wait_for_all(phase)
        channel = self._channel
        if channel is None:
            raise RuntimeError("by hand there is nobody to keep step with")
        if before:
            channel.give(before)
        while not channel.given(after):
            gevent.sleep(_POLL_S)
        return channel.text_of(after)
