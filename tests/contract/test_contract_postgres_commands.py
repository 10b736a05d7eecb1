"""What each operation costs PostgreSQL, by its own counters; and how the store fails, recovers and cleans up."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import psycopg
import pytest

from servers import stores
from servers.postgres_connection import Connection, parse_url
from servers.postgres_purge import Purge, purge_piece
from servers.session_store import Store, StoreUnavailableError
from tests.contract.sessions import a_session

IDLE_S = 60


@pytest.fixture
def shared(place_postgres: Callable[[str], str]) -> Store:
    return stores.open_store(place_postgres("postgresql"), 1000)


@pytest.fixture
def connection(shared: Store, postgres_server: Any):
    shared.load("unknown", None)  # makes the tables
    own = Connection(parse_url(postgres_server.url, 1000), time.monotonic() + 5)
    yield own
    own.close()


def test_statements_of_each_operation(shared: Store, postgres_server: Any) -> None:
    counted, session = postgres_server.counted, a_session()
    assert counted(lambda: shared.create(session, IDLE_S)) == {"insert": 1}
    assert counted(lambda: shared.load("s1", IDLE_S)) == {"update": 1}
    assert counted(lambda: shared.load("unknown", IDLE_S)) == {"update": 1}
    assert counted(lambda: shared.load("s1", None)) == {"select": 1}
    assert counted(lambda: shared.touch("s1", IDLE_S)) == {"update": 1}
    assert counted(lambda: shared.update(session, session, IDLE_S)) == {"update": 1}
    assert counted(lambda: shared.list_by_user("user-00001", IDLE_S)) == {"select": 1}
    assert counted(lambda: shared.delete("s1", "user-00001")) == {"delete": 1}
    assert counted(lambda: shared.delete_by_user("user-00001")) == {"delete": 1}
    assert counted(lambda: shared.put_mark("key", b"value", IDLE_S)) == {"insert": 1}
    assert counted(lambda: shared.get_mark("key")) == {"select": 1}


def test_a_hundred_lookups_on_two_connections_are_a_hundred_statements(shared: Store, postgres_server: Any) -> None:
    shared.create(a_session(), IDLE_S)

    def look_up() -> None:
        threads = [threading.Thread(target=lambda: [shared.load("s1", IDLE_S) for _ in range(50)]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert postgres_server.counted(look_up) == {"update": 100}


def test_names_that_are_no_sql(shared: Store) -> None:
    name = "'; DROP TABLE sessions; -- \\ ü %s $1"
    shared.create(a_session(name, name), IDLE_S)
    assert [each.id for each in shared.list_by_user(name, IDLE_S)] == [name]
    assert shared.delete(name, name)


def test_an_expired_row_is_in_nobodys_way(shared: Store) -> None:
    shared.create(a_session(), 0)
    assert shared.load("s1", IDLE_S) is None
    assert not shared.touch("s1", IDLE_S)
    assert not shared.delete("s1", "user-00001")
    shared.create(a_session(user="user-00002"), IDLE_S)
    assert shared.list_by_user("user-00001", IDLE_S) == []
    assert len(shared.list_by_user("user-00002", IDLE_S)) == 1


def test_the_purge_takes_a_bounded_number_at_a_time(
    shared: Store, connection: Connection, postgres_server: Any
) -> None:
    for number in range(10):
        shared.create(a_session(f"s{number}"), 0 if number else IDLE_S)
    after = ""
    left = []
    for _ in range(4):
        after = purge_piece(connection, "sessions", after, rows=3)
        left.append(postgres_server.backing.counters().keys)
    assert left == [8, 5, 2, 1]
    assert shared.load("s0", IDLE_S) is not None


def test_the_purge_waits_for_nobody(shared: Store, connection: Connection, postgres_server: Any) -> None:
    for name in ("a", "b"):
        shared.create(a_session(name), 0)
    with psycopg.connect(postgres_server.url) as other:
        other.execute("SELECT id FROM sessions WHERE id = 'a' FOR UPDATE")
        purge_piece(connection, "sessions", "")
        assert postgres_server.backing.counters().keys == 1
    purge_piece(connection, "sessions", "")
    assert postgres_server.backing.counters().keys == 0


def test_expired_rows_go_in_the_background_and_are_no_requests_commands(shared: Store, postgres_server: Any) -> None:
    counters = postgres_server.backing.counters
    shared.create(a_session(), 0)
    shared.put_mark("key", b"value", 0)
    before, upkeep = counters(), counters.reader.upkeep()
    purge = Purge(parse_url(postgres_server.url, 1000), pause_s=0.02)
    purge.begin()
    purge.begin()
    deadline = time.monotonic() + 10
    while counters().keys:
        assert time.monotonic() < deadline
    assert counters().since(before).commands == {}
    assert counters.reader.upkeep()["with"] > upkeep.get("with", 0)
    ended = purge._ended
    assert not ended.is_set()
    del purge  # as when its store goes
    assert ended.is_set()


def test_stores_that_open_at_once_make_one_schema(place_postgres: Callable[[str], str]) -> None:
    url = place_postgres("postgresql")
    for _ in range(5):
        with psycopg.connect(url) as connection:
            connection.execute("DROP TABLE IF EXISTS sessions, marks")
        gate = threading.Barrier(8)
        found: list[object] = []

        def run() -> None:
            store = stores.open_store(url, 5000)
            gate.wait(10)  # noqa: B023 - joined in this round
            try:
                found.append(store.load("unknown", IDLE_S))  # noqa: B023
            except StoreUnavailableError as error:
                found.append(error)  # noqa: B023

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert found == [None] * 8


def test_a_role_that_may_make_no_tables_uses_those_that_are_there(shared: Store, postgres_server: Any) -> None:
    shared.create(a_session(), IDLE_S)
    url = postgres_server.url + "?options=-c%20default_transaction_read_only%3Don"
    reader = stores.open_store(url, 1000)
    assert reader.load("s1", None) is not None
    with pytest.raises(StoreUnavailableError, match="read-only"):
        reader.load("s1", IDLE_S)


def test_a_url_that_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="no_such_option"):
        stores.open_store("postgresql://127.0.0.1/x?no_such_option=1", 1000)


def test_killed_and_back(start_store_server: Any) -> None:
    with start_store_server("postgres") as server:
        store = stores.open_store(server.url, 1000)
        store.create(a_session(), IDLE_S)
        store.put_mark("key", b"value", IDLE_S)
        server.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                store.load("s1", IDLE_S)
        server.start_again()
        # as documented: a crash ends sessions, and forgets no mark
        assert store.load("s1", IDLE_S) is None
        assert store.get_mark("key") == b"value"
        store.create(a_session(), IDLE_S)
        server.running.stop()
        server.start_again()
        with pytest.raises(StoreUnavailableError):  # its connection was to the one before: one failure
            store.load("s1", IDLE_S)
        assert store.load("s1", IDLE_S) is not None


def test_frozen(start_store_server: Any) -> None:
    with start_store_server("postgres") as server:
        known = stores.open_store(server.url, 300)
        known.create(a_session(), IDLE_S)
        server.signal(signal.SIGSTOP)
        try:
            for store in (known, known, stores.open_store(server.url, 300)):  # connected, reconnecting, new
                began = time.monotonic()
                with pytest.raises(StoreUnavailableError, match="time is up"):
                    store.load("s1", IDLE_S)
                assert 0.25 < time.monotonic() - began < 0.6
        finally:
            server.signal(signal.SIGCONT)
        deadline = time.monotonic() + 10
        while True:
            try:
                assert known.load("s1", IDLE_S) is not None
                break
            except StoreUnavailableError:
                assert time.monotonic() < deadline


def test_cpu_of_connections_that_ended_stays_counted(start_store_server: Any) -> None:
    with start_store_server("postgres") as server, psycopg.connect(server.url) as connection:
        connection.execute("SELECT sum(n) FROM generate_series(1, 3000000) AS n")
        during = server.running.usage()
        pid = connection.info.backend_pid
        spent_ns = time.clock_gettime_ns((~pid << 3) | 2)
        connection.close()
        deadline = time.monotonic() + 10
        while psutil.pid_exists(pid):
            assert time.monotonic() < deadline
        assert spent_ns > 100_000_000
        assert server.running.usage().cpu_ns > during.cpu_ns - 30_000_000
