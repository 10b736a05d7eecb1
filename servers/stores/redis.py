"""Sessions in Valkey or Redis (6.2 or later), which every replica shares and which expires them by itself.

One session is one key; its time to live is what is left of the idle limit, so a lookup is one command, GETEX, which
reads and slides at once. The time of the last access is therefore not stored: it is the idle limit less the time to
live. A sorted set per user, scored by absolute end, finds the sessions of a user.

The client is redis-py's `Connection`, not its `Redis`: the latter costs some 120 us of CPU per GET, takes from a pool
and retries in silence, which would hide the very thing measured. One connection per thread; one that failed is
dropped, and so are those of the other threads, for they reach the same dead server.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from servers.store import (
    SessionChanged,
    SessionExists,
    SessionGone,
    SessionRecord,
    SessionState,
    Store,
    StoreFacts,
    StoreUnavailable,
    decode,
    encode,
    unix_ms,
)

if TYPE_CHECKING:
    from redis.connection import Connection

FACTS = StoreFacts(
    name="redis",
    title="Valkey or Redis, one server",
    url_scheme="redis",
    shared=True,
    needs="valkey",
    commands_per_lookup=1,
)

# One script each, because both must be one step: a login cut short must not leave a session that "sign out
# everywhere" cannot find, and an update must not bring back a session that a sign-out ended a moment before.
_CREATE = b"""
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
redis.call('PEXPIREAT', KEYS[2], ARGV[4])
return 1
"""
_UPDATE = b"""
local stored = redis.call('GET', KEYS[1])
if not stored then return 0 end
if cjson.decode(stored)['version'] ~= tonumber(ARGV[1]) then return -1 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""
_GONE, _CHANGED = 0, -1


