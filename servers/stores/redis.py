"""Sessions in Valkey or Redis: one GETEX per request reads the session and slides its expiry, which the server keeps.

Keys and values as `servers.redis_records` has them.

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

A sliding lookup asks with 91 octets (an id of 43 characters, a limit of four digits); its answer is the record, the 13
digits before it, and the protocol's frame.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from servers import redis_records as records
from servers.options import Option
from servers.redis_connection import Server
from servers.session_store import Session, SessionExistsError, StoreFacts

# of the topology alone: whether the server has its state again when it starts again
PERSISTENCE = Option(
    "persistence", "", "off", "whether a redis writes its changes to disk, synced every second or at each one",
    ("off", "aof", "aof-always"),
)  # fmt: skip
FACTS = StoreFacts(name="redis", url_scheme="redis", shared=True, needs="valkey", rank=50, options=(PERSISTENCE,))

# A session is the user's own if the user's index has it.
_DELETE = """
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
return redis.call('DEL', KEYS[1])
"""


def open_store(url: str, timeout_ms: int) -> RedisStore:
    """A store on the server at `url` (redis://host:port/db)."""
    address = urlsplit(url)
    db = int(address.path.strip("/") or 0)
    return RedisStore(Server(address.hostname, address.port, timeout_ms, db=db, password=address.password))


class RedisStore:
    """Everything at one server; see `servers.session_store.Store`."""

    def __init__(self, server: Server) -> None:
        self._ask_all = server.ask_all

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        # the index in the same step: a session that is not in it could not be ended by its user
        *_, results = self._ask_all(
            ("MULTI",), *records.add_to_index(session), records.keep_new(session, idle_s), ("EXEC",)
        )
        if results[-1] is None:
            raise SessionExistsError(session.id)

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        if idle_s is None:
            (value,) = self._ask_all(("GET", records.key(id_)))
            return None if value is None else records.decoded(id_, value)
        (value,) = self._ask_all(("GETEX", records.key(id_), "EX", idle_s))
        # built once, with the time of this access: a copy with another time costs as much again
        return None if value is None else records.decoded(id_, value, time.time())

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        (touched,) = self._ask_all(records.touch(id_, idle_s))
        return bool(touched)

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        (written,) = self._ask_all(records.update(old, new, idle_s))
        return bool(written)

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        (deleted,) = self._ask_all(("EVAL", _DELETE, 2, records.key(id_), records.index(user), id_))
        return bool(deleted)

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """See `Store`."""
        ids = self._ids_of(user)
        found = records.seen(ids, self._ask_all(*records.look_at(ids)), idle_s) if ids else []
        return sorted(found, key=lambda each: each.created)

    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        ids = self._ids_of(user)
        if not ids:
            return 0
        *_, (deleted, _) = self._ask_all(
            ("MULTI",),
            ("DEL", *(records.key(id_) for id_ in ids)),
            ("ZREM", records.index(user), *ids),
            ("EXEC",),
        )
        return int(deleted)

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        self._ask_all(("SET", records.mark(key), value, "EX", ttl_s))

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        value: bytes | None
        (value,) = self._ask_all(("GET", records.mark(key)))
        return value

    def _ids_of(self, user: str) -> list[str]:
        (ids,) = self._ask_all(("ZRANGE", records.index(user), 0, -1))
        return [id_.decode() for id_ in ids]
