"""Sessions as files, one each, in a folder of this machine; how files are read, written and locked: `ending_files`.

    sessions/3f/<name>        a record, under a line with the time of the last touch in 13 digits (ms) and the id
    users/a0/<user>/<name>    an empty file per session of a user: the index
    marks/07/<name>           a mark

Calls of the operating system; `lock` is open and flock, with a close at the end. A sweep is four steps, each a listdir
of one folder or a stat of one file.

| operation | calls | files opened to read, to write |
|---|---|---|
| load, sliding | open fstat utime read close | 1, 0 |
| load | open fstat read close | 1, 0 |
| load, no session | open stat | 0, 0 |
| create | sweep, lock, open stat, open close, open write utime close rename | 0, 2 |
| touch, update | lock, open fstat read close, open write utime close rename | 1, 1 |
| delete | lock, open fstat read close, remove remove | 1, 0 |
| list_by_user | listdir, and open fstat read close per session | 1 per session, 0 |
| delete_by_user | listdir, and what delete does per session | 1 per session, 0 |
| put_mark | lock, open write utime close rename | 0, 1 |
| get_mark | open fstat read close | 1, 0 |
"""

from __future__ import annotations

import functools
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from servers.ending_files import NEW, SHARDS, Folder, end_of, exists, name_of, read_ended, remove, write
from servers.session_store import Session, SessionExistsError, StoreFacts, StoreUnavailableError

FACTS = StoreFacts(name="file", url_scheme="file", shared=False, needs="folder", rank=20)

# Ended files are looked for with each sign-in, in turn over all shards: what that costs is bounded, and stands in the
# figures of who causes it; a thread would take the interpreter from requests at times of its own.
_SWEPT_PER_CREATE = 4
_TIME_DIGITS = 13

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


def open_store(url: str, timeout_ms: int) -> FileStore:
    """A store in the folder at `url` (file:///dir), which must be there when the store is asked."""
    address = urlsplit(url)
    if address.netloc or not address.path.strip("/"):
        raise ValueError("it takes an absolute path, as in file:///dir")
    return FileStore(Folder(unquote(address.path).rstrip("/"), timeout_ms / 1000))


def _answering(operation: Callable[_Asked, _Answer]) -> Callable[_Asked, _Answer]:
    """What the operating system refuses makes the store unavailable: full, read-only, gone, somebody else's."""

    @functools.wraps(operation)
    def ask(*args: _Asked.args, **kwargs: _Asked.kwargs) -> _Answer:
        try:
            return operation(*args, **kwargs)
        except OSError as error:
            raise StoreUnavailableError(f"the folder did not answer: {error}") from error

    return ask


class FileStore:
    """Keeps nothing open between operations; see `servers.session_store.Store`.

    The timeout holds for locks: a disk that hangs cannot be timed out.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._sweeping = threading.Lock()
        self._sweep_steps = self._sweep_all()

    @_answering
    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        self._sweep()
        name = name_of(session.id)
        path = self._folder.place("sessions", name)
        with self._folder.locked("sessions", name):
            if self._folder.read(path) is not None:
                raise SessionExistsError(session.id)
            # the index first: a session that is not in it could not be ended by its user
            self._folder.touch(self._entry(session.user, name))
            write(path, _content(session), time.time() + idle_s)

    @_answering
    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        session = _session(self._folder.read(self._folder.place("sessions", name_of(id_)), idle_s))
        return session if session is None or idle_s is None else session.accessed(time.time())

    @_answering
    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        name = name_of(id_)
        path = self._folder.place("sessions", name)
        with self._folder.locked("sessions", name):
            value = self._folder.read(path)
            if not value:
                return False
            now = time.time()
            # not in place: who reads without a lock might see half of the digits
            write(path, _stamp(now) + value[_TIME_DIGITS:], now + idle_s)
            return True

    @_answering
    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        name = name_of(old.id)
        path = self._folder.place("sessions", name)
        with self._folder.locked("sessions", name):
            value = self._folder.read(path)
            # as in the other stores, a later access is no change
            if value is None or value.partition(b"\n")[2] != old.encode():
                return False
            write(path, _content(new), time.time() + idle_s)
            return True

    @_answering
    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        return self._delete(name_of(id_), user)

    @_answering
    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """See `Store`."""
        found = []
        now = time.time()
        for name in self._names_of(user):
            value, ends = read_ended(self._folder.place("sessions", name), now)
            session = _session(value)
            if session is not None and session.user == user and now < ends:
                found.append(session.accessed(max(session.created, ends - idle_s)))
        return sorted(found, key=lambda each: each.created)

    @_answering
    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        return sum(self._delete(name, user) for name in self._names_of(user))

    @_answering
    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        name = name_of(key)
        with self._folder.locked("marks", name):  # against the sweep, which might take the new mark for the old one
            write(self._folder.place("marks", name), value, time.time() + ttl_s)

    @_answering
    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        return self._folder.read(self._folder.place("marks", name_of(key)))

    def _entry(self, user: str, name: str) -> str:
        return f"{self._folder.place('users', name_of(user))}/{name}"

    def _names_of(self, user: str) -> list[str]:
        return self._folder.names(self._folder.place("users", name_of(user)))

    def _delete(self, name: str, user: str) -> bool:
        path = self._folder.place("sessions", name)
        with self._folder.locked("sessions", name):
            session = _session(self._folder.read(path))
            if session is None or session.user != user:
                return False
            remove(path)
            remove(self._entry(user, name))
            return True

    def _sweep(self) -> None:
        if not self._sweeping.acquire(blocking=False):  # another thread is at it
            return
        try:
            for _ in itertools.islice(self._sweep_steps, _SWEPT_PER_CREATE):
                pass
        except (OSError, StoreUnavailableError):
            self._sweep_steps = self._sweep_all()  # a generator that raised has ended
            raise
        finally:
            self._sweeping.release()

    def _sweep_all(self) -> Iterator[None]:
        """Goes round for ever; each step lists one folder or looks at one file."""
        for kind, shard in itertools.cycle(itertools.product(("sessions", "marks", "users"), SHARDS)):
            folder = f"{self._folder.path}/{kind}/{shard}"
            for name in self._folder.names(folder):
                if kind == "users":
                    yield from self._sweep_user(f"{folder}/{name}")
                else:
                    self._sweep_file(kind, f"{folder}/{name}", name)
                yield
            yield

    def _sweep_file(self, kind: str, path: str, name: str) -> None:
        if not name.endswith(NEW) and time.time() < end_of(path):
            return
        with self._folder.locked(kind, name):
            # a new file is one that a process left when it was killed: nobody else writes while the lock is ours
            if name.endswith(NEW) or time.time() >= end_of(path):
                remove(path)

    def _sweep_user(self, folder: str) -> Iterator[None]:
        """Entries without a record: it was swept, or who made the entry was killed before the record."""
        for name in self._folder.names(folder):
            path = self._folder.place("sessions", name)
            if not exists(path):
                with self._folder.locked("sessions", name):
                    if not exists(path):
                        remove(f"{folder}/{name}")
            yield


def _stamp(seconds: float) -> bytes:
    return b"%013d" % (seconds * 1000)


def _content(session: Session) -> bytes:
    return _stamp(session.last_accessed) + json.dumps(session.id).encode() + b"\n" + session.encode()


def _session(value: bytes | None) -> Session | None:
    head, _, record = (value or b"").partition(b"\n")
    if not record:  # nothing, or a file that a power cut left empty
        return None
    return Session.decode(json.loads(head[_TIME_DIGITS:]), int(head[:_TIME_DIGITS]) / 1000, record)
