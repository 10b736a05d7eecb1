"""Users who change their state and would miss a change: each read must show the last change that was acknowledged.

Real-life analogue: a basket, a draft, a setting. Each arrival is one request; a request that fails is not repeated. Who
is refused renews the credential where the scheme has a way to, and signs in again where that is refused, too.
By hand: locust -f loadtests/scenarios/counter.py --host URL
"""

import json
import time
from http import HTTPStatus

from locust import task
from locust.env import Environment

from loadtests import credentials, samples
from loadtests.acknowledged import Acknowledged
from loadtests.client import Answer
from loadtests.virtual_user import VirtualUser


class Counter(VirtualUser):
    """Two reads for each change, and a ledger of what was acknowledged."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._ledger = Acknowledged(self.number, self.shared.losses)
        self._in_doubt = False

    @task(2)
    def read(self) -> None:
        """An authenticated read."""
        self._or_sign_in("me")

    @task(1)
    def change(self) -> None:
        """A change of state."""
        self._or_sign_in("profile")

    def _or_sign_in(self, operation: str) -> None:
        if not self.signed_in:
            operation = "login"
        elif self._in_doubt:
            operation = "refresh"
        self._in_doubt = False
        getattr(self, operation)()

    def judged(self, operation: str, answer: Answer, outcome: str) -> str:
        """`outdated` for an answer that lacks a change that was acknowledged."""
        if operation == "login" and outcome == samples.OK:
            self._ledger.signed_in()
        elif operation in ("me", "profile"):
            if outcome == samples.REFUSED or answer.status == HTTPStatus.CONFLICT:
                self._in_doubt = self.can_refresh
            if outcome == samples.REFUSED and not self.can_refresh:
                self.signed_in = False
                self._credential = credentials.NOTHING
            # without a credential there is nobody whose state it would be
            elif outcome == samples.OK and self._credential.line and self._lacks(operation, answer):
                return samples.OUTDATED
        return outcome

    def _lacks(self, operation: str, answer: Answer) -> bool:
        shown = json.loads(answer.body)
        note = self._ledger.wrote if operation == "profile" else self._ledger.read
        return note(shown["serial"], shown["display_name"], time.monotonic_ns())
