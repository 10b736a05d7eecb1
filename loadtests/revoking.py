"""How long a credential is accepted after its user has signed out: asked of every replica until all refuse.

One log-out is one user on one connection to each replica, past the balancer. Users sign in and out at a rate, and
several are watched at once, so that long lives do not add up.
"""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from loadtests import credentials
from loadtests.client import Answer, HttpClient, client_of
from loadtests.credentials import Credential
from loadtests.verify import VerificationError
from servers.users import PASSWORD, user_name

LOG_OUT, LOG_OUT_ALL = "logout", "logout-all"
WAYS = {LOG_OUT: b"/logout", LOG_OUT_ALL: b"/logout-all"}
"""How a user signs out, and where. With `logout-all` it is another sign-in of the same user that is watched."""
PERIOD_S = 0.018
"""Between two rounds of asking: 50 a second at least also where a round comes a little late."""

_CONFIRMING_ROUNDS = 2
_KNOWN_WITHIN_S = 2.0  # for stores whose copies lag
_SHORTEST_LIFE_S = 0.35  # what must be left of a credential to be known everywhere before it is given up
_LATEST_AGE = 0.8  # of what is left of its life
_UNKNOWN = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


@dataclass(frozen=True)
class Plan:
    """How many users sign out, at which rate (1/s), at most so many watched at once, each for `observe_s` at most.

    Nobody begins later than `begin_within_s` after the first.
    """

    log_outs: int
    rate: float
    at_once: int
    begin_within_s: float
    observe_s: float
    seed: int


@dataclass(frozen=True)
class LogOut:
    """One log-out. Times in ms from its acknowledgement, which is when its answer had come.

    Attributes:
        sending_ms: from its sending to its acknowledgement.
        known_by: replicas that accepted the credential before it.
        revoked_ms: until the answer to the first refusal of the last replica that came to refuse; None where one still
            accepted when the observation ended.
        accepted_ms: until the sending of the last request that was accepted; None where none was.
        remaining_ms: until the end that the credential itself names (exp); None where it names none.
        observed_ms: until the last answer that was waited for.
        asked: requests of the observation, of all replicas.

    """

    sending_ms: float
    known_by: int
    revoked_ms: float | None
    accepted_ms: float | None
    remaining_ms: float | None
    observed_ms: float
    asked: int


@dataclass(frozen=True)
class Unable:
    """The scheme has no such way to sign out: what it answered."""

    status: int
    reason: str


