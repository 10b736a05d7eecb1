"""64 clients at once against two replicas behind HAProxy: nothing is revived, nothing is lost, one refresh wins.

Clients work in groups of four that share one sign-in, so that every round races on one record: they change the profile
together, then refresh together where there are refresh tokens, then one signs out while the others go on.
"""

import contextlib
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from servers import stores, users
from servers.users import PASSWORD
from topology import backing, binaries
from topology.local import Accounts, make_secret, running
from topology.reaper import Reaper
from topology.spec import Topology

CLIENTS, GROUP = 64, 4
POSTS = 6  # of each client in a round, before anybody signs out
MANY, SOME = 10_000, 1_200
WAIT_S = 60.0
# a machine that is busy with 64 clients must not make a store seem to be down
SETTINGS = {"STORE_TIMEOUT_MS": "20000"}
SHARED = [facts for facts in stores.facts().values() if facts.shared and not facts.lags]


@dataclass(frozen=True)
class Event:
    """One request and its answer; times in ns."""

    operation: str
    began: int
    ended: int
    status: int
    body: dict


@dataclass
class SignIn:
    """What a group shares in one round."""

    headers: dict[str, str]
    refresh_token: str = ""
    events: list[Event] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    serial: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, operation: str) -> list[Event]:
        return [each for each in self.events if each.operation == operation]


class Connection:
    """One keep-alive connection; a request is sent once."""

    def __init__(self, url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc, timeout=WAIT_S)

    def close(self) -> None:
        self._http.close()

    def ask(
        self, operation: str, path: str, headers: dict[str, str], document: dict | None = None
    ) -> tuple[Event, http.client.HTTPResponse]:
        method = "GET" if operation == "me" else "POST"
        body = None if document is None else json.dumps(document).encode()
        typed = headers if body is None else headers | {"Content-Type": "application/json"}
        began = time.monotonic_ns()
        self._http.request(method, path, body, typed)
        answer = self._http.getresponse()
        content = answer.read()
        return Event(
            operation, began, time.monotonic_ns(), answer.status, json.loads(content) if content else {}
        ), answer


class Group:
    """Four clients and the sign-in that they share; runs rounds until there were operations enough."""

    def __init__(self, site: "Site", number: int) -> None:
        self.site, self.name = site, users.user_name(number, site.accounts)
        self.sign_in = SignIn({})
        self.ended: list[SignIn] = []
        self.finished = False
        self.barrier = threading.Barrier(GROUP, timeout=WAIT_S)
        self.random = random.Random(number)

    def run(self, member: int) -> None:
        connection = Connection(self.site.url)
        try:
            while True:
                if member == 0:
                    self.begin(connection)
                self.barrier.wait()
                if self.finished:
                    return
                self.race(connection, member)
        except Exception as error:  # noqa: BLE001 - raised again where all have been waited for
            self.site.errors.append(error)
            self.barrier.abort()
        finally:
            connection.close()

    def race(self, connection: Connection, member: int) -> None:
        sign_in = self.sign_in
        for _ in range(POSTS):
            self.post(connection, sign_in)
        self.barrier.wait()
        if member == 0:
            self.ask(connection, sign_in, "me", "/me")
        self.barrier.wait()
        if sign_in.refresh_token and len(self.ended) % 2:
            self.refresh_together(connection, sign_in)
        elif member == 0:
            for _ in range(self.random.randrange(4)):
                self.post(connection, sign_in)
            self.ask(connection, sign_in, "logout", "/logout")
            sign_in.over.set()
        else:
            while not sign_in.over.is_set():
                if sign_in.refresh_token and member == 1:
                    self.refresh(connection, sign_in, keep=True)
                else:
                    self.post(connection, sign_in)
        self.barrier.wait()
        self.post(connection, sign_in)
        if sign_in.refresh_token and member == 0:
            self.refresh(connection, sign_in, keep=False)
        self.barrier.wait()

    def refresh_together(self, connection: Connection, sign_in: SignIn) -> None:
        """All with the same token; the barrier lets them go together."""
        event = self.refresh(connection, sign_in, keep=False)
        self.barrier.wait()
        if event.status == 200:
            sign_in.refresh_token = event.body["credential"]["refresh_token"]
        self.barrier.wait()

    def begin(self, connection: Connection) -> None:
        if self.sign_in.events:
            self.ended.append(self.sign_in)
        self.finished = self.site.is_enough()
        if self.finished:
            return
        event, answer = connection.ask("login", "/login", {}, {"username": self.name, "password": PASSWORD})
        assert event.status == 200, event.body
        credential = event.body["credential"]
        if credential["kind"] == "bearer":
            headers = {"Authorization": f"Bearer {credential['access_token']}"}
        else:
            pair = answer.headers["Set-Cookie"].partition(";")[0]
            headers = {"Cookie": pair, credential["csrf_header"]: credential["csrf_token"]}
        self.sign_in = SignIn(headers, credential.get("refresh_token", ""), [event])
        self.site.count()

    def post(self, connection: Connection, sign_in: SignIn) -> None:
        event = self.ask(connection, sign_in, "profile", "/profile", {"display_name": self.name})
        if event.status != 200 or "credential" not in event.body:
            return
        with sign_in.lock:  # the newest access token: an older one is a conflict
            if event.body["serial"] > sign_in.serial:
                sign_in.serial = event.body["serial"]
                sign_in.headers = {"Authorization": f"Bearer {event.body['credential']['access_token']}"}

    def refresh(self, connection: Connection, sign_in: SignIn, *, keep: bool) -> Event:
        event = self.ask(connection, sign_in, "refresh", "/refresh", {"refresh_token": sign_in.refresh_token})
        if event.status == 200 and keep:
            sign_in.refresh_token = event.body["credential"]["refresh_token"]
        return event

    def ask(
        self, connection: Connection, sign_in: SignIn, operation: str, path: str, body: dict | None = None
    ) -> Event:
        event, _ = connection.ask(operation, path, sign_in.headers, body)
        sign_in.events.append(event)
        self.site.count()
        return event