def check_url(url: str) -> str | None:
    """What is wrong with a redis:// URL, or None. Only host, port and database number are read."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None or parts.username or parts.query:
        return "it must be redis://HOST:PORT/DATABASE, such as redis://127.0.0.1:6379/0"
    if not parts.path.removeprefix("/").isdecimal() and parts.path not in ("", "/"):
        return f"the database must be a number, not {parts.path.removeprefix('/')!r}"
    return None


def open_store(url: str, *, idle_ms: int, timeout_ms: int) -> Store:
    """A store that connects when it is first used, so that a replica starts even while its store is down."""
    return RedisStore(url, idle_ms=idle_ms, timeout_ms=timeout_ms)


class RedisStore:
    """See the module's docstring."""

    def __init__(self, url: str, *, idle_ms: int, timeout_ms: int, clock: Callable[[], int] = unix_ms) -> None:
        # Imported here: it takes 170 ms, which a replica with another store need not spend.
        from redis.connection import Connection  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        parts = urlsplit(url)
        self._idle_ms = idle_ms
        self._clock = clock
        self._failures: tuple[type[Exception], ...] = (RedisError, OSError)
        self._generation = 0
        self._local = threading.local()

        def connect() -> "Connection":
            connection = Connection(
                host=parts.hostname or "",
                port=parts.port or 0,
                db=int(parts.path.removeprefix("/") or 0),
                socket_timeout=timeout_ms / 1000,
                socket_connect_timeout=timeout_ms / 1000,
                protocol=2,
                driver_info=None,  # no CLIENT SETINFO: two commands that would be counted
            )
            connection.connect()
            return connection

        self._connect = connect

    def create(self, record: SessionRecord) -> None:
        """See Store."""
        index = _index(record.user)
        with self._connection() as connection:
            connection.send_command(
                b"EVAL", _CREATE, 2, _key(record.id), index,
                encode(record), self._idle_ms, self._clock(), record.expires_ms, record.id,
            )  # fmt: skip
            created = connection.read_response()
        if not created:
            raise SessionExists(record.id)

    def load(self, session: str) -> SessionRecord | None:
        """See Store. One command."""
        key = _key(session)
        with self._connection() as connection:
            connection.send_command(b"GETEX", key, b"PX", self._idle_ms)
            stored = connection.read_response()
        if stored is None:
            return None
        now_ms = self._clock()
        record = decode(stored, last_accessed_ms=now_ms)
        if record.expires_ms <= now_ms:
            # GETEX has just slid a session that had ended: without this it would last while someone knocks.
            self._delete_session(record)
            return None
        return record

    def update(self, record: SessionRecord, state: SessionState) -> SessionRecord:
        """See Store."""
        changed = SessionRecord(
            record.id, record.user, record.created_ms, record.last_accessed_ms, record.expires_ms,
            record.address, record.user_agent, state, record.version + 1,
        )  # fmt: skip
        with self._connection() as connection:
            connection.send_command(b"EVAL", _UPDATE, 1, _key(record.id), record.version, encode(changed))
            outcome = connection.read_response()
        if outcome == _GONE:
            raise SessionGone(record.id)
        if outcome == _CHANGED:
            raise SessionChanged(record.id)
        return changed

    def delete(self, session: str) -> bool:
        """See Store. The session dies first: a crash between the two commands leaves only a stale index entry."""
        with self._connection() as connection:
            connection.send_command(b"GETDEL", _key(session))
            stored = connection.read_response()
            if stored is None:
                return False
            record = decode(stored, last_accessed_ms=0)
            connection.send_command(b"ZREM", _index(record.user), session)
            connection.read_response()
        return record.expires_ms > self._clock()

    def list_by_user(self, user: str) -> list[SessionRecord]:
        """See Store."""
        sessions = self._indexed(user)
        commands: list[tuple[Any, ...]] = []
        for session in sessions:
            commands += [(b"GET", _key(session)), (b"PTTL", _key(session))]
        replies = self._pipeline(commands)
        now_ms = self._clock()
        records = []
        for stored, ttl_ms in zip(replies[::2], replies[1::2], strict=True):
            if stored is not None:
                records.append(decode(stored, last_accessed_ms=now_ms - self._idle_ms + max(0, ttl_ms)))
        live = (record for record in records if record.expires_ms > now_ms)
        return sorted(live, key=lambda record: record.created_ms)

    def delete_by_user(self, user: str) -> int:
        """See Store. Entries are removed one by one, so that a login at the same moment stays indexed."""
        sessions = self._indexed(user)
        if not sessions:
            return 0
        deletions: list[tuple[Any, ...]] = [(b"DEL", _key(session)) for session in sessions]
        replies = self._pipeline([*deletions, (b"ZREM", _index(user), *sessions)])
        return sum(replies[:-1])

    def close(self) -> None:
        """Close this thread's connection; those of threads that ended were closed with them."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.disconnect()
            self._local.connection = None

    def _delete_session(self, record: SessionRecord) -> None:
        self._pipeline([(b"DEL", _key(record.id)), (b"ZREM", _index(record.user), record.id)])

    def _indexed(self, user: str) -> list[str]:
        (members,) = self._pipeline([(b"ZRANGE", _index(user), 0, -1)])
        return [member.decode() for member in members]

    def _pipeline(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Send all commands in one write, then read all replies: one round trip."""
        if not commands:
            return []
        with self._connection() as connection:
            connection.send_packed_command(connection.pack_commands(commands))
            return [connection.read_response() for _ in commands]

    @contextlib.contextmanager
    def _connection(self) -> "Iterator[Connection]":
        """This thread's connection. A failure drops it, and raises StoreUnavailable."""
        local = self._local
        connection = getattr(local, "connection", None)
        try:
            if connection is None or local.generation != self._generation:
                if connection is not None:
                    connection.disconnect()
                local.connection, local.generation = None, self._generation
                local.connection = connection = self._connect()
            yield connection
        except self._failures as error:
            self._generation += 1
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def _key(session: str) -> bytes:
    return b"authscale:session:" + session.encode()


def _index(user: str) -> bytes:
    return b"authscale:user:" + user.encode()
