"""The cluster store against a real cluster of three: what each operation costs which node, and how nodes fail."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from redis.crc import key_slot

from servers import stores
from servers.session_store import Session, SessionExistsError, Store, StoreUnavailableError

IDLE_S = 60
USER = "user-00001"
NODES = ("valkey-0", "valkey-1", "valkey-2")


def node_of(key: str) -> str:
    # as the slots were shared out when the cluster was formed
    return next(name for name, end in zip(NODES, (5461, 10922, 16384), strict=True) if key_slot(key.encode()) < end)


def id_at(node: str) -> str:
    return next(name for name in (f"s{number}" for number in range(1000)) if node_of(f"session:{name}") == node)


INDEX = node_of(f"sessions-of:{USER}")
HERE, ELSEWHERE = (id_at(INDEX), id_at(next(name for name in NODES if name != INDEX)))
AWAY = node_of(f"session:{ELSEWHERE}")


def a_session(name: str = ELSEWHERE, user: str = USER) -> Session:
    now = time.time()
    return Session(name, user, "reader", now, now, now + 600, "", "", {"display_name": "x", "serial": 0})


@pytest.fixture
def store(place_valkey_cluster: Callable[[str], str]) -> Store:
    return stores.open_store(place_valkey_cluster("redis+cluster"), 400)


def test_commands_of_each_operation_at_each_node(store: Store, valkey_cluster) -> None:
    counted, session = valkey_cluster.counted, a_session()
    indexed = {"multi": 1, "zadd": 1, "zremrangebyscore": 1, "expireat": 2, "exec": 1}
    assert counted(lambda: store.create(session, IDLE_S)) == {INDEX: indexed, AWAY: {"set": 1}}
    assert counted(lambda: store.create(a_session(HERE), IDLE_S)) == {INDEX: indexed | {"set": 1}}
    assert counted(lambda: store.load(ELSEWHERE, IDLE_S)) == {AWAY: {"getex": 1}}
    assert counted(lambda: store.load(ELSEWHERE, None)) == {AWAY: {"get": 1}}
    assert counted(lambda: store.touch(ELSEWHERE, IDLE_S)) == {
        AWAY: {"eval": 1, "exists": 1, "setrange": 1, "expire": 1}
    }
    assert counted(lambda: store.update(session, session, IDLE_S)) == {AWAY: {"eval": 1, "get": 1, "set": 1}}
    look = {"get": 1, "pttl": 1}
    assert counted(lambda: store.list_by_user(USER, IDLE_S)) == {INDEX: {"zrange": 1} | look, AWAY: look}
    ended = {"eval": 1, "get": 1, "del": 1}
    assert counted(lambda: store.delete(ELSEWHERE, USER)) == {INDEX: {"zrem": 1}, AWAY: ended}
    assert counted(lambda: store.delete(ELSEWHERE, USER)) == {AWAY: {"eval": 1, "get": 1}}
    store.create(session, IDLE_S)
    all_ended = {INDEX: {"zrange": 1, "zrem": 1} | ended, AWAY: ended}
    assert counted(lambda: store.delete_by_user(USER)) == all_ended
    assert counted(lambda: store.delete_by_user(USER)) == {INDEX: {"zrange": 1}}
    mark = node_of("mark:m")
    assert counted(lambda: store.put_mark("m", b"1", IDLE_S)) == {mark: {"set": 1}}
    assert counted(lambda: store.get_mark("m")) == {mark: {"get": 1}}


def test_sessions_of_a_user_are_found_on_every_node(store: Store) -> None:
    ids = [id_at(node) for node in NODES]
    for name in ids:
        store.create(a_session(name), IDLE_S)
    assert {each.id for each in store.list_by_user(USER, IDLE_S)} == set(ids)
    assert store.delete_by_user(USER) == 3
    assert [store.load(name, IDLE_S) for name in ids] == [None, None, None]


def test_an_id_in_use_gives_nobody_power_over_it(store: Store) -> None:
    store.create(a_session(), IDLE_S)
    with pytest.raises(SessionExistsError):
        store.create(a_session(user="user-00002"), IDLE_S)
    assert store.list_by_user("user-00002", IDLE_S) == []
    assert store.delete_by_user("user-00002") == 0
    assert not store.delete(ELSEWHERE, "user-00002")
    assert not store.delete(ELSEWHERE, USER[:-1])  # nor is the beginning of a name the name
    assert [each.id for each in store.list_by_user(USER, IDLE_S)] == [ELSEWHERE]


def test_a_session_created_while_all_are_ended_can_be_ended_the_next_time(store: Store, valkey_cluster) -> None:
    store.create(a_session(), IDLE_S)
    with valkey_cluster.client(AWAY) as at_session:
        kept = at_session.getdel(f"session:{ELSEWHERE}")  # as in the middle of create: in the index, and not there yet
        assert store.delete_by_user(USER) == 0
        at_session.set(f"session:{ELSEWHERE}", kept)
    assert store.delete_by_user(USER) == 1
    assert store.load(ELSEWHERE, IDLE_S) is None


@pytest.fixture
def moved(store: Store, valkey_cluster) -> Iterator[None]:
    """The slot of a session that `store` knows to be away is given to the node of the index."""
    store.load(ELSEWHERE, IDLE_S)  # reads the map
    slot = key_slot(f"session:{ELSEWHERE}".encode())
    give(valkey_cluster, slot, AWAY, INDEX)
    yield
    give(valkey_cluster, slot, INDEX, AWAY)


def give(cluster, slot: int, giver: str, taker: str) -> None:
    with cluster.client(taker) as to, cluster.client(giver) as of:
        of.flushall()
        to.flushall()  # a slot with keys cannot be given by hand
        name = to.execute_command("CLUSTER", "MYID").decode()
        for client in (to, of):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)
        to.execute_command("CLUSTER", "BUMPEPOCH")  # the later word: what the others still believe gives way


@pytest.mark.usefixtures("moved")
def test_a_moved_slot_is_one_failure_and_then_found(store: Store, valkey_cluster) -> None:
    with pytest.raises(StoreUnavailableError, match="a slot has moved"):
        store.load(ELSEWHERE, IDLE_S)
    assert valkey_cluster.counted(lambda: store.load(ELSEWHERE, IDLE_S)) == {INDEX: {"getex": 1}}


def test_a_dead_node_takes_its_own_keys_alone_and_they_work_when_it_is_back(store: Store, valkey_cluster) -> None:
    store.create(a_session(HERE), IDLE_S)
    store.load(ELSEWHERE, IDLE_S)
    os.kill(valkey_cluster.nodes[AWAY].pid, signal.SIGKILL)
    valkey_cluster.nodes[AWAY].stop()
    try:
        for _ in range(6):
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                store.load(ELSEWHERE, IDLE_S)
            assert time.monotonic() - began < 0.4
            assert store.load(HERE, IDLE_S) is not None
    finally:
        valkey_cluster.revive(AWAY)
    deadline = time.monotonic() + 15
    while not answers(store, ELSEWHERE):
        assert time.monotonic() < deadline
    store.create(a_session(), IDLE_S)
    assert len(store.list_by_user(USER, IDLE_S)) == 2


def test_a_silent_node_fails_within_the_timeout_and_the_others_answer(store: Store, valkey_cluster) -> None:
    store.create(a_session(HERE), IDLE_S)
    os.kill(valkey_cluster.nodes[AWAY].pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                store.load(ELSEWHERE, IDLE_S)
            assert time.monotonic() - began < 0.8
            assert store.load(HERE, IDLE_S) is not None
    finally:
        os.kill(valkey_cluster.nodes[AWAY].pid, signal.SIGCONT)
    deadline = time.monotonic() + 5
    while not answers(store, ELSEWHERE):
        assert time.monotonic() < deadline


def answers(store: Store, name: str) -> bool:
    try:
        store.load(name, IDLE_S)
    except StoreUnavailableError:
        return False
    return True


def test_a_lost_connection_is_one_failure_and_then_a_new_connection(store: Store, valkey_cluster) -> None:
    store.create(a_session(), IDLE_S)
    with valkey_cluster.client(AWAY) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(StoreUnavailableError):
        store.load(ELSEWHERE, IDLE_S)
    assert store.load(ELSEWHERE, IDLE_S) is not None


def test_another_client_agrees_on_where_the_keys_are(store: Store, valkey_cluster) -> None:
    store.create(a_session(), IDLE_S)
    with redis.RedisCluster("127.0.0.1", valkey_cluster.nodes[INDEX].component.port) as other:
        assert other.exists(f"session:{ELSEWHERE}") == 1
        assert other.zrange(f"sessions-of:{USER}", 0, -1) == [ELSEWHERE.encode()]


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://127.0.0.1:7000,"])
def test_a_url_without_addresses_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="addresses of nodes"):
        stores.open_store(url, 100)
