"""What each operation costs the server, by the server's own counters."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from servers import stores
from servers.session_store import Session, Store, StoreUnavailableError
from tests.contract.sessions import a_session
from topology.components.valkey import Counters

IDLE_S = 60
_NOT_COUNTED = {"client", "config", "flushall", "hello", "info", "ping", "select"}


@pytest.fixture
def shared(admin: redis.Redis, valkey_port: int) -> Store:  # noqa: ARG001 - it empties the server
    return stores.open_store(f"redis://127.0.0.1:{valkey_port}/0", 1000)


@pytest.fixture
def counted(admin: redis.Redis) -> Callable[[Callable[[], object]], dict[str, int]]:
    def count(work: Callable[[], object]) -> dict[str, int]:
        admin.config_resetstat()
        work()
        stats: dict[str, Any] = admin.info("commandstats")
        calls = {name.removeprefix("cmdstat_").partition("|")[0]: each["calls"] for name, each in stats.items()}
        return {name: number for name, number in calls.items() if name not in _NOT_COUNTED}

    return count


def test_commands_of_each_operation(shared: Store, counted: Callable[..., dict[str, int]]) -> None:
    session = a_session()
    once = {"multi": 1, "zadd": 1, "zremrangebyscore": 1, "expireat": 2, "set": 1, "exec": 1}
    assert counted(lambda: shared.create(session, IDLE_S)) == once
    assert counted(lambda: shared.load("s1", IDLE_S)) == {"getex": 1}
    assert counted(lambda: shared.load("s1", None)) == {"get": 1}
    assert counted(lambda: shared.touch("s1", IDLE_S)) == {"eval": 1, "exists": 1, "setrange": 1, "expire": 1}
    assert counted(lambda: shared.put_mark("m", b"1", IDLE_S)) == {"set": 1}
    assert counted(lambda: shared.get_mark("m")) == {"get": 1}
    assert counted(lambda: shared.load("unknown", IDLE_S)) == {"getex": 1}
    assert counted(lambda: shared.update(session, session, IDLE_S)) == {"eval": 1, "get": 1, "set": 1}
    assert counted(lambda: shared.list_by_user("user-00001", IDLE_S)) == {"zrange": 1, "get": 1, "pttl": 1}
    assert counted(lambda: shared.delete("s1", "user-00001")) == {"eval": 1, "zrem": 1, "del": 1}
    shared.create(a_session("s2"), IDLE_S)
    ended = {"zrange": 1, "multi": 1, "del": 1, "zrem": 1, "exec": 1}
    assert counted(lambda: shared.delete_by_user("user-00001")) == ended


def test_a_hundred_lookups_are_a_hundred_commands(shared: Store, counted: Callable[..., dict[str, int]]) -> None:
    shared.create(a_session(), IDLE_S)
    assert counted(lambda: [shared.load("s1", IDLE_S) for _ in range(100)]) == {"getex": 100}


def _resp(*words: str) -> int:
    return len(f"*{len(words)}\r\n") + sum(len(f"${len(word)}\r\n{word}\r\n") for word in words)


def test_octets_of_a_lookup_are_those_of_one_question_and_of_the_record(shared: Store, valkey_port: int) -> None:
    session, counters = a_session("i" * 43), Counters(valkey_port)
    shared.create(session, 1800)
    shared.load(session.id, 1800)
    before = counters()
    for _ in range(100):
        shared.load(session.id, 1800)
    seen = counters().since(before)
    record = 13 + len(session.encode())
    assert seen.bytes_in == 100 * _resp("GETEX", f"session:{session.id}", "EX", "1800") == 100 * 91
    assert seen.bytes_out == 100 * (len(f"${record}\r\n") + record + 2)


def test_the_server_expires_session_and_index(shared: Store, admin: redis.Redis) -> None:
    now = time.time()
    short = Session("s1", "user-00001", "reader", now, now, now + 1, "", "", {})
    shared.create(short, 1)
    assert 0 < admin.pttl("session:s1") <= 1000
    assert 0 < admin.pttl("sessions-of:user-00001") <= 3000
    deadline = time.monotonic() + 10
    while admin.dbsize():
        assert time.monotonic() < deadline


def test_a_lost_connection_is_one_failure_and_then_a_new_connection(shared: Store, admin: redis.Redis) -> None:
    shared.create(a_session(), IDLE_S)
    admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(StoreUnavailableError):
        shared.load("s1", IDLE_S)
    assert shared.load("s1", IDLE_S) is not None


def test_a_store_that_hangs_fails_within_the_timeout(admin: redis.Redis, valkey_port: int) -> None:
    impatient = stores.open_store(f"redis://127.0.0.1:{valkey_port}/0", 200)
    admin.execute_command("CLIENT", "PAUSE", "800", "ALL")
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        impatient.load("s1", IDLE_S)
    assert time.monotonic() - began < 0.7
    assert admin.ping()  # waits for the end of the pause, so that the next test does not meet it
