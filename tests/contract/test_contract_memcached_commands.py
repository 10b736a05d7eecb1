"""What each operation costs memcached, by its own counters; and how the store fails, recovers and forgets."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pymemcache
import pytest

from servers import stores
from servers.session_store import Store, StoreUnavailableError
from tests.contract.sessions import a_session

IDLE_S = 60
MONTH_S = 31 * 24 * 3600


@pytest.fixture
def shared(place_memcached: Callable[[str], str]) -> Store:
    return stores.open_store(place_memcached("memcached"), 1000)


@pytest.fixture
def admin(memcached_server: Any) -> Iterator[pymemcache.Client]:
    with contextlib.closing(pymemcache.Client(memcached_server.url.removeprefix("memcached://"))) as client:
        yield client


def test_commands_of_each_operation(shared: Store, memcached_server: Any) -> None:
    counted, session = memcached_server.counted, a_session()
    assert counted(lambda: shared.create(session, IDLE_S)) == {"get": 2, "set": 3}  # the user's first
    assert counted(lambda: shared.create(a_session("s2"), IDLE_S)) == {"get": 2, "cas": 1, "set": 1}
    assert counted(lambda: shared.load("s1", IDLE_S)) == {"gat": 1, "get": 1}
    assert counted(lambda: shared.load("unknown", IDLE_S)) == {"gat": 1}
    assert counted(lambda: shared.load("s1", None)) == {"get": 2}
    assert counted(lambda: shared.touch("s1", IDLE_S)) == {"get": 2, "cas": 1}
    assert counted(lambda: shared.update(session, session, IDLE_S)) == {"get": 2, "cas": 1}
    assert counted(lambda: shared.list_by_user("user-00001", IDLE_S)) == {"get": 2 + 2 + 2}
    assert counted(lambda: shared.delete("s2", "user-00001")) == {"get": 3, "delete": 1, "cas": 1}
    assert counted(lambda: shared.delete_by_user("user-00001")) == {"get": 2 + 1 + 1, "delete": 2, "cas": 1}
    assert counted(lambda: shared.put_mark("key", b"value", IDLE_S)) == {"set": 1}
    assert counted(lambda: shared.get_mark("key")) == {"get": 1}


def test_octets_of_a_lookup(shared: Store, memcached_server: Any, admin: pymemcache.Client) -> None:
    shared.create(a_session(), IDLE_S)
    counters = memcached_server.backing.counters
    before = counters()
    for _ in range(100):
        assert shared.load("s1", IDLE_S) is not None
    seen = counters().since(before)
    assert counters().since(before) == seen  # readings leave nothing behind
    asked = len(b"gat 61 session:s1\r\n") + len(b"get epoch:user-00001\r\n")
    size = len(admin.get("session:s1"))
    answered = len(b"VALUE session:s1 0 \r\n\r\nEND\r\n") + len(str(size)) + size
    answered += len(b"VALUE epoch:user-00001 0 16\r\n\r\nEND\r\n") + 16
    assert (seen.bytes_in, seen.bytes_out) == (100 * asked, 100 * answered)


def test_names_that_are_no_keys(shared: Store) -> None:
    for name in ("a b\r\nflush_all\r\n", "ü" * 300, "=", ""):
        shared.create(a_session(f"id of {name}"[:64], name), IDLE_S)
        shared.put_mark(name, b"value", IDLE_S)
        assert shared.get_mark(name) == b"value"
        assert len(shared.list_by_user(name, IDLE_S)) == 1
        assert shared.delete_by_user(name) == 1


def test_limits_of_more_than_a_month(shared: Store) -> None:
    shared.create(a_session(), MONTH_S)
    shared.put_mark("key", b"value", MONTH_S)
    assert shared.load("s1", MONTH_S) is not None
    assert shared.get_mark("key") == b"value"


def test_without_the_epoch_nobody_is_let_in(shared: Store, admin: pymemcache.Client) -> None:
    session = a_session()
    shared.create(session, IDLE_S)
    assert admin.delete("epoch:user-00001", noreply=False)
    shared.create(a_session("s2"), IDLE_S)  # with a new epoch, that does not bring the old session back
    assert shared.load("s1", IDLE_S) is None
    assert shared.load("s1", None) is None
    assert not shared.touch("s1", IDLE_S)
    assert not shared.update(session, session, IDLE_S)
    assert not shared.delete("s1", "user-00001")
    assert [each.id for each in shared.list_by_user("user-00001", IDLE_S)] == ["s2"]


def test_without_the_index_a_session_still_ends_with_all(shared: Store, admin: pymemcache.Client) -> None:
    shared.create(a_session(), IDLE_S)
    assert admin.delete("sessions-of:user-00001", noreply=False)
    assert shared.list_by_user("user-00001", IDLE_S) == []
    assert shared.load("s1", IDLE_S) is not None
    shared.delete_by_user("user-00001")
    assert shared.load("s1", IDLE_S) is None


def test_sign_ins_of_one_user_at_once_are_all_listed(shared: Store) -> None:
    gate = threading.Barrier(8)

    def run(name: str) -> None:
        gate.wait(10)
        shared.create(a_session(name), IDLE_S)

    threads = [threading.Thread(target=run, args=(f"s{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(each.id for each in shared.list_by_user("user-00001", IDLE_S)) == [f"s{n}" for n in range(8)]


def test_killed_and_back(start_store_server: Any) -> None:
    with start_store_server("memcached") as server:
        store = stores.open_store(server.url, 1000)
        store.create(a_session(), IDLE_S)
        server.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                store.load("s1", IDLE_S)
        server.start_again()
        assert store.load("s1", IDLE_S) is None
        store.create(a_session(), IDLE_S)
        server.kill()
        server.start_again()
        with pytest.raises(StoreUnavailableError):  # its connection was to the one before: one failure
            store.load("s1", IDLE_S)
        assert store.load("s1", IDLE_S) is None


def test_frozen(start_store_server: Any) -> None:
    with start_store_server("memcached") as server:
        store = stores.open_store(server.url, 300)
        store.create(a_session(), IDLE_S)
        server.signal(signal.SIGSTOP)
        try:
            for _ in range(2):  # connected, and new
                began = time.monotonic()
                with pytest.raises(StoreUnavailableError):
                    store.load("s1", IDLE_S)
                assert 0.25 < time.monotonic() - began < 0.6
        finally:
            server.signal(signal.SIGCONT)
        assert store.load("s1", IDLE_S) is not None
