"""Sessions in Valkey or Redis: one GETEX per request reads the session and slides its expiry, which the server keeps.

Keys: `session:<id>` holds the record, before it the time of the last touch in 13 digits (ms), and expires by itself;
`sessions-of:<user>` is a sorted set of the user's ids, scored by the time they end at the latest; `mark:<key>` is a
mark.

| operation | commands |
|---|---|
| load, sliding | GETEX |
| load | GET |
| touch | EVAL, and in it EXISTS, SETRANGE and EXPIRE |
| create | MULTI ZADD ZREMRANGEBYSCORE EXPIREAT EXPIREAT SET EXEC, in one round trip |
| update | EVAL, and in it GET and SET |
| delete | EVAL, and in it ZREM and DEL |
| list_by_user | ZRANGE, then a GET and a PTTL per session in one round trip |
| delete_by_user | ZRANGE, then MULTI DEL ZREM EXEC |
| put_mark, get_mark | SET, GET |
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from servers.session_store import Session, SessionExistsError, StoreFacts, StoreUnavailableError

FACTS = StoreFacts(name="redis", url_scheme="redis", shared=True, needs="valkey", rank=50)

_TIME_DIGITS = 13
# Compares the whole record, without the time of the last touch: it is written by create and by this script alone, so
# equal bytes are the same version.
_UPDATE = """
local found = redis.call('GET', KEYS[1])
if not found or string.sub(found, 14) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_TOUCH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SETRANGE', KEYS[1], 0, ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
# A session is the user's own if the user's index has it.
_DELETE = """
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
return redis.call('DEL', KEYS[1])
"""


def open_store(url: str, timeout_ms: int) -> RedisStore:
    """A store on the server at `url` (redis://host:port/db)."""
    return RedisStore(url, timeout_ms)


class RedisStore:
    """Speaks over one connection per thread; see `servers.session_store.Store`.

    redis-py's client object costs more CPU per command (pool, retries, callbacks) than its connection, so the
    connection is used directly. When one fails all are dropped, and the next requests open new ones; nothing is asked
    twice.
    """

    def __init__(self, url: str, timeout_ms: int) -> None:
        from redis.backoff import NoBackoff  # noqa: PLC0415 - see servers.registry on start-up
        from redis.connection import Connection  # noqa: PLC0415
        from redis.exceptions import RedisError, ResponseError  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._connection_type: Any = Connection
        self._refused, self._failed = ResponseError, (RedisError, OSError)
        address = urlsplit(url)
        self._options = {
            "host": address.hostname or "127.0.0.1",
            "port": address.port or 6379,
            "db": int(address.path.strip("/") or 0),
            "password": address.password,
            "protocol": 2,
            "socket_timeout": timeout_ms / 1000,
            "socket_connect_timeout": timeout_ms / 1000,
            "retry": Retry(NoBackoff(), 0),
        }
        self._threads = threading.local()
        self._failures = 0

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        index, ends = _index(session.user), int(session.expires) + 1
        *_, results = self._ask_all(
            ("MULTI",),
            # the index in the same step: a session that is not in it could not be ended by its user
            ("ZADD", index, ends, session.id),
            ("ZREMRANGEBYSCORE", index, "-inf", int(session.created) - 1),
            ("EXPIREAT", index, ends, "NX"),
            ("EXPIREAT", index, ends, "GT"),
            ("SET", _key(session.id), _stamped(session), "NX", "EX", idle_s),
            ("EXEC",),
        )
        if results[-1] is None:
            raise SessionExistsError(session.id)

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        if idle_s is None:
            (value,) = self._ask_all(("GET", _key(id_)))
            return None if value is None else _session(id_, value)
        (value,) = self._ask_all(("GETEX", _key(id_), "EX", idle_s))
        return None if value is None else _session(id_, value).accessed(time.time())

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        (touched,) = self._ask_all(("EVAL", _TOUCH, 1, _key(id_), _stamp(time.time()), idle_s))
        return bool(touched)

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        (written,) = self._ask_all(("EVAL", _UPDATE, 1, _key(old.id), old.encode(), _stamped(new), idle_s))
        return bool(written)

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        (deleted,) = self._ask_all(("EVAL", _DELETE, 2, _key(id_), _index(user), id_))
        return bool(deleted)

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """See `Store`."""
        ids = self._ids_of(user)
        answers = self._ask_all(*(command for id_ in ids for command in (("GET", _key(id_)), ("PTTL", _key(id_)))))
        now = time.time()
        found = [
            # its time to live was the idle limit when it was last accessed
            _session(id_, value).accessed(max(_session(id_, value).created, now + left_ms / 1000 - idle_s))
            for id_, value, left_ms in zip(ids, answers[::2], answers[1::2], strict=True)
            if value is not None
        ]
        return sorted(found, key=lambda each: each.created)

    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        ids = self._ids_of(user)
        if not ids:
            return 0
        *_, (deleted, _) = self._ask_all(
            ("MULTI",), ("DEL", *(_key(id_) for id_ in ids)), ("ZREM", _index(user), *ids), ("EXEC",)
        )
        return int(deleted)

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        self._ask_all(("SET", f"mark:{key}", value, "EX", ttl_s))

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        value: bytes | None
        (value,) = self._ask_all(("GET", f"mark:{key}"))
        return value

    def _ids_of(self, user: str) -> list[str]:
        (ids,) = self._ask_all(("ZRANGE", _index(user), 0, -1))
        return [id_.decode() for id_ in ids]

    def _ask_all(self, *commands: Sequence[Any]) -> list[Any]:
        """Send all, then read all answers: one round trip."""
        connection = self._connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [connection.read_response() for _ in commands]
        except self._refused as error:  # the server is there and will not: full, loading, read-only
            self._drop()
            raise StoreUnavailableError(f"the store refused: {error}") from error
        except self._failed as error:
            self._drop()
            raise StoreUnavailableError(f"the store did not answer: {error}") from error

    def _connection(self) -> Any:
        connection, opened_at = getattr(self._threads, "connection", (None, -1))
        if opened_at != self._failures:
            if connection is not None:  # a store that failed one thread has closed on the others, too
                connection.disconnect()
            connection = self._connection_type(**self._options)
            self._threads.connection = connection, self._failures
        return connection

    def _drop(self) -> None:
        self._failures += 1


def _key(id_: str) -> str:
    return f"session:{id_}"


def _stamp(seconds: float) -> bytes:
    return b"%013d" % (seconds * 1000)


def _stamped(session: Session) -> bytes:
    return _stamp(session.last_accessed) + session.encode()


def _session(id_: str, value: bytes) -> Session:
    return Session.decode(id_, int(value[:_TIME_DIGITS]) / 1000, value[_TIME_DIGITS:])


def _index(user: str) -> str:
    return f"sessions-of:{user}"
