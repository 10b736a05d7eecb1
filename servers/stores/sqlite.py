"""Sessions in an SQLite database of this machine, in WAL mode: one statement per lookup.

Every statement is a transaction of its own. Synced at checkpoints, not at each commit (synchronous=NORMAL): a power cut
may cost the newest sessions, never the database.

| operation | statements |
|---|---|
| load, sliding | UPDATE ... RETURNING |
| load | SELECT |
| touch, update | UPDATE |
| create | SELECT, DELETE if it found ended rows; INSERT ... ON CONFLICT |
| delete, delete_by_user | DELETE ... RETURNING |
| list_by_user | SELECT |
| put_mark | SELECT, DELETE if it found ended rows; INSERT ... ON CONFLICT |
| get_mark | SELECT |
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from servers.session_store import Session, SessionExistsError, StoreFacts, StoreUnavailableError

FACTS = StoreFacts(name="sqlite", url_scheme="sqlite", shared=False, needs="folder", rank=30)

# The primary key is the table: a row is found, and slid, in one tree. `ends` has no index: each lookup would have to
# move its row in it. Ended rows are looked for a few at a time, in turn, with each sign-in.
_SCHEMA = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    """CREATE TABLE IF NOT EXISTS sessions
        (id TEXT PRIMARY KEY, user TEXT NOT NULL, record BLOB NOT NULL, touched REAL NOT NULL, ends REAL NOT NULL)
        WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS sessions_of ON sessions (user)",
    "CREATE TABLE IF NOT EXISTS marks (id TEXT PRIMARY KEY, value BLOB NOT NULL, ends REAL NOT NULL) WITHOUT ROWID",
)
_SWEPT_PER_CREATE = 4
_OPENING_POLL_S = 0.001
_NEXT = {
    "sessions": "SELECT id, ends FROM sessions WHERE id > ? ORDER BY id LIMIT ?",
    "marks": "SELECT id, ends FROM marks WHERE id > ? ORDER BY id LIMIT ?",
}
_SWEEP = {
    "sessions": "DELETE FROM sessions WHERE id BETWEEN ? AND ? AND ends <= ?",
    "marks": "DELETE FROM marks WHERE id BETWEEN ? AND ? AND ends <= ?",
}
_CREATE = """INSERT INTO sessions VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE
    SET user = excluded.user, record = excluded.record, touched = excluded.touched, ends = excluded.ends
    WHERE sessions.ends <= ? RETURNING 1"""
_LOAD = "SELECT record, touched FROM sessions WHERE id = ? AND ends > ?"
_SLIDE = "UPDATE sessions SET ends = ? WHERE id = ? AND ends > ? RETURNING record, touched"
_TOUCH = "UPDATE sessions SET touched = ?, ends = ? WHERE id = ? AND ends > ? RETURNING 1"
_UPDATE = "UPDATE sessions SET record = ?, touched = ?, ends = ? WHERE id = ? AND record = ? AND ends > ? RETURNING 1"
_DELETE = "DELETE FROM sessions WHERE id = ? AND user = ? RETURNING ends"
_LIST = "SELECT id, record, ends FROM sessions WHERE user = ? AND ends > ?"
_DELETE_BY_USER = "DELETE FROM sessions WHERE user = ? RETURNING ends"
_PUT_MARK = """INSERT INTO marks VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET value = excluded.value, ends = excluded.ends"""
_GET_MARK = "SELECT value FROM marks WHERE id = ? AND ends > ?"


def open_store(url: str, timeout_ms: int) -> SqliteStore:
    """A store in the database at `url` (sqlite:///dir/f.db, an absolute path); made when first asked."""
    address = urlsplit(url)
    if address.netloc or not address.path.strip("/"):
        raise ValueError("it takes an absolute path, as in sqlite:///dir/f.db")
    return SqliteStore(unquote(address.path), timeout_ms)


class _Connection(sqlite3.Connection):
    """Closes itself with the thread that it belonged to."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it never opened
            self.close()


class SqliteStore:
    """One connection per thread; see `servers.session_store.Store`.

    A database has one writer at a time; who waits for it sleeps in SQLite, up to the timeout. When one connection fails
    all are dropped, and the next requests open new ones; nothing is asked twice.
    """

    def __init__(self, path: str, timeout_ms: int) -> None:
        self._path = path
        self._timeout_s = timeout_ms / 1000
        self._threads = threading.local()
        self._failures = 0
        self._swept_to = {"sessions": "", "marks": ""}

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        self._sweep("sessions")
        now = time.time()
        row = (session.id, session.user, session.encode(), session.last_accessed, now + idle_s)
        if not self._ask(_CREATE, *row, now):
            raise SessionExistsError(session.id)

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        now = time.time()
        found = self._ask(_LOAD, id_, now) if idle_s is None else self._ask(_SLIDE, now + idle_s, id_, now)
        if not found:
            return None
        record, touched = found[0]
        return Session.decode(id_, touched if idle_s is None else now, record)

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        now = time.time()
        return bool(self._ask(_TOUCH, now, now + idle_s, id_, now))

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        now = time.time()
        # as in the other stores, a later access is no change
        row = (new.encode(), new.last_accessed, now + idle_s)
        return bool(self._ask(_UPDATE, *row, old.id, old.encode(), now))

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        now = time.time()
        return any(now < ends for (ends,) in self._ask(_DELETE, id_, user))

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """See `Store`."""
        found = [
            Session.decode(id_, ends - idle_s, record) for id_, record, ends in self._ask(_LIST, user, time.time())
        ]
        return sorted(found, key=lambda each: each.created)

    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        now = time.time()
        return sum(now < ends for (ends,) in self._ask(_DELETE_BY_USER, user))

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        self._sweep("marks")
        self._ask(_PUT_MARK, key, value, time.time() + ttl_s)

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        found = self._ask(_GET_MARK, key, time.time())
        return found[0][0] if found else None

    def _sweep(self, table: str) -> None:
        rows = self._ask(_NEXT[table], self._swept_to[table], _SWEPT_PER_CREATE)
        self._swept_to[table] = rows[-1][0] if len(rows) == _SWEPT_PER_CREATE else ""
        now = time.time()
        if any(ends <= now for _, ends in rows):
            self._ask(_SWEEP[table], rows[0][0], rows[-1][0], now)

    def _ask(self, statement: str, *values: Any) -> list[Any]:
        """What the statement returns: of one that writes, a row for each that it wrote."""
        try:
            return self._connection().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            self._failures += 1
            raise StoreUnavailableError(f"the database did not answer: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        connection, opened_at = getattr(self._threads, "connection", (None, -1))
        if connection is None or opened_at != self._failures:
            if connection is not None:
                connection.close()
            connection = sqlite3.connect(
                self._path,
                timeout=self._timeout_s,
                isolation_level=None,
                # a thread's connection is closed by whoever finds the thread gone
                check_same_thread=False,
                factory=_Connection,
            )
            self._threads.connection = connection, self._failures
            self._set_up(connection)
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                for statement in _SCHEMA:
                    connection.execute(statement)
            except sqlite3.OperationalError as error:
                # SQLite waits for no lock while it turns WAL on: of four who opened a new database at once, one failed
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_OPENING_POLL_S)
            else:
                return
