"""The virtual user: a Locust user whose requests are due when its own schedule says, not when the last one ended.

A scenario is a file in `scenarios/` with one subclass and its weighted tasks; everything a trial needs beside it
(schedule, phases, samples) is here, and works the same under the harness and by hand.
"""

from __future__ import annotations

import gc
import json
import os
import random
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from locust import User, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests import arrivals, control, credentials, samples, stock_clients
from loadtests.client import CLIENTS, Answer, Client
from loadtests.phases import Phase, Phases
from loadtests.recorder import Recorder
from servers.users import PASSWORD, user_name

_TIMEOUT_S = 10.0
# A user that is behind at the end of a phase goes on for so long; what is then still unsent is dropped, and counted.
_DRAIN_NS = 2_000_000_000
# Of an access token's life: what is left when a client that can renews it.
_RENEW_BEFORE_END = 0.1


@events.init_command_line_parser.add_listener
def _add_options(parser: LocustArgumentParser) -> None:
    # not in a group of their own: Locust marks what its web page may show on the parser itself
    parser.add_argument("--rate", type=float, default=20.0, help="Requests per second of all users together")
    parser.add_argument("--warm-up", type=float, default=0.0, help="Seconds before the measured phase")
    parser.add_argument("--duration", type=float, default=0.0, help="Seconds measured (under the harness)")
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
        self.rate_per_user = options.rate / users
        self.keeps_samples = bool(options.samples)  # by hand, a load that goes on for hours must not fill the memory
        self.recorder = Recorder()
        self.phases = Phases(users, options.warm_up, options.duration, self.folder)
        self.host = environment.host or ""
        self.authority: Path | None = Path(options.authority) if options.authority else None
        self.next_user = 0
        self._environment = environment
        gevent.spawn(self.phases.conduct, self._started, self._finish)

    def number(self) -> int:
        """The next user's number."""
        self.next_user += 1
        return self.next_user - 1

    def _started(self, phase: Phase, text: str) -> None:
        if phase is self.phases.login and text:
            self.host, _, authority = text.partition(" ")
            self.authority = Path(authority) if authority else None
        # what the start-up left behind is not collected in the middle of a request
        gc.collect()
        gc.freeze()

    def _finish(self) -> None:
        runner = self._environment.runner
        if runner is not None:
            runner.quit()


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
        counts = {"requests": total.num_requests, "failures": total.num_failures}
        control.give(shared.folder, control.COUNTS, json.dumps(counts))


