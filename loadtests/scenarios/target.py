"""Users of a service that is not ours: each signs in once, then sends the requests of `[target]` by their weights.

By hand: AUTHSCALE_TARGET=own.toml locust -f loadtests/scenarios/target.py --host URL, which takes the first system.
"""

import random
from functools import cache
from itertools import accumulate

from locust import task
from locust.env import Environment

from loadtests.client import Answer
from loadtests.credentials import Credential
from loadtests.targets import handing_over
from loadtests.targets.conversation import NOBODY, Asked, Conversation
from loadtests.virtual_user import VirtualUser

handed_over = cache(handing_over.received)


class Visitor(VirtualUser):
    """Each arrival is one request; which, is a throw of Locust's dice, so that the mix repeats with the seed."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._talk: Conversation
        self._asked: Asked | None = None

    def login(self) -> None:
        """The sign-in, with the pages that it needs; only now is it known at which address the system is."""
        target, people = handed_over(self.shared.host)
        self._talk = Conversation(target, people[self.number % len(people)] if people else NOBODY)
        self._requests = target.requests
        self._weights = list(accumulate(each.weight for each in target.requests))
        self._talk.sign_in(self._exchange)

    @task
    def visit(self) -> None:
        """One request."""
        (request,) = random.choices(self._requests, cum_weights=self._weights)  # noqa: S311 - a load, not a secret
        self._exchange(self._talk.asked(request))

    def judged(self, operation: str, answer: Answer, outcome: str) -> str:  # noqa: ARG002 - known better here
        """What the target's own rules say."""
        return self._talk.judge(self._asked, answer) if self._asked else outcome

    def _exchange(self, asked: Asked) -> Answer:
        self._asked = asked
        credential = Credential(asked.credential, asked.lines)
        answer = self._send(
            asked.operation, asked.method, asked.path, credential=credential, body=asked.body, changes=True
        )
        self._talk.heard(answer)
        return answer
