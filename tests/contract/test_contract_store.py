"""What every registered store must do, whichever it is.

Where a test reads what it just wrote it asks `eventually`, which waits for a store that declares that it lags, and asks
once of every other. Limits that are awaited are two seconds, because some stores count whole ones.
"""

import dataclasses
import threading
import time
from collections.abc import Callable

import pytest

from servers.session_store import Session, SessionExistsError, Store

IDLE_S = 60
SHORT_S = 2
Eventually = Callable[[Callable[[], object]], bool]


def a_session(name: str = "s1", user: str = "user-00001", created: float | None = None) -> Session:
    now = int((time.time() if created is None else created) * 1000) / 1000  # as a record keeps it, and never to come
    return Session(
        name, user, "reader", now, now, round(now + 600, 3), "127.0.0.1", "agent ü", {"display_name": user, "serial": 0}
    )


def renamed(session: Session, name: str) -> Session:
    return dataclasses.replace(session, state={"display_name": name, "serial": session.state["serial"] + 1})


@pytest.fixture
def loaded(eventually: Eventually) -> Callable[..., Session]:
    def load(store: Store, name: str = "s1", idle_s: int | None = IDLE_S) -> Session:
        assert eventually(lambda: store.load(name, idle_s))
        session = store.load(name, idle_s)
        assert session is not None
        return session

    return load


@pytest.fixture
def ids_of(eventually: Eventually) -> Callable[..., list[str]]:
    """The ids of a user's sessions, oldest first, when there are as many as there must be."""

    def listed(store: Store, user: str, count: int) -> list[str]:
        eventually(lambda: len(store.list_by_user(user, IDLE_S)) == count)
        return [each.id for each in store.list_by_user(user, IDLE_S)]

    return listed