class VirtualUser(User):
    """One signed-in user on one connection.

    Subclasses add tasks that call `me`, `profile`, `login`, `logout`, `refresh`. Where the credential can be
    refreshed and is near its end, the refresh takes the place of the read that is due.
    """

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.shared: Shared = _of_environment[environment]
        self.number = self.shared.number()
        self.name = user_name(self.number % self.shared.options.accounts, self.shared.options.accounts)
        self.signed_in = False
        self._credential = credentials.NOTHING
        self._renew_ns: float = 0
        self._phase = self.shared.phases.login
        self._phase_start_ns = 0
        self._client: Client | None = None
        self._schedule: Iterator[float] = iter(())
        self._due_ns = 0
        self._was_busy = False

    def on_start(self) -> None:
        """Sign in before anything is measured, then wait for the first request to be due."""
        self.shared.phases.enter(self.shared.phases.login)
        self._client = stock_clients.make(
            self.shared.options.client, self.shared.host, self.shared.authority, _TIMEOUT_S
        )
        self._due_ns = time.monotonic_ns()
        self.login()
        self._enter(self.shared.phases.warm_up)
        self.wait()

    def on_stop(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def wait_time(self) -> float:
        """Seconds until the next request is due; 0 when it already is, and then it counts from when it was due."""
        while True:
            self._due_ns = self._phase_start_ns + round(next(self._schedule) * 1e9)
            now_ns, end_ns = time.monotonic_ns(), self._phase_start_ns + self._phase.length_ns
            if self._due_ns >= end_ns:
                phases = self.shared.phases
                self._enter(phases.measured if self._phase is phases.warm_up else phases.end)
            elif now_ns > end_ns + _DRAIN_NS:
                self._record("", Answer(started_ns=0), samples.DROPPED, credentials.NOTHING)
            else:
                self._was_busy = self._due_ns <= now_ns
                return max(0.0, (self._due_ns - now_ns) / 1e9)

    def login(self) -> None:
        """POST /login, and keep what the reply says to send from now on."""
        body = json.dumps({"username": self.name, "password": PASSWORD}).encode()
        answer = self._send("login", b"POST", b"/login", body=body, credential=credentials.NOTHING)
        if answer.status == HTTPStatus.OK:
            self._keep(answer)
            self.signed_in = True

    def me(self) -> None:
        """GET /me, an authenticated read."""
        if self.can_refresh and time.monotonic_ns() >= self._renew_ns:
            self.refresh()
        else:
            self._send("me", b"GET", b"/me", credential=self._credential)

    def profile(self) -> None:
        """POST /profile, a change of state; a scheme whose state lives with the client answers a new credential."""
        body = json.dumps({"display_name": f"{self.name} at {self._due_ns}"}).encode()
        answer = self._send("profile", b"POST", b"/profile", body=body, credential=self._credential, changes=True)
        if answer.status == HTTPStatus.OK and b'"credential"' in answer.body:
            self._keep(answer)

    @property
    def can_refresh(self) -> bool:
        """Whether the credential came with a refresh token."""
        return bool(self._credential.refresh_body)

    def refresh(self) -> None:
        """POST /refresh; a refused refresh token is a sign-in that has ended."""
        body = self._credential.refresh_body
        answer = self._send("refresh", b"POST", b"/refresh", body=body, credential=credentials.NOTHING)
        if answer.status == HTTPStatus.OK:
            self._keep(answer)
        elif answer.status == HTTPStatus.UNAUTHORIZED:
            self._credential = credentials.NOTHING
            self.signed_in = False

    def _keep(self, answer: Answer) -> None:
        self._credential = credentials.from_reply(answer.body, answer.set_cookies, self._credential)
        left_s = self._credential.lives_s * (1 - _RENEW_BEFORE_END) if self._credential.lives_s else float("inf")
        self._renew_ns = time.monotonic_ns() + left_s * 1e9

    def logout(self) -> None:
        """POST /logout, and forget the credential whatever the answer."""
        self._send(
            "logout", b"POST", b"/logout", credential=self._credential, changes=True, expected=HTTPStatus.NO_CONTENT
        )
        self._credential = credentials.NOTHING
        self.signed_in = False

    def _enter(self, phase: Phase) -> None:
        self._phase_start_ns = self.shared.phases.enter(phase)
        self._phase = phase
        process = arrivals.PROCESSES[self.shared.options.arrivals]
        self._schedule = process(self.shared.rate_per_user, (self.shared.options.arrival_seed, phase.name), self.number)

    def _send(
        self,
        operation: str,
        method: bytes,
        path: bytes,
        *,
        credential: credentials.Credential,
        body: bytes = b"",
        changes: bool = False,
        expected: int = HTTPStatus.OK,
    ) -> Answer:
        lines = credential.line + (credential.state_change_line if changes else b"")
        if self._client is None:
            raise RuntimeError("a task ran before on_start")
        answer = self._client.request(method, path, lines, body)
        outcome = _outcome(answer, expected, self.name if operation == "me" and credential.line else "")
        self._record(operation, answer, outcome, credential)
        self._tell_locust(operation, method, path, answer, outcome)
        return answer

    def _record(self, operation: str, answer: Answer, outcome: str, credential: credentials.Credential) -> None:
        if not self.shared.keeps_samples:
            return
        self.shared.recorder.add(
            self._due_ns,
            answer.started_ns,
            answer.first_byte_ns,
            answer.ended_ns,
            self._was_busy,
            self.number,
            operation,
            self._phase.name,
            answer.status,
            outcome,
            answer.request_head_bytes,
            answer.request_body_bytes,
            answer.response_head_bytes,
            answer.response_body_bytes,
            len(credential.line),
            answer.connection_reused,
            answer.server_timing,
        )

    def _tell_locust(self, operation: str, method: bytes, path: bytes, answer: Answer, outcome: str) -> None:
        since_ns = self._due_ns if self._was_busy else answer.started_ns
        self.environment.events.request.fire(
            request_type=method.decode(),
            name=path.decode(),
            response_time=(answer.ended_ns - since_ns) / 1e6,
            response_length=answer.response_head_bytes + answer.response_body_bytes,
            response=None,
            context={"operation": operation},
            exception=None
            if outcome == samples.OK
            else answer.failure or UnexpectedAnswerError(outcome, answer.status),
        )


class UnexpectedAnswerError(Exception):
    """Shown by Locust's failure table: the outcome and the status."""


def _outcome(answer: Answer, expected: int, name: str) -> str:
    if isinstance(answer.failure, TimeoutError):
        return samples.TIMEOUT
    if answer.failure is not None:
        return samples.FAILED
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return samples.REFUSED
    if answer.status != expected or name.encode() not in answer.body:
        return samples.ERROR
    return samples.OK