class Site:
    """The groups against one balancer, until there were `wanted` operations."""

    def __init__(self, url: str, accounts: int, wanted: int) -> None:
        self.url, self.accounts = url, accounts
        self.errors: list[BaseException] = []
        self._wanted = wanted
        self._counter = itertools.count(1)
        self.operations = 0

    def count(self) -> None:
        self.operations = next(self._counter)

    def is_enough(self) -> bool:
        return self.operations >= self._wanted

    def run(self) -> list[SignIn]:
        groups = [Group(self, number) for number in range(CLIENTS // GROUP)]
        threads = [threading.Thread(target=group.run, args=(n,)) for group in groups for n in range(GROUP)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        return [each for group in groups for each in group.ended]


@pytest.fixture(scope="module")
def reaper() -> Iterator[Reaper]:
    with Reaper() as owned:
        yield owned


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    folder: Path = tmp_path_factory.mktemp("concurrency")
    made = Accounts(folder / "users.db", folder / "secret")
    make_secret(made.secret_file)
    users.seed(made.users_db, CLIENTS, users.HashCost.parse("t=1,m=64,p=1"))
    return made


@contextlib.contextmanager
def serving(topology: Topology, accounts: Accounts, reaper: Reaper, logs: Path) -> Iterator[str]:
    needs = stores.facts()[topology.store].needs
    try:
        for name in backing.binary_names(needs) if needs else ():
            binaries.find(name)
    except binaries.BinaryError as error:
        pytest.skip(str(error))
    with running(topology, accounts, logs=logs, reaper=reaper) as servers:
        yield servers.url


@pytest.mark.parametrize("store", [facts.name for facts in SHARED])
def test_sessions_are_not_revived_and_no_update_is_lost(store, accounts, reaper, tmp_path):
    wanted = MANY if store == "redis" else SOME
    with serving(Topology("session", store, 2, settings=SETTINGS), accounts, reaper, tmp_path) as url:
        site = Site(url, CLIENTS, wanted)
        rounds = site.run()
    assert site.operations >= wanted
    assert len(rounds) >= CLIENTS // GROUP
    for each in rounds:
        only_answers_that_there_are(each)
        no_lost_update(each)
        nothing_revived(each, each.of("profile"))


def test_families_are_not_revived_and_one_refresh_wins(accounts, reaper, tmp_path):
    with serving(Topology("hybrid", "redis", 2, settings=SETTINGS), accounts, reaper, tmp_path) as url:
        rounds = Site(url, CLIENTS, 3 * SOME).run()
    together = [each for each in rounds if not each.of("logout")]
    assert len(together) > 10
    for each in rounds:
        only_answers_that_there_are(each)
        no_lost_update(each)
        if each in together:
            one_winner(each)
        else:
            nothing_revived(each, each.of("profile") + each.of("refresh"))


def only_answers_that_there_are(sign_in: SignIn) -> None:
    known = {"login": {200}, "me": {200}, "logout": {204}, "profile": {200, 401, 409}, "refresh": {200, 401}}
    odd = [each for each in sign_in.events if each.status not in known[each.operation]]
    assert not odd


def no_lost_update(sign_in: SignIn) -> None:
    (seen,) = sign_in.of("me")
    before = [each for each in sign_in.of("profile") if each.ended < seen.began]
    acknowledged = [each.body["serial"] for each in before if each.status == 200]
    assert len(before) == GROUP * POSTS
    assert seen.body["serial"] == len(acknowledged)
    all_of_them = [each.body["serial"] for each in sign_in.of("profile") if each.status == 200]
    assert sorted(all_of_them) == list(range(1, len(all_of_them) + 1))


def nothing_revived(sign_in: SignIn, others: list[Event]) -> None:
    (logout,) = sign_in.of("logout")
    late = [each for each in others if each.began > logout.ended]
    assert len(late) >= GROUP
    assert {each.status for each in late} == {401}
    early = [each for each in others if each.ended < logout.began]
    assert {each.status for each in early} <= {200, 409}


def one_winner(sign_in: SignIn) -> None:
    *together, late = sorted(sign_in.of("refresh"), key=lambda each: each.began)
    assert sorted(each.status for each in together) == [200] + [401] * (GROUP - 1)
    # the losers' second use has ended the family: what the winner was given counts no more
    assert late.status == 401
    assert {each.status for each in sign_in.of("profile") if each.began > max(e.ended for e in together)} == {401}
