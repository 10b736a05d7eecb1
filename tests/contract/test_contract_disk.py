"""The stores on disk: what each operation costs, exactly, and what a folder goes through in its life."""

import contextlib
import fcntl
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import ending_files, stores
from servers.session_store import Session, Store, StoreUnavailableError
from tests.contract.sessions import a_session

IDLE_S = 60
USER = "user-00001"
SWEPT = 4
UPDATES = 250  # of each process: enough for both to be at it at once


def url_in(scheme: str, folder: Path) -> str:
    return f"{scheme}://{folder}{'/sessions.db' if scheme == 'sqlite' else ''}"


@pytest.fixture(params=["file", "sqlite"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(scheme: str, tmp_path: Path) -> str:
    return url_in(scheme, tmp_path)


@pytest.fixture
def store(url: str) -> Store:
    return stores.open_store(url, 1000)


def files_below(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


# what an operation costs


class Counting:
    """A module of which every call that is made is noted."""

    def __init__(self, module: Any, calls: list[str]) -> None:
        self._module, self._calls = module, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, type) or not callable(found):
            return found

        def noted(*args: Any, **kwargs: Any) -> Any:
            self._calls.append(name)
            return found(*args, **kwargs)

        return noted


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    noted: list[str] = []
    monkeypatch.setattr(ending_files, "os", Counting(os, noted))
    monkeypatch.setattr(ending_files, "fcntl", Counting(fcntl, noted))
    return noted


LOCK, LOOK, WRITE = ["open", "flock"], ["open", "fstat", "read", "close"], ["open", "write", "utime", "close", "rename"]


def test_calls_of_each_file_operation(tmp_path: Path, calls: list[str]) -> None:
    store = stores.open_store(url_in("file", tmp_path), 1000)

    def counted(work: Callable[[], object]) -> list[str]:
        calls.clear()
        work()
        return list(calls)

    for name in ("s1", "other"):
        store.create(a_session(name), IDLE_S)  # the folders are made with the first
    assert store.delete("s1", USER)
    session = a_session()
    made = ["listdir", "stat"] * SWEPT  # shards that nothing was put into, and the folder itself is there
    made += [*LOCK, "open", "stat", "open", "close", *WRITE, "close"]
    assert counted(lambda: store.create(session, IDLE_S)) == made
    assert counted(lambda: store.load("s1", IDLE_S)) == ["open", "fstat", "utime", "read", "close"]
    assert counted(lambda: store.load("s1", None)) == LOOK
    assert counted(lambda: store.load("unknown", IDLE_S)) == ["open", "stat"]
    assert counted(lambda: store.touch("s1", IDLE_S)) == [*LOCK, *LOOK, *WRITE, "close"]
    assert counted(lambda: store.update(session, session, IDLE_S)) == [*LOCK, *LOOK, *WRITE, "close"]
    assert counted(lambda: store.list_by_user(USER, IDLE_S)) == ["listdir", *LOOK * 2]
    deletion = [*LOCK, *LOOK, "remove", "remove", "close"]
    assert counted(lambda: store.delete("s1", USER)) == deletion
    assert counted(lambda: store.delete_by_user(USER)) == ["listdir", *deletion]
    store.put_mark("m1", b"x", IDLE_S)
    assert counted(lambda: store.put_mark("m1", b"x", IDLE_S)) == [*LOCK, *WRITE, "close"]
    assert counted(lambda: store.get_mark("m1")) == LOOK


def test_statements_of_each_sqlite_operation(tmp_path: Path) -> None:
    store: Any = stores.open_store(url_in("sqlite", tmp_path), 1000)
    statements: list[str] = []
    store._connection().set_trace_callback(statements.append)

    def counted(work: Callable[[], object]) -> list[str]:
        statements.clear()
        work()
        return [each.split()[0] for each in statements]

    session = a_session()
    assert counted(lambda: store.create(session, IDLE_S)) == ["SELECT", "INSERT"]
    assert counted(lambda: store.load("s1", IDLE_S)) == ["UPDATE"]
    assert counted(lambda: store.load("s1", None)) == ["SELECT"]
    assert counted(lambda: store.load("unknown", IDLE_S)) == ["UPDATE"]
    assert counted(lambda: store.touch("s1", IDLE_S)) == ["UPDATE"]
    assert counted(lambda: store.update(session, session, IDLE_S)) == ["UPDATE"]
    assert counted(lambda: store.list_by_user(USER, IDLE_S)) == ["SELECT"]
    assert counted(lambda: store.delete("s1", USER)) == ["DELETE"]
    assert counted(lambda: store.delete_by_user(USER)) == ["DELETE"]
    assert counted(lambda: store.put_mark("m1", b"x", IDLE_S)) == ["SELECT", "INSERT"]
    assert counted(lambda: store.get_mark("m1")) == ["SELECT"]
    store.create(a_session("ended"), 0)
    assert counted(lambda: store.create(a_session("next"), IDLE_S)) == ["SELECT", "DELETE", "INSERT"]
    store.put_mark("m1", b"x", 0)
    assert counted(lambda: store.put_mark("m2", b"x", IDLE_S)) == ["SELECT", "DELETE", "INSERT"]
    assert counted(lambda: [store.load("next", IDLE_S) for _ in range(100)]) == ["UPDATE"] * 100


def test_sqlite_looks_up_by_key_and_by_index(tmp_path: Path) -> None:
    from servers.stores import sqlite  # noqa: PLC0415 - the statements themselves

    store: Any = stores.open_store(url_in("sqlite", tmp_path), 1000)
    connection = store._connection()
    for statement in (sqlite._SLIDE, sqlite._LOAD, sqlite._LIST, sqlite._DELETE_BY_USER, sqlite._NEXT["sessions"]):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [0] * statement.count("?")).fetchall()
        assert all(step[3].startswith("SEARCH") for step in plan), plan
    assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert connection.execute("PRAGMA synchronous").fetchall() == [(1,)]


# a folder's life


def test_sessions_and_marks_survive_a_restart(url: str) -> None:
    first = stores.open_store(url, 1000)
    first.create(a_session(), IDLE_S)
    first.put_mark("m1", b"value", IDLE_S)
    del first
    again = stores.open_store(url, 1000)
    assert again.load("s1", IDLE_S) is not None
    assert [each.id for each in again.list_by_user(USER, IDLE_S)] == ["s1"]
    assert again.get_mark("m1") == b"value"


def _count_up(url: str, gate: Any, won: Any) -> None:
    store = stores.open_store(url, 5000)
    gate.wait(20)
    store.create(a_session(str(os.getpid())), IDLE_S)  # into what none has opened before
    done = 0
    while done < UPDATES:
        old = store.load("shared", IDLE_S)
        if old is None:
            with contextlib.suppress(Exception):  # the other was first
                store.create(a_session("shared"), IDLE_S)
            continue
        new = Session.decode(old.id, time.time(), old.encode())
        new.state["serial"] += 1
        done += store.update(old, new, IDLE_S)
    won.put(done)


def test_two_processes_lose_no_update(url: str) -> None:
    processes = multiprocessing.get_context("spawn")
    gate, won = processes.Barrier(2), processes.Queue()
    both = [processes.Process(target=_count_up, args=(url, gate, won)) for _ in range(2)]
    for each in both:
        each.start()
    assert [won.get(timeout=30) for _ in both] == [UPDATES, UPDATES]
    for each in both:
        each.join(10)
        assert each.exitcode == 0
        each.close()
    won.close()
    won.join_thread()
    store = stores.open_store(url, 1000)
    shared = store.load("shared", None)
    assert shared is not None
    assert shared.state["serial"] == 2 * UPDATES
    assert len(store.list_by_user(USER, IDLE_S)) == 3


KILLED = """
import itertools, sys, time
from servers import stores
from servers.session_store import Session
store = stores.open_store(sys.argv[1], 1000)
for number in itertools.count():
    now = time.time()
    state = {"display_name": "x" * 2000}
    store.create(Session(f"s{number}", "user-00001", "r", now, now, now + 600, "", "", state), 60)
    print(number, flush=True)
"""


def test_a_kill_leaves_no_half_of_a_session(url: str) -> None:
    for round_ in range(3):
        argv = [sys.executable, "-c", KILLED, url]
        env = {**os.environ, "PYTHONPATH": str(Path(stores.__file__).parents[2])}
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            for _ in range(10 + round_):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            told = 10 + round_ + len(process.stdout.read().splitlines())
        store = stores.open_store(url, 1000)
        listed = {each.id for each in store.list_by_user(USER, IDLE_S)}
        assert {f"s{number}" for number in range(told)} <= listed
        for number in range(told + 1):
            found = store.load(f"s{number}", IDLE_S)
            assert (found is not None) == (f"s{number}" in listed)
            assert found is None or found.state == {"display_name": "x" * 2000}
        assert store.delete_by_user(USER) == len(listed)


def end_all(scheme: str, folder: Path) -> None:
    """Make everything that is kept have ended a second ago."""
    past = time.time() - 1
    if scheme == "file":
        for name in files_below(folder):
            os.utime(folder / name, (past, past))
        return
    with contextlib.closing(sqlite3.connect(folder / "sessions.db", isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET ends = ?", (past,))
        connection.execute("UPDATE marks SET ends = ?", (past,))


def test_creating_sweeps_what_has_ended(scheme: str, store: Any, tmp_path: Path) -> None:
    for number in range(20):
        store.create(a_session(f"ended-{number}", f"user-{number}"), IDLE_S)
        store.put_mark(f"ended-{number}", b"x", IDLE_S)
    end_all(scheme, tmp_path)
    store.create(a_session("alive"), IDLE_S)
    store.put_mark("alive", b"x", IDLE_S)
    if scheme == "file":
        left = ending_files.name_of("killed")  # what a process that was killed leaves: an entry, and a new file
        for kind, name in (("sessions", left + ending_files.NEW), ("users", f"{ending_files.name_of(USER)}/{left}")):
            path = tmp_path / kind / name[:2] / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.touch()

    def kept() -> int:
        if scheme == "file":
            return len(files_below(tmp_path))
        with contextlib.closing(sqlite3.connect(tmp_path / "sessions.db")) as connection:
            counts = connection.execute("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM marks)")
            return sum(counts.fetchone())

    alive = 3 if scheme == "file" else 2
    assert kept() > 20
    for _ in range(2 * (3 * 256 + 100) // SWEPT):  # twice round, a few steps each time
        store._sweep(*([] if scheme == "file" else ["sessions"]))
        if scheme == "sqlite":
            store._sweep("marks")
    assert kept() == alive
    assert store.load("alive", IDLE_S) is not None
    assert store.get_mark("alive") == b"x"


@pytest.mark.parametrize("text", ["../../escaped", "/escaped", "..", ".", "", "a\0b", "a/b", "x" * 5000, "ü\n"])
def test_no_name_leads_out_of_the_folder(scheme: str, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    store = stores.open_store(url_in(scheme, folder), 1000)
    store.create(a_session(text, text), IDLE_S)
    store.put_mark(text, b"mark", IDLE_S)
    found = store.load(text, IDLE_S)
    assert found is not None
    assert (found.id, found.user) == (text, text)
    assert [each.id for each in store.list_by_user(text, IDLE_S)] == [text]
    assert store.get_mark(text) == b"mark"
    assert all(path.startswith("a/b/c/") for path in files_below(tmp_path))
    assert store.delete(text, text)


# while the disk does not do


@contextlib.contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """No file may grow beyond that, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room_bytes", [0, 40])
def test_a_full_disk_is_unavailable_and_recovers(store: Store, room_bytes: int) -> None:
    store.create(a_session(), IDLE_S)
    with full_disk(room_bytes):
        with pytest.raises(StoreUnavailableError):
            store.create(a_session("s2"), IDLE_S)
        with pytest.raises(StoreUnavailableError):
            store.put_mark("m1", b"x" * 50, IDLE_S)
    assert store.load("s2", IDLE_S) is None
    store.create(a_session("s2"), IDLE_S)
    assert {each.id for each in store.list_by_user(USER, IDLE_S)} == {"s1", "s2"}


def test_a_missing_folder_is_unavailable_and_recovers(scheme: str, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    store = stores.open_store(url_in(scheme, folder), 1000)
    asked: list[Callable[[], object]] = [
        lambda: store.create(a_session(), IDLE_S),
        lambda: store.load("s1", IDLE_S),
        lambda: store.load("s1", None),
        lambda: store.touch("s1", IDLE_S),
        lambda: store.update(a_session(), a_session(), IDLE_S),
        lambda: store.delete("s1", USER),
        lambda: store.list_by_user(USER, IDLE_S),
        lambda: store.delete_by_user(USER),
        lambda: store.put_mark("m1", b"x", IDLE_S),
        lambda: store.get_mark("m1"),
    ]
    for each in asked:
        with pytest.raises(StoreUnavailableError):
            each()
    assert not folder.exists()
    folder.mkdir()
    store.create(a_session(), IDLE_S)
    assert store.load("s1", IDLE_S) is not None


def test_a_folder_that_is_none_is_unavailable_and_recovers(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("this is no folder, and no database either" * 100)
    store = stores.open_store(f"{scheme}://{tmp_path}/f", 1000)
    with pytest.raises(StoreUnavailableError):
        store.load("s1", IDLE_S)
    with pytest.raises(StoreUnavailableError):
        store.create(a_session(), IDLE_S)
    (tmp_path / "f").unlink()
    if scheme == "file":
        (tmp_path / "f").mkdir()
    store.create(a_session(), IDLE_S)
    assert store.load("s1", IDLE_S) is not None


@contextlib.contextmanager
def held(scheme: str, folder: Path) -> Iterator[None]:
    """Somebody else holds what a writer must have."""
    if scheme == "sqlite":
        with contextlib.closing(sqlite3.connect(folder / "sessions.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    lock = os.open(folder / "sessions" / ending_files.name_of("s1")[:2], os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def test_a_lock_that_is_held_fails_within_the_timeout(scheme: str, url: str, tmp_path: Path) -> None:
    store = stores.open_store(url, 200)
    store.create(a_session(), IDLE_S)
    with held(scheme, tmp_path):
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            store.touch("s1", IDLE_S)
        assert 0.1 < time.monotonic() - began < 0.7
        assert store.load("s1", None) is not None  # who reads waits for nobody
    assert store.touch("s1", IDLE_S)


def test_a_lock_that_is_let_go_in_time_is_waited_for(scheme: str, url: str, tmp_path: Path) -> None:
    store = stores.open_store(url, 5000)
    store.create(a_session(), IDLE_S)
    touched: list[bool] = []
    thread = threading.Thread(target=lambda: touched.append(store.touch("s1", IDLE_S)))
    with held(scheme, tmp_path):
        thread.start()
    thread.join(10)
    assert touched == [True]


@pytest.mark.parametrize("wrong", ["file://relative/path", "file://", "sqlite://f.db", "sqlite://"])
def test_a_url_without_an_absolute_path_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        stores.open_store(wrong, 1000)
