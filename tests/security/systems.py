"""The systems under test: every scheme on every store and with every option, found by the facts they declare.

Each is a whole topology of the project's own launcher: real replicas, their store, and HAProxy in front.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from servers import schemes, stores, users
from servers.signing_keys import make_keys
from tests.security.client import Login, Reply, ask
from topology import local
from topology.local import Accounts, RunningTopology
from topology.reaper import Reaper
from topology.spec import NO_STORE, Topology, uses_store

COUNT = 20_000
ADMINISTRATOR = users.user_name(100, COUNT)
_LAG_S = 2.0
_numbers = itertools.count(1)


def new_user() -> str:
    """A user whom no other test has used: some end up disabled, or with another password."""
    number = next(each for each in _numbers if each % 100)
    return users.user_name(number, COUNT)


@dataclass(frozen=True)
class Kind:
    """A topology, as a value that can be a test's parameter."""

    scheme: str
    store: str = NO_STORE
    options: tuple[tuple[str, str], ...] = ()

    @property
    def topology(self) -> Topology:
        """With two replicas where they share what they need, and one where each would be alone."""
        alone = self.store != NO_STORE and not stores.facts()[self.store].shared
        return Topology(self.scheme, self.store, 1 if alone else 2, options=dict(self.options))

    @property
    def id(self) -> str:
        """For people."""
        options = [f"{name}={value}" for name, value in self.options]
        return "-".join([self.scheme, *([self.store] if self.store != NO_STORE else []), *options])

    def option(self, name: str) -> str | None:
        """The value of an option; None where the scheme has it not."""
        return self.topology.option(name)


def system_settings(topology: Topology, accounts: Accounts) -> dict[str, str]:
    """What the launcher would set in a replica's environment."""
    return local._settings(topology, accounts) | keys_setting(topology, accounts)


def keys_setting(topology: Topology, accounts: Accounts) -> dict[str, str]:
    """A file of keys, where tokens are signed: so that the suite can forge with them, and replace them."""
    algorithm = topology.option("algorithm")
    if algorithm is None:
        return {}
    path = accounts.secret_file.with_name(f"keys-{topology.id}.json")
    if not path.exists():
        make_keys(path, algorithm)
    return {"TOKEN_KEYS_FILE": str(path)}


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """Every scheme of ours with each value of each option, and by default on each store that it can do with.

    A scheme that recognises a user by the store meets every store; another that keeps something meets one that is
    shared and one that is not. Third parties' schemes are not held to the checklists: what they do is theirs.
    """
    return tuple(
        Kind(scheme, store, options)
        for scheme, facts in schemes.facts().items()
        if facts.package is None
        for options in _single_options(scheme)
        for store in _stores(scheme, options)
    )


def _single_options(scheme: str) -> Iterator[tuple[tuple[str, str], ...]]:
    """None changed, and each value of each option; one that another scheme declared before is met there."""
    yield ()
    every = schemes.facts()
    before = [
        option for name in itertools.takewhile(lambda name: name != scheme, every) for option in every[name].options
    ]
    for option in every[scheme].options:
        if option in before:
            continue
        yield from (((option.name, value),) for value in option.values if value != option.default)


def _stores(scheme: str, options: tuple[tuple[str, str], ...]) -> list[str]:
    facts = schemes.facts()[scheme]
    if not uses_store(scheme, dict(options)):
        return [NO_STORE]
    names = [name for name in stores.facts() if not facts.stores or name in facts.stores]
    if facts.recognises_by_store and not options:
        return names
    return [name for name in names if name in ({"redis"} if options else {"redis", "memory"})] or names[:1]


