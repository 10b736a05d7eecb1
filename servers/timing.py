"""What a request spent where, told in Server-Timing (W3C), the same way by every scheme.

A WSGI server handles one request per thread at a time, so the clock is the thread's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from servers.session_store import Session, Store

_P = ParamSpec("_P")
_T = TypeVar("_T")
_STAMP_DIGITS = 18


class RequestClock(threading.local):
    """Nanoseconds of the request that this thread handles."""

    auth_ns = 0
    store_ns = 0
    queue_ns: int | None = None
    began_ns = 0

    def start(self, environ: Mapping[str, Any]) -> None:
        """A request begins. The balancer stamped it in microseconds since the epoch: `X-Request-Start: t=...`.

        One that cannot do that stamps nothing, and then nothing is said of the time between.
        """
        self.began_ns = time.perf_counter_ns()
        self.auth_ns = self.store_ns = 0
        self.queue_ns = None
        stamp = environ.get("HTTP_X_REQUEST_START", "")[2:]
        if stamp.isascii() and stamp.isdecimal() and len(stamp) <= _STAMP_DIGITS:
            self.queue_ns = max(0, time.time_ns() - int(stamp) * 1000)


clock = RequestClock()


def server_timing(replica: str) -> str:
    """The header's value: durations in ms, of fixed width, so that the length of an answer does not depend on them.

    `app` is from the request's start in Flask until now, when its answer is made.
    """
    app_ns = time.perf_counter_ns() - clock.began_ns
    queue = "" if clock.queue_ns is None else f"queue;dur={_ms(clock.queue_ns)}, "
    return (
        f"auth;dur={_ms(clock.auth_ns)}, store;dur={_ms(clock.store_ns)}, {queue}app;dur={_ms(app_ns)}, "
        f'replica;desc="{replica}"'
    )


def _ms(ns: int) -> str:
    return f"{min(ns / 1e6, 99999.999999):012.6f}"


def burn(us: int) -> None:
    """Use so much CPU time of this thread: a known cost, planted to see whether a measurement finds it."""
    end_ns = time.thread_time_ns() + us * 1000
    while time.thread_time_ns() < end_ns:
        pass


class TimedStore:
    """Any store, with its time added to the request's clock, measured from outside it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        _timed(self._store.create, session, idle_s)

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        return _timed(self._store.load, id_, idle_s)

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        return _timed(self._store.touch, id_, idle_s)

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        return _timed(self._store.update, old, new, idle_s)

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        return _timed(self._store.delete, id_, user)

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """See `Store`."""
        return _timed(self._store.list_by_user, user, idle_s)

    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        return _timed(self._store.delete_by_user, user)

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        _timed(self._store.put_mark, key, value, ttl_s)

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        return _timed(self._store.get_mark, key)


def _timed(operation: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    began = time.perf_counter_ns()
    try:
        return operation(*arguments, **named)
    finally:
        clock.store_ns += time.perf_counter_ns() - began
