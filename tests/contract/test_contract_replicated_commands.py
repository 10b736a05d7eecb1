"""The replicated store against a primary and two copies: what each operation costs which node, and what a lag shows."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from servers import stores
from servers.session_store import Session, Store, StoreUnavailableError
from tests.contract.sessions import a_session

IDLE_S = 60
USER = "user-00001"
PRIMARY, OWN, OTHER = "valkey-primary", "valkey-replica-0", "valkey-replica-1"


@pytest.fixture
def store(place_valkey_replicas: Callable[[str], str]) -> Store:
    return stores.open_store(place_valkey_replicas("replicated"), 400)


@pytest.fixture
def behind(valkey_replicas) -> Iterator[Store]:
    """The store of the other replica of the application, whose copy can be stopped."""
    return stores.open_store(valkey_replicas.backing.urls["replica-1"], 400)


@pytest.fixture
def in_sync(valkey_replicas) -> Callable[[], None]:
    return valkey_replicas.backing.counters  # waits for the copies


@pytest.fixture
def lagging(valkey_replicas, in_sync) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """In the block the primary sends nothing to the other copy, which goes on answering."""

    @contextlib.contextmanager
    def lag() -> Iterator[None]:
        in_sync()
        with valkey_replicas.client(OTHER) as copy:
            port = valkey_replicas.nodes[PRIMARY].component.port
            copy.execute_command("REPLICAOF", "127.0.0.1", 1)  # follows somebody who never speaks
            try:
                yield
            finally:
                copy.execute_command("REPLICAOF", "127.0.0.1", port)
                deadline = time.monotonic() + 15
                while copy.info("replication")["master_link_status"] != "up":
                    assert time.monotonic() < deadline

    return lag


def everywhere(**commands: int) -> dict[str, dict[str, int]]:
    return dict.fromkeys((OWN, OTHER), commands)


def test_commands_of_each_operation_at_each_node(store: Store, valkey_replicas) -> None:
    counted, session = valkey_replicas.counted, a_session()
    created = {"multi": 1, "zadd": 1, "zremrangebyscore": 1, "expireat": 2, "set": 1, "exec": 1}
    assert counted(lambda: store.create(session, IDLE_S)) == {PRIMARY: created} | everywhere(
        multi=1, zadd=1, pexpireat=1, set=1, exec=1
    )
    assert counted(lambda: store.load("s1", IDLE_S)) == {
        PRIMARY: {"expire": 1},
        OWN: {"get": 1, "pexpireat": 1},
        OTHER: {"pexpireat": 1},
    }
    assert counted(lambda: store.load("unknown", IDLE_S)) == {OWN: {"get": 1}}
    assert counted(lambda: store.load("s1", None)) == {OWN: {"get": 1}}
    touched = {"eval": 1, "exists": 1, "setrange": 1, "expire": 1}
    assert counted(lambda: store.touch("s1", IDLE_S)) == {PRIMARY: touched} | everywhere(
        multi=1, setrange=1, pexpireat=1, exec=1
    )
    updated = {"eval": 1, "get": 1, "set": 1}
    assert counted(lambda: store.update(session, session, IDLE_S)) == {PRIMARY: updated} | everywhere(set=1)
    assert counted(lambda: store.list_by_user(USER, IDLE_S)) == {PRIMARY: {"zrange": 1, "get": 1, "pttl": 1}}
    deleted = {"eval": 1, "zrem": 1, "del": 1}
    assert counted(lambda: store.delete("s1", USER)) == {PRIMARY: deleted} | everywhere(
        multi=1, zrem=1, **{"del": 1}, exec=1
    )
    assert counted(lambda: store.delete("s1", USER)) == {PRIMARY: {"eval": 1, "zrem": 1}}
    store.create(a_session("s2"), IDLE_S)
    ended = {"multi": 1, "del": 1, "zrem": 1, "exec": 1}
    assert counted(lambda: store.delete_by_user(USER)) == {PRIMARY: ended | {"zrange": 1}} | everywhere(**ended)
    assert counted(lambda: store.put_mark("m", b"1", IDLE_S)) == {PRIMARY: {"set": 1}} | everywhere(set=1)
    assert counted(lambda: store.get_mark("m")) == {OWN: {"get": 1}}


def test_a_hundred_lookups_are_a_whole_number_each(store: Store, valkey_replicas) -> None:
    store.create(a_session(), IDLE_S)
    assert valkey_replicas.counted(lambda: [store.load("s1", IDLE_S) for _ in range(100)]) == {
        PRIMARY: {"expire": 100},
        OWN: {"get": 100, "pexpireat": 100},
        OTHER: {"pexpireat": 100},
    }


def test_an_ended_session_is_refused_at_once_with_sliding_and_after_the_lag_without(
    store: Store, behind: Store, lagging, in_sync
) -> None:
    store.create(a_session(), IDLE_S)
    with lagging():
        assert store.delete("s1", USER)
        in_sync_without = behind.load("s1", None)
        assert in_sync_without is not None  # the documented window
        assert behind.load("s1", IDLE_S) is None
    in_sync()
    assert behind.load("s1", None) is None


def test_a_new_session_is_unknown_to_a_copy_that_lags_and_nothing_is_written(
    store: Store, behind: Store, lagging, in_sync, valkey_replicas
) -> None:
    with lagging():
        store.create(a_session(), IDLE_S)
        with valkey_replicas.client(PRIMARY) as primary:
            before = primary.info("commandstats").get("cmdstat_expire", {}).get("calls", 0)
            assert behind.load("s1", IDLE_S) is None
            assert primary.info("commandstats").get("cmdstat_expire", {}).get("calls", 0) == before
    in_sync()
    assert behind.load("s1", IDLE_S) is not None


def test_an_update_of_what_a_lagging_copy_showed_loses(store: Store, behind: Store, lagging) -> None:
    session = a_session()
    store.create(session, IDLE_S)
    with lagging():
        newer = Session(**{name: getattr(session, name) for name in Session.__slots__} | {"state": {"serial": 1}})
        assert store.update(session, newer, IDLE_S)
        seen = behind.load("s1", IDLE_S)
        assert seen is not None
        assert seen.state == session.state
        assert not behind.update(seen, seen, IDLE_S)


def test_a_silent_copy_fails_its_own_replica_alone_within_the_timeout(
    store: Store, behind: Store, in_sync, valkey_replicas
) -> None:
    store.create(a_session(), IDLE_S)
    in_sync()
    os.kill(valkey_replicas.nodes[OTHER].pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            behind.load("s1", IDLE_S)
        assert time.monotonic() - began < 0.8
        assert store.load("s1", IDLE_S) is not None
        assert store.delete("s1", USER)
    finally:
        os.kill(valkey_replicas.nodes[OTHER].pid, signal.SIGCONT)
    in_sync()
    assert behind.load("s1", None) is None


def test_a_silent_primary_fails_what_writes(store: Store, in_sync, valkey_replicas) -> None:
    store.create(a_session(), IDLE_S)
    in_sync()
    os.kill(valkey_replicas.nodes[PRIMARY].pid, signal.SIGSTOP)
    try:
        assert store.load("s1", None) is not None
        with pytest.raises(StoreUnavailableError):
            store.load("s1", IDLE_S)
    finally:
        os.kill(valkey_replicas.nodes[PRIMARY].pid, signal.SIGCONT)
    assert store.load("s1", IDLE_S) is not None


@pytest.mark.parametrize("url", ["replicated://127.0.0.1:1", "replicated://?replica=127.0.0.1:1"])
def test_a_url_without_both_addresses_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a primary and one replica"):
        stores.open_store(url, 100)
