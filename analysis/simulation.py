"""A discrete-event simulation of a topology, for percentiles: mean value analysis gives means alone.

A request crosses the network, is handed on by a balancer, waits for a thread of its replica, computes, asks the store
while it keeps the thread, computes again, and is answered. A core serves first come, first served: a burst of ours
(some 0.1 ms) is shorter than what the interpreter (5 ms) or the kernel (3 ms) lets a thread run before it takes turns.
Where components share cores this makes the short bursts of balancer and store wait for a whole one of a replica.
Replicas are asked in turn, as a round-robin balancer asks them. SimPy keeps the events in order.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import simpy

from analysis.demands import period_s
from analysis.estimates import Estimate, estimate

BATCHES = 10
"""Consecutive parts of a simulation, one value each: what their interval rests on (batch means, Conway 1963)."""
MEASURED = 20_000
WARM_UP_EACH = 20
"""Requests to every replica before anything is counted."""


@dataclass(frozen=True)
class System:
    """What is simulated. Times in seconds of one core; `outside_s` are quantiles at equal steps, or one value.

    Attributes:
        replica_s: CPU of a request at its replica, half before the store is asked and half after.
        scv: squared coefficient of variation of a burst at a replica; 1 is exponential. Others are exponential.
        shared_cores: on which all components compute; 0 where each replica, balancer and store has its own.

    """

    replicas: int
    threads: int
    replica_s: float
    balancer_s: float
    store_s: float
    outside_s: Sequence[float] = (0.0,)
    scv: float = 1.0
    balancers: int = 1
    shards: int = 1
    shared_cores: int = 0
    replica_quota: float = 1.0  # share of a core
    store_quota: float = 1.0
    in_turn: bool = True  # else a replica is picked at random, as the product form has it


@dataclass(frozen=True)
class Simulated:
    """Response times in ms, with intervals over batches."""

    mean_ms: Estimate
    p50_ms: Estimate
    p90_ms: Estimate
    p99_ms: Estimate
    throughput_rps: float
    requests: int


class Cores:
    """Cores with one queue, first come, first served; a burst's end is known when it comes.

    One core with a quota computes at full speed until the period's share is used, and goes on in the next period.
    """

    def __init__(self, cores: int = 1, quota: float = 1.0, period_s: float = 0.0) -> None:
        self._free_at = [0.0] * cores
        self._share_s = quota * period_s if quota < 1 else math.inf
        self._period_s = period_s
        self._period, self._used_s = 0, 0.0

    def wait(self, now: float, burst_s: float) -> float:
        """Seconds until a burst that comes now is done; who has nothing to compute does not queue."""
        if burst_s <= 0:
            return 0.0
        begin = max(now, self._free_at[0])
        done = begin + burst_s if math.isinf(self._share_s) else self._within_quota(begin, burst_s)
        heapq.heapreplace(self._free_at, done)
        return done - now

    def _within_quota(self, at: float, burst_s: float) -> float:
        """Return when a burst that begins at `at` is done, and use up the shares of the periods that it takes."""
        if int(at / self._period_s) > self._period:
            self._period, self._used_s = int(at / self._period_s), 0.0
        while burst_s > self._share_s - self._used_s:
            burst_s -= self._share_s - self._used_s
            self._period, self._used_s = self._period + 1, 0.0
            at = self._period * self._period_s
        self._used_s += burst_s
        return at + burst_s


def _limited(quota: float) -> Cores:
    return Cores(1, quota, period_s(quota))


@dataclass
class _Run:
    """A simulation that goes on."""

    system: System
    draw: np.random.Generator
    total: int
    env: simpy.Environment = field(default_factory=simpy.Environment)
    responses: list[tuple[float, float]] = field(default_factory=list)  # when it ended, how long it took

    def __post_init__(self) -> None:
        system = self.system
        one = Cores(system.shared_cores) if system.shared_cores else None
        self.replicas = [one or _limited(system.replica_quota) for _ in range(system.replicas)]
        self.balancers = cycle([one or Cores() for _ in range(system.balancers)])
        self.shards = [one or _limited(system.store_quota) for _ in range(system.shards)]
        self.threads = [simpy.Resource(self.env, system.threads) for _ in range(system.replicas)]
        self.done = self.env.event()
        half_s = system.replica_s / 2
        self.burst_s = self.bursts(half_s, system.scv)
        self.store_s = self.bursts(system.store_s, 1.0)
        self.balancer_s = self.bursts(system.balancer_s, 1.0)
        turn = cycle(range(system.replicas))
        self.place: Callable[[], int] = (
            turn.__next__
            if system.in_turn
            else self._numbers(lambda count: self.draw.integers(system.replicas, size=count))
        )
        self.outside_s = self._numbers(lambda count: self.draw.choice(np.asarray(system.outside_s), count))
        self.shard = self._numbers(lambda count: self.draw.integers(system.shards, size=count))

    def bursts(self, mean_s: float, scv: float) -> Callable[[], float]:
        """Draws of a gamma law; constant where nothing varies."""
        if mean_s <= 0 or scv <= 0:
            return lambda: mean_s
        return self._numbers(lambda count: self.draw.gamma(1 / scv, mean_s * scv, count))

    def _numbers(self, draw: Callable[[int], Any]) -> Callable[[], Any]:
        """Draws, made many at a time and given one by one."""
        left: list[Any] = []

        def one() -> Any:
            if not left:
                left.extend(draw(4096).tolist())
            return left.pop()

        return one

    def request(self) -> Generator[simpy.Event, Any, None]:
        """One request, from when it is sent to when it is answered."""
        env, began = self.env, self.env.now
        yield env.timeout(max(0.0, self.outside_s()))
        yield env.timeout(next(self.balancers).wait(env.now, self.balancer_s()))
        place = self.place()
        core = self.replicas[place]
        with self.threads[place].request() as thread:
            yield thread
            yield env.timeout(core.wait(env.now, self.burst_s()))
            if self.system.store_s > 0:
                yield env.timeout(self.shards[self.shard()].wait(env.now, self.store_s()))
            yield env.timeout(core.wait(env.now, self.burst_s()))
        self.responses.append((env.now, env.now - began))
        if len(self.responses) == self.total:
            self.done.succeed()


def simulate_open(system: System, rate_rps: float, *, seed: int, requests: int = MEASURED) -> Simulated:
    """Return what Poisson arrivals at a rate see; `requests` are counted after a warm-up, which bounds its time.

    At or above capacity the response grows as long as one simulates: that is for the caller to refuse.
    """
    run = _Run(system, np.random.default_rng(seed), _warm_up(system) + requests)
    gap_s = run.bursts(1 / rate_rps, 1.0)

    def arrivals() -> Generator[simpy.Event, Any, None]:
        while True:
            yield run.env.timeout(gap_s())
            run.env.process(run.request())

    run.env.process(arrivals())
    run.env.run(until=run.done)
    return _figures(run, requests)


def simulate_closed(system: System, users: int, think_s: float, *, seed: int, requests: int = MEASURED) -> Simulated:
    """Return what users see who wait for each answer and think for an exponential time."""
    run = _Run(system, np.random.default_rng(seed), _warm_up(system) + requests)
    think = run.bursts(think_s, 1.0)

    def user() -> Generator[simpy.Event, Any, None]:
        while True:
            yield run.env.timeout(think())
            yield run.env.process(run.request())

    for _ in range(users):
        run.env.process(user())
    run.env.run(until=run.done)
    return _figures(run, requests)


def _warm_up(system: System) -> int:
    return max(1000, WARM_UP_EACH * system.replicas)


def _figures(run: _Run, requests: int) -> Simulated:
    before = run.responses[_warm_up(run.system) - 1][0]
    counted = run.responses[_warm_up(run.system) :][:requests]
    took_ms = 1e3 * np.asarray([took for _, took in counted])
    parts = np.array_split(took_ms, BATCHES)

    def over(value: Callable[[Any], Any]) -> Estimate:
        return estimate([float(value(part)) for part in parts], positive=True)

    return Simulated(
        mean_ms=over(np.mean),
        p50_ms=over(lambda part: np.quantile(part, 0.5)),
        p90_ms=over(lambda part: np.quantile(part, 0.9)),
        p99_ms=over(lambda part: np.quantile(part, 0.99)),
        throughput_rps=len(counted) / (counted[-1][0] - before),
        requests=len(counted),
    )