class _UnableError(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        try:
            reason = str(json.loads(answer.body).get("detail", ""))
        except (ValueError, AttributeError):
            reason = ""
        self.unable = Unable(answer.status, reason)


def ends_at(credential: Credential) -> float | None:
    """Seconds since the epoch at which a credential says that it ends: a JWT's exp (RFC 7519); None for others."""
    parts = credential.line.strip().rpartition(b" ")[2].rpartition(b"=")[2].split(b".")
    if len(parts) != 3 or not credential.line:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def watch(
    urls: Mapping[str, str], accounts: int, way: str, plan: Plan, *, everywhere: bool
) -> tuple[LogOut, ...] | Unable:
    """Sign users in and out, and ask; the log-outs in their order.

    The first goes by itself and tells whether the scheme has that way to sign out. `everywhere`: a credential is known
    to every replica, though perhaps a moment later.

    Raises:
        VerificationError: a server answered what no such server should.

    """
    asker = _Asker(urls, accounts, way, plan, everywhere)
    try:
        first = asker.one(0)
    except _UnableError as error:
        return error.unable
    places = threading.Semaphore(plan.at_once)

    def one(number: int) -> LogOut:
        try:
            return asker.one(number)
        finally:
            places.release()

    begun: list[Future[LogOut]] = []
    with ThreadPoolExecutor(plan.at_once) as pool:
        start = time.monotonic()
        for number in range(1, plan.log_outs):
            time.sleep(max(0.0, start + (number - 1) / plan.rate - time.monotonic()))
            places.acquire()
            if time.monotonic() - start > plan.begin_within_s:
                break
            begun.append(pool.submit(one, number))
    return (first, *(each.result() for each in begun))


class _Asker:
    def __init__(self, urls: Mapping[str, str], accounts: int, way: str, plan: Plan, everywhere: bool) -> None:  # noqa: FBT001
        self._urls = tuple(urls.values())
        self._accounts = accounts
        self._way = way
        self._plan = plan
        self._everywhere = everywhere

    def one(self, number: int) -> LogOut:
        """One user signs in at a replica, each in turn, and out there."""
        clients = [client_of(url) for url in self._urls]
        try:
            return self._one(number, clients)
        finally:
            for client in clients:
                client.close()

    def _one(self, number: int, clients: list[HttpClient]) -> LogOut:
        chance = random.Random(f"{self._plan.seed} {self._way} {number}")  # noqa: S311 - to be repeated, not a secret
        home = number % len(clients)
        user = user_name(number % self._accounts, self._accounts)
        credential = self._sign_in(clients[home], user)
        # on another server, where there is one
        watched = self._sign_in(clients[(home + 1) % len(clients)], user) if self._way == LOG_OUT_ALL else credential
        known_by = self._known_by(clients, watched)
        ends = [end for end in (ends_at(credential), ends_at(watched)) if end is not None]
        left_s = min(ends) - time.time() if ends else 0.0
        if 0 < left_s <= self._plan.observe_s:  # a credential is given up at any age, and not at its birth
            time.sleep(chance.uniform(0, _LATEST_AGE) * left_s)
        lines = credential.line + credential.state_change_line
        answer = clients[home].request(b"POST", WAYS[self._way], lines)
        if answer.status in _UNKNOWN:
            raise _UnableError(answer)
        _expect("POST " + WAYS[self._way].decode(), answer, HTTPStatus.NO_CONTENT)
        end = ends_at(watched)
        remaining_ms = (
            None if end is None else (end - time.time()) * 1e3 + (time.monotonic_ns() - answer.ended_ns) / 1e6
        )
        return _observed(clients, watched, answer, known_by, remaining_ms, self._plan.observe_s)

    def _sign_in(self, client: HttpClient, user: str) -> Credential:
        """Sign in; once more in a new second where next to nothing is left of the life, which ends with a second."""
        while True:
            body = json.dumps({"username": user, "password": PASSWORD}).encode()
            answer = client.request(b"POST", b"/login", body=body)
            _expect("POST /login", answer, HTTPStatus.OK)
            credential = credentials.from_reply(answer.body, answer.set_cookies)
            end = ends_at(credential)
            left_s = _SHORTEST_LIFE_S if end is None else end - time.time()
            if left_s >= _SHORTEST_LIFE_S:
                return credential
            time.sleep(max(0.0, left_s))

    def _known_by(self, clients: list[HttpClient], credential: Credential) -> int:
        deadline = time.monotonic() + _KNOWN_WITHIN_S
        while True:
            known = sum(_accepts(client.request(b"GET", b"/me", credential.line)) for client in clients)
            if known == len(clients) or (not self._everywhere and known):
                return known
            if time.monotonic() > deadline:
                raise VerificationError(
                    f"{known} of {len(clients)} replicas know a credential {_KNOWN_WITHIN_S:g} s old"
                )


def _observed(
    clients: list[HttpClient],
    credential: Credential,
    logged_out: Answer,
    known_by: int,
    remaining_ms: float | None,
    observe_s: float,
) -> LogOut:
    """Ask all in rounds until all refuse twice; a replica that accepts again has not refused yet."""
    since_ns = logged_out.ended_ns
    refused_ns: list[int | None] = [None] * len(clients)
    accepted_ns: int | None = None
    asked = agreeing = 0
    due_s = time.monotonic()
    while True:
        for place, client in enumerate(clients):
            answer = client.request(b"GET", b"/me", credential.line)
            asked += 1
            if _accepts(answer):
                refused_ns[place], accepted_ns = None, answer.started_ns
            else:
                refused_ns[place] = refused_ns[place] or answer.ended_ns
        agreeing = agreeing + 1 if None not in refused_ns else 0
        if agreeing == _CONFIRMING_ROUNDS or answer.ended_ns - since_ns > observe_s * 1e9:
            break
        due_s = max(due_s + PERIOD_S, time.monotonic())
        time.sleep(max(0.0, due_s - time.monotonic()))
    last = [each for each in refused_ns if each is not None]
    return LogOut(
        sending_ms=(since_ns - logged_out.started_ns) / 1e6,
        known_by=known_by,
        revoked_ms=(max(last) - since_ns) / 1e6 if len(last) == len(clients) else None,
        accepted_ms=None if accepted_ns is None else (accepted_ns - since_ns) / 1e6,
        remaining_ms=remaining_ms,
        observed_ms=(answer.ended_ns - since_ns) / 1e6,
        asked=asked,
    )


def _accepts(answer: Answer) -> bool:
    """Whether GET /me was answered. Raises VerificationError for anything else than an answer and a refusal."""
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return False
    _expect("GET /me", answer, HTTPStatus.OK)
    return True


def _expect(what: str, answer: Answer, status: int) -> None:
    if answer.status != status:
        told = answer.failure or f"got {answer.status}: {answer.body[:200].decode(errors='replace')}"
        raise VerificationError(f"{what}: expected {status}: {told}")
