"""Sessions in the replica's own memory: fastest, lost on restart, unknown to every other replica."""

from __future__ import annotations

import itertools
import threading
import time

from servers.session_store import Session, SessionExistsError, StoreFacts

FACTS = StoreFacts(name="memory", url_scheme="memory", shared=False, needs=None, rank=10)

# Expired sessions are looked for a few at a time, with each sign-in: no request ever pays for a sweep of them all.
_SWEPT_PER_CREATE = 4


def open_store(url: str, timeout_ms: int) -> MemoryStore:  # noqa: ARG001 - nothing to connect to
    """A new, empty store."""
    return MemoryStore()


class MemoryStore:
    """A dictionary under a lock; see `servers.session_store.Store`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, tuple[Session, float]] = {}  # with the time when it has been idle too long
        self._marks: dict[str, tuple[bytes, float]] = {}  # with the time when it ends

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        with self._lock:
            self._sweep()
            if self._live(session.id):
                raise SessionExistsError(session.id)
            self._keep(session, idle_s)

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        with self._lock:
            session = self._live(id_)
            if session is None or idle_s is None:
                return session
            return self._keep(session.accessed(time.time()), idle_s)

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        return self.load(id_, idle_s) is not None

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        with self._lock:
            current = self._live(old.id)
            # as in the other stores, a later access is no change
            if current is None or current.encode() != old.encode():
                return False
            self._keep(new, idle_s)
            return True

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        with self._lock:
            session = self._live(id_)
            if session is None or session.user != user:
                return False
            del self._sessions[id_]
            return True

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:  # noqa: ARG002 - the access time is kept here
        """See `Store`."""
        with self._lock:
            return sorted(self._of(user), key=lambda each: each.created)

    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        with self._lock:
            own = self._of(user)
            for session in own:
                del self._sessions[session.id]
            return len(own)

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        now = time.time()
        with self._lock:
            for stale in [
                each for each in itertools.islice(self._marks, _SWEPT_PER_CREATE) if self._marks[each][1] <= now
            ]:
                del self._marks[stale]
            self._marks[key] = value, now + ttl_s

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        value, ends = self._marks.get(key, (None, 0.0))
        return value if time.time() < ends else None

    def _of(self, user: str) -> list[Session]:
        own = [session for session, _ in self._sessions.values() if session.user == user]
        return [session for session in own if self._live(session.id)]

    def _keep(self, session: Session, idle_s: int) -> Session:
        # taken out first: the dictionary is then in the order of last access, and the sweep meets the stale in front
        self._sessions.pop(session.id, None)
        self._sessions[session.id] = (session, session.last_accessed + idle_s)
        return session

    def _live(self, id_: str) -> Session | None:
        session, idle_until = self._sessions.get(id_, (None, 0.0))
        if session is not None and time.time() >= idle_until:
            del self._sessions[id_]
            return None
        return session

    def _sweep(self) -> None:
        for id_ in list(itertools.islice(self._sessions, _SWEPT_PER_CREATE)):
            self._live(id_)
