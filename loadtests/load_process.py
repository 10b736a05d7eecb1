"""What all users of one generator process share: its options, its phases, its recorder; and the listeners that make it.

Importing this registers the options with Locust.
"""

from __future__ import annotations

import gc
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests import arrivals, control, pacing
from loadtests.acknowledged import Loss
from loadtests.client import CLIENTS
from loadtests.phases import Phase, Phases
from loadtests.rates import Rate
from loadtests.recorder import Recorder


@events.init_command_line_parser.add_listener
def _add_options(parser: LocustArgumentParser) -> None:
    # not in a group of their own: Locust marks what its web page may show on the parser itself
    parser.add_argument("--rate", type=float, default=20.0, help="Requests per second of all users together")
    parser.add_argument("--warm-up", type=float, default=0.0, help="Seconds before the measured phase")
    parser.add_argument("--warm-up-max", type=float, default=0.0, help="Budget for finding that it is steady, seconds")
    parser.add_argument(
        "--duration", type=float, default=0.0, help="Seconds measured (under the harness), or of a ramp"
    )
    parser.add_argument("--model", choices=pacing.MODELS, default=pacing.OPEN, help="Load model")
    parser.add_argument("--think", type=float, default=0.0, help="Mean think time of a closed loop, seconds")
    parser.add_argument("--max-in-flight", type=int, default=0, help="Drop what falls due beyond so many (0: none)")
    parser.add_argument("--ramp-to", type=float, default=0.0, help="Rate at the end of the duration (0: constant)")
    parser.add_argument("--steps", type=int, default=0, help="Climb to it in so many steps (0: a straight ramp)")
    parser.add_argument("--arrivals", choices=list(arrivals.PROCESSES), default="poisson", help="Arrival process")
    parser.add_argument("--arrival-seed", default="1", help="Seed of the arrival schedule")
    parser.add_argument("--client", choices=CLIENTS, default="lean", help="What sends: ours, or one of Locust's own")
    parser.add_argument("--accounts", type=int, default=10_000, help="Size of the user table", include_in_web_ui=False)
    parser.add_argument("--authority", default="", help="Certificate to trust (PEM)", include_in_web_ui=False)
    parser.add_argument("--samples", default="", help="Write the samples to this Parquet file", include_in_web_ui=False)


class Shared:
    """What all users of one process share; hangs on Locust's environment for the length of one test."""

    def __init__(self, environment: Environment, users: int) -> None:
        options: Any = environment.parsed_options
        folder = os.environ.get(control.VARIABLE)
        self.folder = Path(folder) if folder else None
        self.options = options
        self.users = users
        self.closed = options.model == pacing.CLOSED
        self.in_flight = pacing.InFlight(options.max_in_flight)
        self.keeps_samples = bool(options.samples)  # by hand, a load that goes on for hours must not fill the memory
        self.recorder = Recorder()
        self.phases = Phases(users, options.warm_up, options.duration, self.folder, options.warm_up_max)
        self.host = environment.host or ""
        self.authority: Path | None = Path(options.authority) if options.authority else None
        self.next_user = 0
        self.losses: list[Loss] = []  # of the scenario that looks for them
        self._environment = environment
        gevent.spawn(self.phases.conduct, self._started, self._finish)

    def number(self) -> int:
        """The next user's number."""
        self.next_user += 1
        return self.next_user - 1

    def pace(self, phase: Phase, user: int) -> Iterator[float]:
        """Think times of a closed loop, else due times since the phase began, in seconds; a warm-up has no ramp."""
        options, seed = self.options, (self.options.arrival_seed, phase.seed)
        if self.closed:
            return pacing.think_times(options.think, seed, user)
        rate = Rate(options.rate)
        if phase.name == self.phases.measured.name:
            rate = Rate(options.rate, options.ramp_to, options.duration, options.steps)
        return pacing.schedule(options.arrivals, rate, self.users, seed, user)

    def record(self) -> dict[str, Any]:
        """What the harness is told of the phases, for trial.json."""
        return {
            "measured_from_ns": self.phases.measured.start_ns,
            "warm_up": self.phases.warmed.as_dict(),
            "losses": [loss.as_dict() for loss in self.losses],
        }

    def _started(self, phase: Phase, text: str) -> None:
        if phase is self.phases.login and text:
            self.host, _, authority = text.partition(" ")
            self.authority = Path(authority) if authority else None
        # the mix of a phase does not depend on how many rounds of warm-up came before it
        random.seed(repr((self.options.arrival_seed, phase.name)))
        # what the start-up left behind is not collected in the middle of a request
        gc.collect()
        gc.freeze()

    def _finish(self) -> None:
        runner = self._environment.runner
        if runner is not None:
            runner.quit()


def shared_of(environment: Environment) -> Shared:
    """What the users of this environment share. Raises KeyError before the test has started."""
    return _of_environment[environment]


# Locust's environment is what its events hand around; what this process shares is kept beside it
_of_environment: WeakKeyDictionary[Environment, Shared] = WeakKeyDictionary()


@events.test_start.add_listener
def _start(environment: Environment, **_: Any) -> None:
    if isinstance(environment.runner, MasterRunner):
        return
    options: Any = environment.parsed_options
    runner: Any = environment.runner
    users = runner.target_user_count or options.num_users or 1
    # which task comes next is Locust's throw of its dice, one sequence for all users; seeded, so that the mix repeats
    random.seed(options.arrival_seed)
    _of_environment[environment] = Shared(environment, users)


@events.quitting.add_listener
def _write_samples(environment: Environment, **_: Any) -> None:
    shared = _of_environment.get(environment)
    if shared is None:
        return
    if shared.keeps_samples:
        shared.recorder.write(Path(shared.options.samples))
    if shared.folder:
        total = environment.stats.total
        counts = {"requests": total.num_requests, "failures": total.num_failures, **shared.record()}
        control.give(shared.folder, control.COUNTS, json.dumps(counts))
