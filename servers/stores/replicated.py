"""Sessions in a replicated Valkey: each replica of the application reads from a copy of its own, writes at the primary.

Reads scale with the replicas of the application, writes do not: each is made at the primary, and once more by every
copy. Sliding the idle limit is a write. Keys and values as `servers.redis_records` has them; what the primary does is
what `servers.stores.redis` does, but for `load`.

| operation | at the own copy | at the primary | at every copy, by replication |
|---|---|---|---|
| load, sliding | GET | EXPIRE, if the copy has the session | PEXPIREAT, if the primary has it, too |
| load | GET | | |
| touch | | EVAL EXISTS SETRANGE EXPIRE | MULTI SETRANGE PEXPIREAT EXEC |
| create | | MULTI ZADD ZREMRANGEBYSCORE EXPIREAT EXPIREAT SET EXEC | MULTI ZADD PEXPIREAT SET EXEC |
| update | | EVAL GET SET | SET |
| delete | | EVAL ZREM DEL | MULTI ZREM DEL EXEC |
| list_by_user | | ZRANGE, then GET and PTTL per session | |
| delete_by_user | | ZRANGE, then MULTI DEL ZREM EXEC | MULTI DEL ZREM EXEC |
| put_mark | | SET | SET |
| get_mark | GET | | |

What changes nothing is not replicated: of `create`, the PEXPIREAT where the index lives long enough; of `delete`,
`update` and `touch` everything when there was nothing. A transaction of one write alone goes without MULTI and EXEC.

The copies lag. Until a write has arrived there, another replica of the application does not know a new session, still
has the old state of one, and, if it loads without sliding, accepts one that has ended; so does a mark. A sliding load
asks the primary, which knows that a session has ended, and refuses at once. Changes are made at the primary against
what is there: an update of a state that is no longer the latest is refused, and an ended session does not come back.
While the primary is down, loads without sliding and marks are answered; while a copy is down, its own replica of the
application alone is.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

from servers import redis_records as records
from servers.redis_connection import Server
from servers.session_store import Session, StoreFacts
from servers.stores.redis import RedisStore

FACTS = StoreFacts(name="replicated", url_scheme="replicated", shared=True, needs="valkey-replicas", rank=80, lags=True)


def open_store(url: str, timeout_ms: int) -> ReplicatedStore:
    """A store on the primary and the copy that `url` names (replicated://host:port?replica=host:port)."""
    address = urlsplit(url)
    copies = parse_qs(address.query).get("replica", [])
    if address.hostname is None or len(copies) != 1:
        raise ValueError("it takes a primary and one replica: replicated://host:port?replica=host:port")
    copy = urlsplit(f"//{copies[0]}")
    return ReplicatedStore(
        Server(address.hostname, address.port, timeout_ms, password=address.password),
        Server(copy.hostname, copy.port, timeout_ms, password=address.password),
    )


class ReplicatedStore(RedisStore):
    """The Redis store at the primary, but for two reads at the copy; see `servers.session_store.Store`."""

    def __init__(self, primary: Server, copy: Server) -> None:
        super().__init__(primary)
        self._ask_copy = copy.ask_all

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        key = records.key(id_)
        (value,) = self._ask_copy(("GET", key))
        if value is None:
            return None
        session = records.decoded(id_, value)
        if idle_s is None:
            return session
        (slid,) = self._ask_all(("EXPIRE", key, idle_s))
        return session.accessed(time.time()) if slid else None

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        value: bytes | None
        (value,) = self._ask_copy(("GET", records.mark(key)))
        return value