@dataclass(frozen=True)
class System:
    """A running topology as a client sees it."""

    kind: Kind
    running: RunningTopology
    accounts: Accounts
    _start: Callable[..., System] = field(repr=False)

    @property
    def replicas(self) -> dict[str, str]:
        """URL by name, past the balancer."""
        return self.running.replica_urls

    @property
    def lags(self) -> bool:
        """Whether a replica may learn a moment later what another wrote."""
        return self.running.topology.lags

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        raw: bytes | None = None,
        replica: str | None = None,
    ) -> Reply:
        """Through the balancer, or at one replica."""
        if replica is not None:
            return ask(self.replicas[replica], method, path, dict(headers or {}), body, raw=raw)
        sent = dict(headers or {})
        return ask(self.running.url, method, path, sent, body, raw=raw, authority=self.running.authority)

    def try_log_in(self, user: str, password: str = users.PASSWORD, headers: Mapping[str, str] | None = None) -> Reply:
        """The reply to a sign-in."""
        return self.ask("POST", "/login", headers, {"username": user, "password": password})

    def log_in(self, user: str | None = None, headers: Mapping[str, str] | None = None) -> Login:
        """Signed in, as somebody whom no other test knows unless `user` says whom."""
        reply = self.try_log_in(user or new_user(), headers=headers)
        assert reply.status == 200, reply.body
        return Login.of(reply)

    def status(self, headers: Mapping[str, str], replica: str | None = None) -> int:
        """Of the question who one is."""
        return self.ask("GET", "/me", headers, replica=replica).status

    def statuses(self, headers: Mapping[str, str]) -> set[int]:
        """The same from every replica: one answer, where all agree."""
        return {self.status(headers, each) for each in self.replicas}

    def ended(self, login: Login) -> bool:
        """Whether every replica refuses what the login gave; where replicas lag, within a moment.

        An access token that no store is asked about lives on, for minutes at most; then what renews it has ended.
        """
        return self._soon(lambda: self._refusals(login) == {401})

    def alive(self, login: Login) -> bool:
        """Whether every replica accepts it."""
        return self._soon(lambda: self.statuses(login.headers) == {200})

    def wait_until(self, condition: Callable[[], bool], within_s: float = 3.0) -> None:
        """Ask until it holds; fail when it does not in time."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline

    def setting(self, name: str) -> str:
        """A variable of the replicas' environment."""
        return self.running.topology.settings[name]

    def _refusals(self, login: Login) -> set[int]:
        if login.refresh is None:
            return self.statuses(login.headers)
        body = {"refresh_token": login.refresh}
        return {self.ask("POST", "/refresh", body=body, replica=each).status for each in self.replicas}

    def _soon(self, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + (_LAG_S if self.lags else 0)
        while not (holds := condition()) and time.monotonic() < deadline:
            pass
        return holds

    def variant(self, **settings: str) -> System:
        """The same with other settings, for as long as this one runs."""
        return self._start(settings)


class Launcher:
    """Starts systems and keeps each until the end of its `ExitStack`."""

    def __init__(self, folder: Path, reaper: Reaper, adapt: Callable[[Any], Any] | None = None) -> None:
        """`adapt` changes each replica's component: how a broken server comes to be."""
        self.accounts = Accounts(folder / "users.db", folder / "secret")
        self._folder, self._reaper, self._adapt = folder, reaper, adapt
        if not self.accounts.secret_file.exists():
            local.make_secret(self.accounts.secret_file)
            users.seed(self.accounts.users_db, COUNT, users.HashCost.parse("fast"))

    @contextlib.contextmanager
    def running(self, kind: Kind, settings: Mapping[str, str] | None = None, *, tls: bool = False) -> Iterator[System]:
        """One system; its variants end with it. Raises ComponentError, BinaryError."""
        topology = replace(kind.topology, settings={**keys_setting(kind.topology, self.accounts), **(settings or {})})
        if tls:
            topology = replace(topology, options={**topology.options, "tls": "on"})
        logs = Path(tempfile.mkdtemp(dir=self._folder))
        with contextlib.ExitStack() as stack:
            with self._adapted():
                started = stack.enter_context(local.running(topology, self.accounts, logs=logs, reaper=self._reaper))
            variants: dict[tuple[tuple[str, str], ...], System] = {}

            def variant(others: Mapping[str, str]) -> System:
                wanted = tuple(sorted(others.items()))
                if wanted not in variants:
                    variants[wanted] = stack.enter_context(self.running(kind, {**(settings or {}), **others}))
                return variants[wanted]

            yield System(kind, started, self.accounts, variant)

    def _adapted(self) -> contextlib.AbstractContextManager[object]:
        if self._adapt is None:
            return contextlib.nullcontext()
        made, adapt = local.replica, self._adapt
        return mock.patch.object(local, "replica", lambda *args, **named: adapt(made(*args, **named)))
