"""Takes expired rows away, in the background: PostgreSQL has no expiry of its own.

A thread of its own with a connection of its own walks each table by its key, a bounded number of rows at a time. There
is no index by expiry to find them by: every sliding would have to change it. A row that somebody has locked is left
for the next walk, so nobody ever waits for the purge for longer than it takes to delete one piece.
"""

from __future__ import annotations

import logging
import random
import string
import threading
import time
import weakref

from servers.postgres_connection import UPKEEP, Connection, FailedError

TABLES = ("sessions", "marks")
# Of 10,000 sessions and 4 replicas each row is looked at about every 12 s; a piece takes the server 1 ms of CPU.
PIECE_ROWS = 1000
PAUSE_S = 5.0
_TIMEOUT_S = 5.0

_PIECE = """
WITH piece AS MATERIALIZED (
    SELECT id, idle_until FROM {table} WHERE id > $1 ORDER BY id LIMIT {rows}
), expired AS (
    SELECT id FROM {table} WHERE id IN (SELECT id FROM piece WHERE idle_until <= now()) AND idle_until <= now()
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE {upkeep} FROM {table} WHERE id IN (SELECT id FROM expired) RETURNING id
)
SELECT max(id), count(*), (SELECT count(*) FROM gone) FROM piece
"""


class Purge:
    """One per store; begins with the store's first connection, ends with the store."""

    def __init__(self, conninfo: bytes, pause_s: float = PAUSE_S) -> None:
        self._conninfo = conninfo
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._begun = False
        self._ended = threading.Event()
        weakref.finalize(self, self._ended.set)

    def begin(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
        # the thread knows nothing of the store, or the store would live as long as it
        walk = (self._conninfo, self._pause_s, self._ended)
        threading.Thread(target=_walk, args=walk, name="postgres-purge", daemon=True).start()


def _walk(conninfo: bytes, pause_s: float, ended: threading.Event) -> None:
    # replicas that began at one end would all look at the same rows at the same time
    start = random.choice(string.ascii_letters + string.digits)  # noqa: S311 - no secret
    after = dict.fromkeys(TABLES, start)
    connection: Connection | None = None
    while not ended.wait(pause_s):
        try:
            connection = connection or Connection(conninfo, time.monotonic() + _TIMEOUT_S)
            for table in TABLES:
                after[table] = purge_piece(connection, table, after[table])
        except FailedError as error:
            # requests tell of the store that is down; what has expired stays what it is, a row that nobody reads
            logging.getLogger(__name__).warning("purge put off: %s", error)
            if connection is not None:
                connection.close()
            connection = None
    if connection is not None:
        connection.close()


def purge_piece(connection: Connection, table: str, after: str, rows: int = PIECE_ROWS) -> str:
    """Take the expired ones of the next `rows` rows away; returns after which id to go on. Raises FailedError."""
    statement = _PIECE.format(table=table, upkeep=UPKEEP, rows=rows)
    result = connection.ask(statement, (after,), time.monotonic() + _TIMEOUT_S)
    last = result.get_value(0, 0)
    return last.decode() if last is not None else ""
