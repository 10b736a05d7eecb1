"""The virtual user: a Locust user whose requests are due when its own schedule says, not when the last one ended.

A scenario is a file in `scenarios/` with one subclass and its weighted tasks; everything a trial needs beside it
(schedule, phases, samples) is here, and works the same under the harness and by hand.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http import HTTPStatus

import gevent
from locust import User
from locust.env import Environment

from loadtests import credentials, routing, samples, stock_clients
from loadtests.client import Answer, Client
from loadtests.judging import outcome_of
from loadtests.load_process import Shared, shared_of
from servers.users import PASSWORD, user_name

_TIMEOUT_S = 10.0
# A user that is behind at the end of a phase goes on for so long; what is then still unsent is dropped, and counted.
_DRAIN_NS = 2_000_000_000
# Of an access token's life: what is left when a client that can renews it.
_RENEW_BEFORE_END = 0.1


class VirtualUser(User):
    """One signed-in user on one connection.

    Subclasses add tasks that call `me`, `profile`, `login`, `logout`, `refresh`. Where the credential can be
    refreshed and is near its end, the refresh takes the place of the read that is due.
    """

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.shared: Shared = shared_of(environment)
        self.number = self.shared.number()
        self.name = user_name(self.number % self.shared.options.accounts, self.shared.options.accounts)
        self.signed_in = False
        self._credential = credentials.NOTHING
        self._route = routing.NOWHERE
        self._renew_ns: float = 0
        self.ends_ns: float = float("inf")  # what it sends with its requests is good until then, as it was told
        self._phase = self.shared.phases.before
        self._client: Client | None = None
        self._pace: Iterator[float] = iter(())
        self._in_flight = False
        self._due_ns = 0
        self._was_busy = False

    def on_start(self) -> None:
        """Sign in before anything is measured, then wait for the first request to be due."""
        self._go_on()
        self._client = stock_clients.make(
            self.shared.options.client, self.shared.host, self.shared.authority, _TIMEOUT_S
        )
        self._due_ns = time.monotonic_ns()
        self.arrive()
        self._go_on()
        self.wait()

    def arrive(self) -> None:
        """What happens before anything is measured: a sign-in."""
        self.login()

    def on_stop(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def wait_time(self) -> float:
        """Seconds until the next request is due; 0 when it already is, and then it counts from when it was due.

        With a cap on requests in flight it sleeps here: whether the request is dropped is known only at its turn.
        """
        flight = self.shared.in_flight
        if self._in_flight:
            self._in_flight = False
            flight.end(time.monotonic_ns())
        while True:
            wait_s = self._until_due()
            if wait_s is None:
                continue
            if not flight.cap:
                return wait_s
            gevent.sleep(wait_s)
            if not flight.refuses(self._due_ns):
                self._in_flight = True
                flight.begin(time.monotonic_ns())
                return 0.0
            self._drop()

    def _until_due(self) -> float | None:
        """Seconds until the next request; None for one that is not to be sent, or of a phase that is over.

        In a closed loop it is due when its user has been answered and has thought, so that its user is never busy then.
        """
        now_ns, end_ns = time.monotonic_ns(), self._phase.start_ns + self._phase.length_ns
        since_ns = max(now_ns, self._phase.start_ns) if self.shared.closed else self._phase.start_ns
        self._due_ns = since_ns + round(next(self._pace) * 1e9)
        if self._due_ns >= end_ns:
            self._go_on()
            return None
        if now_ns > end_ns + _DRAIN_NS:
            self._drop()
            return None
        self._was_busy = self._due_ns <= now_ns and not self.shared.closed
        return max(0.0, (self._due_ns - now_ns) / 1e9)

    def _drop(self) -> None:
        self._record("", Answer(started_ns=0), samples.DROPPED, credentials.NOTHING)

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
        now_ns = time.monotonic_ns()
        self._renew_ns = now_ns + left_s * 1e9
        self.ends_ns = now_ns + (self._credential.lives_s or float("inf")) * 1e9

    def logout(self) -> bool:
        """POST /logout, and forget the credential whatever the answer; returns whether the server has ended it."""
        answer = self._send(
            "logout", b"POST", b"/logout", credential=self._credential, changes=True, expected=HTTPStatus.NO_CONTENT
        )
        self.forget()
        return answer.status == HTTPStatus.NO_CONTENT

    def forget(self) -> None:
        """Let the credential go, which tells no server anything."""
        self._credential = credentials.NOTHING
        self.signed_in = False

    @property
    def credential(self) -> credentials.Credential:
        """What it sends with its requests at present."""
        return self._credential

    def try_me(self, operation: str, credential: credentials.Credential) -> None:
        """GET /me with a credential that must be refused; the operation says why (`samples.MUST_REFUSE`)."""
        self._send(operation, b"GET", b"/me", credential=credential, expected=HTTPStatus.UNAUTHORIZED)

    def _go_on(self) -> None:
        """Wait at the border of the phase, and start on the next."""
        self._phase = self.shared.phases.follow(self._phase)
        self._pace = self.shared.pace(self._phase, self.number)

    def _watch(self, answer: Answer) -> None:
        """Tell the warm-up how long an answer took, by the same rule as the samples: since due if the user was busy."""
        if self._phase.name == samples.WARM_UP and answer.failure is None:
            since_ns = self._due_ns if self._was_busy else answer.started_ns
            self.shared.phases.warmed.saw(self._due_ns, max(1, answer.ended_ns - since_ns))

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
        answer = self._client.request(method, path, routing.lines_with(lines, self._route), body)
        self._route = routing.followed(self._route, answer.head)
        outcome = outcome_of(answer, expected, self.name if operation == "me" and credential.line else "")
        outcome = self.judged(operation, answer, outcome)
        self._record(operation, answer, outcome, credential)
        self._tell_locust(operation, method, path, answer, outcome)
        self._watch(answer)
        return answer

    def judged(self, operation: str, answer: Answer, outcome: str) -> str:  # noqa: ARG002 - for scenarios to use
        """The outcome of an answer, for a scenario that knows more of what is right; called before it is recorded."""
        return outcome

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
