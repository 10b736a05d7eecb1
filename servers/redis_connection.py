"""One server that speaks the Redis protocol, asked over one connection per thread: what the Redis stores stand on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from servers.session_store import StoreUnavailableError


class Server:
    """Speaks over one connection per thread.

    redis-py's client object costs more CPU per command (pool, retries, callbacks) than its connection, so the
    connection is used directly. When one fails all are dropped, and the next requests open new ones; nothing is asked
    twice.
    """

    def __init__(
        self, host: str | None, port: int | None, timeout_ms: int, *, db: int = 0, password: str | None = None
    ) -> None:
        from redis.backoff import NoBackoff  # noqa: PLC0415 - see servers.registry on start-up
        from redis.connection import Connection  # noqa: PLC0415
        from redis.exceptions import RedisError, ResponseError  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._connection_type: Any = Connection
        self._refused, self._failed = ResponseError, (RedisError, OSError)
        self.address = host or "127.0.0.1", port or 6379
        self._options = {
            "host": self.address[0],
            "port": self.address[1],
            "db": db,
            "password": password,
            "protocol": 2,
            "socket_timeout": timeout_ms / 1000,
            "socket_connect_timeout": timeout_ms / 1000,
            "retry": Retry(NoBackoff(), 0),
        }
        self._threads = threading.local()
        self._failures = 0
        self.answers = True  # until it does not; again when a new connection is open

    def ask_all(self, *commands: Sequence[Any]) -> list[Any]:
        """Send all, then read all answers: one round trip.

        Raises:
            StoreUnavailableError: its cause is redis-py's error.

        """
        try:
            connection = self._connection()
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [connection.read_response() for _ in commands]
        except self._refused as error:  # the server is there and will not: full, loading, read-only
            self._failures += 1
            raise StoreUnavailableError(f"the store refused: {error}") from error
        except self._failed as error:
            self._failures += 1
            self.answers = False
            raise StoreUnavailableError(f"the store did not answer: {error}") from error

    def _connection(self) -> Any:
        connection, opened_at = getattr(self._threads, "connection", (None, -1))
        if opened_at != self._failures:
            if connection is not None:  # a store that failed one thread has closed on the others, too
                connection.disconnect()
            failures = self._failures
            connection = self._connection_type(**self._options)
            self._threads.connection = connection, failures
            connection.connect()
            self.answers = True
        return connection