class TestStore:
    def test_what_was_created_is_loaded_with_all_fields(self, store: Store, loaded) -> None:
        created = a_session()
        store.create(created, IDLE_S)
        found = loaded(store)
        assert dataclasses.replace(found, last_accessed=created.last_accessed) == created
        assert created.last_accessed <= found.last_accessed <= time.time()

    def test_an_unknown_id_is_nothing_and_stays_nothing(self, store: Store) -> None:
        assert store.load("never issued", IDLE_S) is None
        assert store.load("never issued", None) is None
        assert store.load("never issued", IDLE_S) is None

    def test_create_refuses_an_id_in_use_and_leaves_it(self, store: Store, loaded) -> None:
        store.create(a_session(), IDLE_S)
        with pytest.raises(SessionExistsError):
            store.create(a_session(user="user-00002"), IDLE_S)
        assert loaded(store).user == "user-00001"

    def test_what_is_kept_expires_by_itself(self, store: Store, eventually: Eventually) -> None:
        # by listing: loading would slide what is awaited
        store.create(a_session(), SHORT_S)
        store.put_mark("m1", b"value", SHORT_S)
        assert eventually(lambda: len(store.list_by_user("user-00001", SHORT_S)) == 1)
        assert eventually(lambda: store.get_mark("m1") == b"value")
        deadline = time.monotonic() + 8
        while store.list_by_user("user-00001", SHORT_S) or store.get_mark("m1") is not None:
            assert time.monotonic() < deadline
        assert store.load("s1", SHORT_S) is None
        assert store.load("s1", None) is None
        assert not store.touch("s1", SHORT_S)
        assert not store.delete("s1", "user-00001")

    def test_loading_with_a_limit_and_touching_slide_and_loading_without_does_not(
        self, store: Store, eventually: Eventually
    ) -> None:
        for name in ("loaded", "touched", "looked at"):
            store.create(a_session(name), SHORT_S)
        assert eventually(lambda: store.load("looked at", None))
        deadline = time.monotonic() + 8
        while store.load("looked at", None) is not None:
            assert time.monotonic() < deadline
            assert eventually(lambda: store.load("loaded", SHORT_S))
            assert store.touch("touched", SHORT_S)
        assert store.load("loaded", SHORT_S) is not None
        assert store.load("touched", None) is not None

    def test_without_a_limit_the_last_touch_is_told(self, store: Store, loaded, eventually: Eventually) -> None:
        created = a_session(created=time.time() - 30)
        store.create(created, IDLE_S)
        first = loaded(store, idle_s=None)
        assert first.last_accessed == pytest.approx(created.last_accessed, abs=0.002)
        assert loaded(store, idle_s=None) == first  # looking is no access
        before = time.time()
        assert store.touch("s1", IDLE_S)
        assert eventually(lambda: loaded(store, idle_s=None).last_accessed > before - 0.002)
        touched = loaded(store, idle_s=None)
        assert touched.last_accessed <= time.time()
        assert dataclasses.replace(touched, last_accessed=0) == dataclasses.replace(created, last_accessed=0)
        assert loaded(store, idle_s=None) == touched

    def test_an_update_is_told_as_an_access(self, store: Store, loaded, eventually: Eventually) -> None:
        store.create(a_session(created=time.time() - 30), IDLE_S)
        old = loaded(store)
        assert store.update(old, renamed(old, "new"), IDLE_S)
        assert eventually(lambda: loaded(store, idle_s=None).state["display_name"] == "new")
        assert loaded(store, idle_s=None).last_accessed == pytest.approx(old.last_accessed, abs=0.002)

    def test_touching_never_creates(self, store: Store, loaded) -> None:
        assert not store.touch("never issued", IDLE_S)
        store.create(a_session(), IDLE_S)
        loaded(store)
        assert store.delete("s1", "user-00001")
        assert not store.touch("s1", IDLE_S)
        assert store.load("never issued", IDLE_S) is None
        assert store.list_by_user("user-00001", IDLE_S) == []

    def test_a_touch_is_no_conflict(self, store: Store, loaded, eventually: Eventually) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        assert store.touch("s1", IDLE_S)
        assert store.update(old, renamed(old, "new"), IDLE_S)
        assert eventually(lambda: loaded(store).state["display_name"] == "new")

    def test_update_changes_the_state(self, store: Store, loaded, eventually: Eventually) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        assert store.update(old, renamed(old, "new"), IDLE_S)
        assert eventually(lambda: loaded(store).state == {"display_name": "new", "serial": 1})

    def test_a_later_access_is_no_conflict(self, store: Store, loaded) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        loaded(store)
        assert store.update(old, renamed(old, "new"), IDLE_S)

    def test_the_second_of_two_updates_of_one_version_loses(self, store: Store, loaded, eventually: Eventually) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        assert store.update(old, renamed(old, "first"), IDLE_S)
        assert not store.update(old, renamed(old, "second"), IDLE_S)
        assert eventually(lambda: loaded(store).state["display_name"] == "first")

    def test_an_update_does_not_revive_a_deleted_session(self, store: Store, loaded, eventually: Eventually) -> None:
        store.create(a_session(), IDLE_S)
        old = loaded(store)
        assert store.delete("s1", "user-00001")
        assert not store.update(old, renamed(old, "revived"), IDLE_S)
        assert eventually(lambda: store.load("s1", IDLE_S) is None)
        assert eventually(lambda: store.list_by_user("user-00001", IDLE_S) == [])

    def test_delete_says_whether_there_was_one(self, store: Store) -> None:
        store.create(a_session(), IDLE_S)
        assert store.delete("s1", "user-00001")
        assert not store.delete("s1", "user-00001")

    def test_an_id_can_be_used_again_after_its_end(self, store: Store, loaded, ids_of) -> None:
        store.create(a_session(), IDLE_S)
        assert store.delete("s1", "user-00001")
        store.create(a_session(user="user-00002"), IDLE_S)
        assert ids_of(store, "user-00001", 0) == []
        assert ids_of(store, "user-00002", 1) == ["s1"]
        assert loaded(store).user == "user-00002"

    def test_a_session_is_not_deleted_for_another_user(self, store: Store, loaded) -> None:
        store.create(a_session(), IDLE_S)
        assert not store.delete("s1", "user-00002")
        assert loaded(store)

    def test_sessions_of_a_user_oldest_first(self, store: Store, ids_of) -> None:
        now = time.time()
        for name, created in (("b", now - 1), ("a", now), ("c", now - 2)):
            store.create(a_session(name, created=created), IDLE_S)
        store.create(a_session("other", "user-00002"), IDLE_S)
        assert ids_of(store, "user-00001", 3) == ["c", "b", "a"]

    def test_listing_tells_the_last_access(self, store: Store, loaded, eventually: Eventually) -> None:
        store.create(a_session(created=time.time() - 30), IDLE_S)
        accessed = loaded(store).last_accessed

        def tells_it() -> bool:
            (listed,) = store.list_by_user("user-00001", IDLE_S)
            # a server may count in whole seconds
            return listed.last_accessed == pytest.approx(accessed, abs=1.25)

        assert eventually(tells_it)

    def test_delete_by_user_ends_those_of_the_user_alone(self, store: Store, loaded, ids_of) -> None:
        for name in ("a", "b"):
            store.create(a_session(name), IDLE_S)
        store.create(a_session("other", "user-00002"), IDLE_S)
        assert ids_of(store, "user-00001", 2) == ["a", "b"]
        assert store.delete_by_user("user-00001") == 2
        assert store.delete_by_user("user-00001") == 0
        assert ids_of(store, "user-00001", 0) == []
        assert loaded(store, "other")

    def test_a_mark_is_kept_and_overwritten(self, store: Store, eventually: Eventually) -> None:
        assert store.get_mark("m1") is None
        store.put_mark("m1", b"\x00first\n\xff", IDLE_S)
        assert eventually(lambda: store.get_mark("m1") == b"\x00first\n\xff")
        store.put_mark("m1", b"2", IDLE_S)
        assert eventually(lambda: store.get_mark("m1") == b"2")
        assert store.get_mark("m2") is None

    def test_a_mark_is_no_session(self, store: Store, loaded, eventually: Eventually) -> None:
        store.create(a_session(), IDLE_S)
        assert store.get_mark("s1") is None
        store.put_mark("s1", b"mark", IDLE_S)
        store.put_mark("s2", b"mark", IDLE_S)
        assert loaded(store).user == "user-00001"
        assert store.load("s2", IDLE_S) is None
        assert store.delete("s1", "user-00001")
        assert eventually(lambda: store.get_mark("s1") == b"mark")

    def test_one_of_many_parallel_updates_wins(self, open_again: Callable[[], Store], loaded) -> None:
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

    def test_one_of_many_parallel_creations_wins(self, open_again: Callable[[], Store], ids_of) -> None:
        made: list[bool] = []
        gate = threading.Barrier(8)

        def run() -> None:
            store = open_again()
            gate.wait(10)
            try:
                store.create(a_session(), IDLE_S)
                made.append(True)
            except SessionExistsError:
                made.append(False)

        in_parallel([run] * 8)
        assert sorted(made) == [False] * 7 + [True]
        assert ids_of(open_again(), "user-00001", 1) == ["s1"]

    def test_a_concurrent_delete_beats_updates_touches_and_loads(
        self, open_again: Callable[[], Store], loaded, eventually: Eventually
    ) -> None:
        deleted: list[bool] = []
        for round_ in range(25):
            name = f"s{round_}"
            open_again().create(a_session(name), IDLE_S)
            old = loaded(open_again(), name)
            gate = threading.Barrier(4)
            in_parallel(
                [
                    lambda: (gate.wait(10), open_again().update(old, renamed(old, "late"), IDLE_S)),  # noqa: B023
                    lambda: (gate.wait(10), open_again().touch(name, IDLE_S)),  # noqa: B023 - joined in this round
                    lambda: (gate.wait(10), open_again().load(name, IDLE_S)),  # noqa: B023
                    lambda: (gate.wait(10), deleted.append(open_again().delete(name, "user-00001"))),  # noqa: B023
                ]
            )
            assert eventually(lambda: open_again().load(name, IDLE_S) is None)  # noqa: B023 - asked in this round
        assert deleted == [True] * 25


def in_parallel(work: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
