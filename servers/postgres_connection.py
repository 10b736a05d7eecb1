"""One connection to PostgreSQL that asks once and answers before a deadline, or fails.

psycopg's own wrapper of libpq (`psycopg.pq`), without its connection and cursor objects, which wait for a silent server
without end, and adapt types and keep transactions where none are asked for.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Sequence
from typing import Any

# Statements that are no request's: the harness counts them apart.
UPKEEP = "/* upkeep */"

_SCHEMA = (
    # Collation C: ids are bytes, and compared as such. Room on each page for the new row versions that sliding makes.
    f"""CREATE {UPKEEP} UNLOGGED TABLE IF NOT EXISTS sessions (
        id text COLLATE "C" PRIMARY KEY, username text NOT NULL, touched float8 NOT NULL,
        idle_until timestamptz NOT NULL, record bytea NOT NULL) WITH (fillfactor = 50)""",
    f"CREATE {UPKEEP} INDEX IF NOT EXISTS sessions_of_user ON sessions (username)",
    f"""CREATE {UPKEEP} TABLE IF NOT EXISTS marks (
        id text COLLATE "C" PRIMARY KEY, idle_until timestamptz NOT NULL, value bytea NOT NULL)""",
)
_HAS_SCHEMA = f"SELECT {UPKEEP} to_regclass('marks') IS NOT NULL"
# Two that create at once collide in spite of IF NOT EXISTS; the number is nobody else's, and means nothing.
_LOCK = f"SELECT {UPKEEP} pg_advisory_xact_lock(7205759403792793)"


class FailedError(Exception):
    """The server did not answer in time, or refused. The connection is of no use any more."""


def parse_url(url: str, timeout_ms: int) -> bytes:
    """What libpq needs to connect. Raises ValueError for what it cannot read."""
    from psycopg import Error, conninfo  # noqa: PLC0415 - see servers.registry on start-up

    try:
        known = conninfo.conninfo_to_dict(url)
        # what a client has given up waiting for must not go on holding locks
        options = f"{known.get('options') or ''} -c statement_timeout={timeout_ms}".strip()
        return conninfo.make_conninfo(url, options=options, application_name="authscale").encode()
    except Error as error:
        raise ValueError(str(error).strip()) from error


class Connection:
    """Opened before `deadline` (of time.monotonic), with the tables there. Raises FailedError."""

    def __init__(self, conninfo: bytes, deadline: float) -> None:
        from psycopg import Error, pq  # noqa: PLC0415 - see servers.registry on start-up

        self._pq, self._error = pq, Error
        self._prepared: dict[str, bytes] = {}
        self._libpq = pq.PGconn.connect_start(conninfo)
        try:
            self._connect(deadline)
            self._libpq.nonblocking = 1
            self._wire = self._waiting(self._libpq.socket)
            self._make_schema(deadline)
        except BaseException:
            self.close()
            raise

    def ask(self, statement: str, values: Sequence[str | bytes | float], deadline: float) -> Any:
        """The result (psycopg.pq.PGresult), in the binary format. Raises FailedError."""
        name = self._prepared.get(statement)
        try:
            if name is None:
                name = b"s%d" % len(self._prepared)
                self._libpq.send_prepare(name, statement.encode())
                self._result(deadline)
                self._prepared[statement] = name
            self._libpq.send_query_prepared(name, [_binary(each) for each in values], [1] * len(values), 1)
            return self._result(deadline)
        except (OSError, self._error) as error:
            raise FailedError(f"the store did not answer: {error}") from error

    def run(self, statement: str, deadline: float) -> Any:
        """The result of a statement, or of several, that is asked for once. Raises FailedError."""
        try:
            self._libpq.send_query(statement.encode())
            return self._result(deadline)
        except (OSError, self._error) as error:
            raise FailedError(f"the store did not answer: {error}") from error

    def close(self) -> None:
        """Close it, whatever its state."""
        self._libpq.finish()

    def _connect(self, deadline: float) -> None:
        polling = self._pq.PollingStatus
        try:
            while (status := self._libpq.connect_poll()) != polling.OK:
                if status == polling.FAILED:
                    raise FailedError(f"the store did not answer: {self._libpq.get_error_message()}")
                # another address of the same host is another socket
                wire = self._waiting(self._libpq.socket)
                wire.modify(self._libpq.socket, select.POLLIN if status == polling.READING else select.POLLOUT)
                _wait(wire, deadline)
        except (OSError, self._error) as error:
            raise FailedError(f"the store did not answer: {error}") from error

    def _make_schema(self, deadline: float) -> None:
        if self.run(_HAS_SCHEMA, deadline).get_value(0, 0) != b"t":
            # several statements in one message are one transaction
            self.run("; ".join((_LOCK, *_SCHEMA)), deadline)

    def _result(self, deadline: float) -> Any:
        """The last result of what was sent; all are read, so that the connection is free again."""
        libpq = self._libpq
        while libpq.flush():
            self._wire.modify(libpq.socket, select.POLLIN | select.POLLOUT)
            _wait(self._wire, deadline)
            libpq.consume_input()
            self._wire.modify(libpq.socket, select.POLLIN)
        last = None
        while True:
            while libpq.is_busy():
                _wait(self._wire, deadline)
                libpq.consume_input()
            result = libpq.get_result()
            if result is None:
                return last
            if result.status not in (self._pq.ExecStatus.TUPLES_OK, self._pq.ExecStatus.COMMAND_OK):
                raise FailedError(f"the store refused: {result.get_error_message()}")
            last = result

    @staticmethod
    def _waiting(socket: int) -> select.poll:
        wire = select.poll()
        wire.register(socket, select.POLLIN)
        return wire


def _wait(wire: select.poll, deadline: float) -> None:
    left_s = deadline - time.monotonic()
    if left_s <= 0 or not wire.poll(left_s * 1000):
        raise TimeoutError("the time is up")


def _binary(value: str | bytes | float) -> bytes:
    if isinstance(value, float):
        return struct.pack("!d", value)
    return value.encode() if isinstance(value, str) else value
