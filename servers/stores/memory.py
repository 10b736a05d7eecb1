"""Sessions in the memory of one replica: the fastest, unknown to its neighbours, lost on restart."""

import dataclasses
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from servers.store import (
    SessionChanged,
    SessionExists,
    SessionGone,
    SessionRecord,
    SessionState,
    Store,
    StoreFacts,
    unix_ms,
)

FACTS = StoreFacts(
    name="memory",
    title="the replica's own memory",
    url_scheme="memory",
    shared=False,
    needs=None,
    commands_per_lookup=0,
)

_SWEEP_EVERY = 256
"""Logins between two sweeps: a session nobody asks for again must not stay in memory for ever."""


def check_url(url: str) -> str | None:
    """What is wrong with a memory:// URL, or None."""
    parts = urlsplit(url)
    if parts.netloc or parts.path or parts.query:
        return "memory:// takes nothing after it"
    return None


def open_store(url: str, *, idle_ms: int, timeout_ms: int) -> Store:
    """An empty store. Memory answers at once, so the timeout is not used."""
    del url, timeout_ms
    return MemoryStore(idle_ms=idle_ms)


@dataclasses.dataclass(slots=True)
class _Kept:
    record: SessionRecord
    idle_until_ms: int


class MemoryStore:
    """A dictionary under one lock."""

    def __init__(self, *, idle_ms: int, clock: Callable[[], int] = unix_ms) -> None:
        self._idle_ms = idle_ms
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, _Kept] = {}
        self._by_user: dict[str, set[str]] = {}
        self._creations = 0

    def create(self, record: SessionRecord) -> None:
        """See Store."""
        with self._lock:
            self._creations += 1
            if self._creations % _SWEEP_EVERY == 0:
                self._sweep()
            if self._live(record.id) is not None:
                raise SessionExists(record.id)
            self._sessions[record.id] = _Kept(record, self._clock() + self._idle_ms)
            self._by_user.setdefault(record.user, set()).add(record.id)

    def load(self, session: str) -> SessionRecord | None:
        """See Store."""
        with self._lock:
            kept = self._live(session)
            if kept is None:
                return None
            now_ms = self._clock()
            kept.idle_until_ms = now_ms + self._idle_ms
            kept.record = dataclasses.replace(kept.record, last_accessed_ms=now_ms)
            return kept.record

    def update(self, record: SessionRecord, state: SessionState) -> SessionRecord:
        """See Store."""
        with self._lock:
            kept = self._live(record.id)
            if kept is None:
                raise SessionGone(record.id)
            if kept.record.version != record.version:
                raise SessionChanged(record.id)
            kept.record = dataclasses.replace(kept.record, state=state, version=record.version + 1)
            return kept.record

    def delete(self, session: str) -> bool:
        """See Store."""
        with self._lock:
            return self._live(session) is not None and self._forget(session)

    def list_by_user(self, user: str) -> list[SessionRecord]:
        """See Store."""
        with self._lock:
            kept = [self._live(session) for session in tuple(self._by_user.get(user, ()))]
        return sorted((k.record for k in kept if k is not None), key=lambda record: record.created_ms)

    def delete_by_user(self, user: str) -> int:
        """See Store."""
        with self._lock:
            sessions = tuple(self._by_user.get(user, ()))
            return sum(self._live(session) is not None and self._forget(session) for session in sessions)

    def close(self) -> None:
        """See Store."""
        with self._lock:
            self._sessions.clear()
            self._by_user.clear()

    def _live(self, session: str) -> _Kept | None:
        kept = self._sessions.get(session)
        if kept is None:
            return None
        if self._clock() >= min(kept.idle_until_ms, kept.record.expires_ms):
            self._forget(session)
            return None
        return kept

    def _forget(self, session: str) -> bool:
        kept = self._sessions.pop(session)
        sessions = self._by_user[kept.record.user]
        sessions.discard(session)
        if not sessions:
            del self._by_user[kept.record.user]
        return True

    def _sweep(self) -> None:
        for session in tuple(self._sessions):
            self._live(session)
