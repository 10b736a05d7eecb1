"""Sessions in PostgreSQL: one prepared statement per operation, over one connection per thread.

| operation | statements |
|---|---|
| load, sliding; touch | UPDATE |
| load | SELECT |
| create | INSERT |
| update | UPDATE |
| delete, delete_by_user | DELETE |
| list_by_user | SELECT |
| put_mark, get_mark | INSERT, SELECT |

Each is one round trip and a transaction of its own; a new connection costs the sign-in and one more, and the first use
of a statement on it one to prepare it. The server's clock alone tells what has expired; the limit counts from the
statement's arrival. Expired rows are nobody's, and are taken away in the background (`servers.postgres_purge`).

`sessions` is UNLOGGED: a crash of the server empties it, so all sign in again and none that was ended is back; a
replica of the database does not have it. `marks` is logged and committed before it is answered, because a lost mark
is a revoked credential that works again. Sliding changes no indexed column, so that its row versions stay on their
page (HOT), where the pages leave room for them.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from servers.postgres_connection import Connection, FailedError, parse_url
from servers.postgres_purge import Purge
from servers.session_store import Session, SessionExistsError, StoreFacts, StoreUnavailableError

FACTS = StoreFacts(name="postgres", url_scheme="postgresql", shared=True, needs="postgres", rank=40)

_TOUCH = """
UPDATE sessions SET touched = $3, idle_until = now() + make_interval(secs => $2) WHERE id = $1 AND idle_until > now()
"""
_LOAD_SLIDING = _TOUCH + " RETURNING touched, record"
_LOAD = "SELECT touched, record FROM sessions WHERE id = $1 AND idle_until > now()"
# what has expired is no session, though its row may be there still
_CREATE = """
INSERT INTO sessions AS old (id, username, touched, record, idle_until)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
ON CONFLICT (id) DO UPDATE SET (username, touched, record, idle_until) =
    (excluded.username, excluded.touched, excluded.record, excluded.idle_until)
WHERE old.idle_until <= now()
"""
# Compares the whole record: equal bytes are the same version, as in the other stores. Of two at once the second waits
# for the first, and then finds another record (READ COMMITTED looks again at what it waited for).
_UPDATE = """
UPDATE sessions SET touched = $3, record = $4, idle_until = now() + make_interval(secs => $5)
WHERE id = $1 AND record = $2 AND idle_until > now()
"""
_DELETE = "DELETE FROM sessions WHERE id = $1 AND username = $2 AND idle_until > now()"
_LIST = "SELECT touched, record, id FROM sessions WHERE username = $1 AND idle_until > now()"
_DELETE_BY_USER = "DELETE FROM sessions WHERE username = $1 AND idle_until > now()"
_PUT_MARK = """
INSERT INTO marks (id, value, idle_until) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (id) DO UPDATE SET (value, idle_until) = (excluded.value, excluded.idle_until)
"""
_GET_MARK = "SELECT value FROM marks WHERE id = $1 AND idle_until > now()"


class _Own(NamedTuple):
    connection: Connection | None
    opened_at: int


def open_store(url: str, timeout_ms: int) -> PostgresStore:
    """A store in the database at `url` (postgresql://user:password@host:port/database, as libpq reads it)."""
    return PostgresStore(url, timeout_ms)


class PostgresStore:
    """Speaks over one connection per thread; see `servers.session_store.Store`.

    When one connection fails all are dropped, and the next requests open new ones; nothing is asked twice.
    """

    def __init__(self, url: str, timeout_ms: int) -> None:
        self._conninfo = parse_url(url, timeout_ms)
        self._timeout_s = timeout_ms / 1000
        self._threads = threading.local()
        self._failures = 0
        self._purge = Purge(self._conninfo)

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        values = (session.id, session.user, session.last_accessed, session.encode(), float(idle_s))
        if not self._changed(_CREATE, *values):
            raise SessionExistsError(session.id)

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        slid = () if idle_s is None else (float(idle_s), time.time())
        rows = self._rows(_LOAD_SLIDING if slid else _LOAD, id_, *slid)
        return _session(id_, *rows[0]) if rows else None

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        return self._changed(_TOUCH, id_, float(idle_s), time.time()) > 0

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        values = (old.id, old.encode(), new.last_accessed, new.encode(), float(idle_s))
        return self._changed(_UPDATE, *values) > 0

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        return self._changed(_DELETE, id_, user) > 0

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:  # noqa: ARG002 - the access time is kept here
        """See `Store`."""
        found = [_session(id_.decode(), touched, record) for touched, record, id_ in self._rows(_LIST, user)]
        return sorted(found, key=lambda each: each.created)

    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        return self._changed(_DELETE_BY_USER, user)

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        self._changed(_PUT_MARK, key, value, float(ttl_s))

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        rows = self._rows(_GET_MARK, key)
        return rows[0][0] if rows else None

    def _rows(self, statement: str, *values: str | bytes | float) -> list[Sequence[bytes]]:
        result = self._ask(statement, values)
        columns = range(result.nfields)
        return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]

    def _changed(self, statement: str, *values: str | bytes | float) -> int:
        return int(self._ask(statement, values).command_tuples)

    def _ask(self, statement: str, values: Sequence[str | bytes | float]) -> Any:
        deadline = time.monotonic() + self._timeout_s
        own: _Own = getattr(self._threads, "own", _Own(None, -1))
        try:
            connection = own.connection
            if connection is None or own.opened_at != self._failures:
                # a server that failed one thread has closed on the others, too
                connection = self._reopen(own.connection, deadline)
            return connection.ask(statement, values, deadline)
        except FailedError as error:
            self._failures += 1
            raise StoreUnavailableError(str(error)) from error

    def _reopen(self, old: Connection | None, deadline: float) -> Connection:
        if old is not None:
            old.close()
        self._threads.own = _Own(None, -1)
        # before connecting: a failure of another thread meanwhile is then not missed
        opened_at = self._failures
        connection = Connection(self._conninfo, deadline)
        self._threads.own = _Own(connection, opened_at)
        self._purge.begin()
        return connection


def _session(id_: str, touched: bytes, record: bytes) -> Session:
    return Session.decode(id_, struct.unpack("!d", touched)[0], record)
