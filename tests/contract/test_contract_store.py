"""What every registered store must do, whichever it is."""

import dataclasses
import threading
import time
from collections.abc import Callable

import pytest

from servers.session_store import Session, SessionExistsError, Store

IDLE_S = 60


def a_session(name: str = "s1", user: str = "user-00001", created: float | None = None) -> Session:
    now = time.time() if created is None else created
    return Session(
        name, user, "reader", now, now, now + 600, "127.0.0.1", "agent ü", {"display_name": user, "serial": 0}
    )


def renamed(session: Session, name: str) -> Session:
    return dataclasses.replace(session, state={"display_name": name, "serial": session.state["serial"] + 1})


def loaded(store: Store, name: str = "s1") -> Session:
    session = store.load(name, IDLE_S)
    assert session is not None
    return session


class TestStore:
    def test_what_was_created_is_loaded_with_all_fields(self, store: Store) -> None:
        created = a_session()
        store.create(created, IDLE_S)
        found = loaded(store)
        assert dataclasses.replace(found, last_accessed=created.last_accessed) == created
        assert created.last_accessed <= found.last_accessed <= time.time()

    def test_an_unknown_id_is_nothing_and_stays_nothing(self, store: Store) -> None:
        assert store.load("never issued", IDLE_S) is None
        assert store.load("never issued", IDLE_S) is None

    def test_create_refuses_an_id_in_use_and_leaves_it(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        with pytest.raises(SessionExistsError):
            store.create(a_session(user="user-00002"), IDLE_S)
        assert loaded(store).user == "user-00001"

    def test_a_session_expires_by_itself(self, store: Store) -> None:
        # by listing: loading would slide what is awaited
        store.create(a_session(), 1)
        assert len(store.list_by_user("user-00001", 1)) == 1
        deadline = time.monotonic() + 5
        while store.list_by_user("user-00001", 1):
            assert time.monotonic() < deadline
        assert store.load("s1", 1) is None

    def test_loading_slides_the_idle_limit(self, store: Store) -> None:
        store.create(a_session(), 1)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert store.load("s1", 1) is not None

    def test_update_changes_the_state(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        assert store.update(old, renamed(old, "new"), IDLE_S)
        assert loaded(store).state == {"display_name": "new", "serial": 1}

    def test_a_later_access_is_no_conflict(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        loaded(store)
        assert store.update(old, renamed(old, "new"), IDLE_S)

    def test_the_second_of_two_updates_of_one_version_loses(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        assert store.update(old, renamed(old, "first"), IDLE_S)
        assert not store.update(old, renamed(old, "second"), IDLE_S)
        assert loaded(store).state["display_name"] == "first"

    def test_an_update_does_not_revive_a_deleted_session(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        assert store.delete("s1", "user-00001")
        assert not store.update(old, renamed(old, "revived"), IDLE_S)
        assert store.load("s1", IDLE_S) is None
        assert store.list_by_user("user-00001", IDLE_S) == []

    def test_delete_says_whether_there_was_one(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        assert store.delete("s1", "user-00001")
        assert not store.delete("s1", "user-00001")

    def test_a_session_is_not_deleted_for_another_user(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        assert not store.delete("s1", "user-00002")
        assert store.load("s1", IDLE_S) is not None

    def test_sessions_of_a_user_oldest_first(self, store: Store) -> None:
        now = time.time()
        for name, created in (("b", now - 1), ("a", now), ("c", now - 2)):
            store.create(a_session(name, created=created), IDLE_S)
        store.create(a_session("other", "user-00002"), IDLE_S)
        assert [each.id for each in store.list_by_user("user-00001", IDLE_S)] == ["c", "b", "a"]

    def test_listing_tells_the_last_access(self, store: Store) -> None:
        store.create(a_session(created=time.time() - 30), IDLE_S)
        accessed = loaded(store).last_accessed
        (listed,) = store.list_by_user("user-00001", IDLE_S)
        # a server may count in whole seconds
        assert listed.last_accessed == pytest.approx(accessed, abs=1.25)

    def test_delete_by_user_ends_those_of_the_user_alone(self, store: Store) -> None:
        for name in ("a", "b"):
            store.create(a_session(name), IDLE_S)
        store.create(a_session("other", "user-00002"), IDLE_S)
        assert store.delete_by_user("user-00001") == 2
        assert store.delete_by_user("user-00001") == 0
        assert store.list_by_user("user-00001", IDLE_S) == []
        assert store.load("other", IDLE_S) is not None

    def test_one_of_many_parallel_updates_wins(self, open_again: Callable[[], Store]) -> None:
        open_again().create(a_session(), IDLE_S)
        old = loaded(open_again())
        won: list[bool] = []
        gate = threading.Barrier(8)

        def run() -> None:
            store = open_again()
            store.load("s1", IDLE_S)
            gate.wait(10)
            won.append(store.update(old, renamed(old, threading.current_thread().name), IDLE_S))

        in_parallel([run] * 8)
        assert sorted(won) == [False] * 7 + [True]

    def test_a_concurrent_delete_beats_updates_and_loads(self, open_again: Callable[[], Store]) -> None:
        for round_ in range(25):
            name = f"s{round_}"
            open_again().create(a_session(name), IDLE_S)
            old = loaded(open_again(), name)
            gate = threading.Barrier(3)
            in_parallel(
                [
                    lambda: (gate.wait(10), open_again().update(old, renamed(old, "late"), IDLE_S)),  # noqa: B023
                    lambda: (gate.wait(10), open_again().load(name, IDLE_S)),  # noqa: B023 - joined in this round
                    lambda: (gate.wait(10), open_again().delete(name, "user-00001")),  # noqa: B023
                ]
            )
            assert open_again().load(name, IDLE_S) is None


def in_parallel(work: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
