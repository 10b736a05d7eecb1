"""Sessions in a Valkey or Redis cluster: each key lives on the one node that its slot belongs to.

Keys and values as `servers.redis_records` has them. A user's index and sessions are keys of different slots, as the
index under a user and the session under an id must each be found without knowing the other; so an operation on both is
two steps, and not one as on a single server.

| operation | at the session's node | at the index's node |
|---|---|---|
| load, sliding | GETEX | |
| load | GET | |
| touch | EVAL EXISTS SETRANGE EXPIRE | |
| create | then SET | first MULTI ZADD ZREMRANGEBYSCORE EXPIREAT EXPIREAT EXEC |
| update | EVAL GET SET | |
| delete | first EVAL GET DEL | then ZREM, if there was one |
| list_by_user | then GET and PTTL per session | first ZRANGE |
| delete_by_user | then EVAL GET DEL per session | first ZRANGE, at last ZREM, if there were any |
| put_mark, get_mark | SET, GET (at the mark's node) | |

The index is written first when a session is made and last when one is ended, and only what was ended is taken out of
it: no session ever lives that its user cannot list and end, wherever a request was cut off. What is left of races:

- The index may name a session that is not there (a creation or a deletion cut off between its steps, one that was idle
  too long). Readers pass over it; it goes when its time is over.
- `delete_by_user` and `list_by_user` do not see a session whose creation is between its steps. It is in the index for
  the next time: a sign-in at the same moment counts as later.
- `delete_by_user` that meets a node that is down has ended the sessions it reached, raises, and can be asked again.
- An id that is in use with another user is left in this user's index; a record says itself whose it is, and what is
  another user's is neither listed nor ended.

The slot map is read (CLUSTER SLOTS) at the first request, and at the next one after a node failed, refused or said that
a slot has moved. The request that met it fails: nothing is asked twice. A slot that is being moved (ASK) fails, too.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from servers import redis_records as records
from servers.options import Option
from servers.redis_connection import Server
from servers.session_store import Session, SessionExistsError, StoreFacts, StoreUnavailableError

# of the topology alone: a replica learns the nodes from the cluster
SHARDS = Option("shards", "", "3", "how many nodes share the keys of a redis-cluster", low=1, high=6)
COPIES = Option(
    "cluster_copies", "", "0", "copies of each node of a redis-cluster; one takes over when the node dies",
    low=0, high=1,
)  # fmt: skip
FACTS = StoreFacts(
    name="redis-cluster", url_scheme="redis+cluster", shared=True, needs="valkey-cluster", rank=60,
    options=(SHARDS, COPIES),
)  # fmt: skip

_SLOTS = 16384
# A record begins with whose it is. 14: after the time of the last touch.
_DELETE_OWN = """
local found = redis.call('GET', KEYS[1])
if not found or string.sub(found, 14, 13 + #ARGV[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


def open_store(url: str, timeout_ms: int) -> RedisClusterStore:
    """A store on the cluster of which `url` names some nodes (redis+cluster://host:port,host:port,...).

    Where the ports that nodes announce cannot be reached, as through a tunnel, `?via=announced-reached,...` has those
    that can.
    """
    address = urlsplit(url)
    named = [urlsplit(f"//{each}") for each in address.netloc.split(",")]
    if not all(each.hostname for each in named):
        raise ValueError("it takes the addresses of nodes: redis+cluster://host:port,host:port")
    pairs = (each.partition("-") for value in parse_qs(address.query).get("via", []) for each in value.split(","))
    via = {int(announced): int(reached) for announced, _, reached in pairs}
    return RedisClusterStore([(each.hostname or "", each.port or 6379) for each in named], timeout_ms, via)


class RedisClusterStore:
    """Each key at its node; see `servers.session_store.Store`."""

    def __init__(self, named: Sequence[tuple[str, int]], timeout_ms: int, via: Mapping[int, int] | None = None) -> None:
        self._nodes = _Nodes(named, timeout_ms, via or {})

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        self._nodes.ask(records.index(session.user), ("MULTI",), *records.add_to_index(session), ("EXEC",))
        (kept,) = self._nodes.ask(records.key(session.id), records.keep_new(session, idle_s))
        if kept is None:
            raise SessionExistsError(session.id)

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        key = records.key(id_)
        if idle_s is None:
            (value,) = self._nodes.ask(key, ("GET", key))
            return None if value is None else records.decoded(id_, value)
        (value,) = self._nodes.ask(key, ("GETEX", key, "EX", idle_s))
        return None if value is None else records.decoded(id_, value).accessed(time.time())

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        (touched,) = self._nodes.ask(records.key(id_), records.touch(id_, idle_s))
        return bool(touched)

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        (written,) = self._nodes.ask(records.key(old.id), records.update(old, new, idle_s))
        return bool(written)

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        key = records.key(id_)
        (deleted,) = self._nodes.ask(key, _delete_own(key, user))
        if deleted:
            self._nodes.ask(records.index(user), ("ZREM", records.index(user), id_))
        return bool(deleted)

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """See `Store`. One round trip to the index, and one to each node that has sessions of the user."""
        found: list[Session] = []
        for node, ids in self._by_node(self._ids_of(user)):
            found += records.seen(ids, self._nodes.ask_node(node, *records.look_at(ids)), idle_s)
        return sorted((each for each in found if each.user == user), key=lambda each: each.created)

    def delete_by_user(self, user: str) -> int:
        """See `Store`. Round trips as in `list_by_user`, and one to the index."""
        ended: list[str] = []
        for node, ids in self._by_node(self._ids_of(user)):
            answers = self._nodes.ask_node(node, *(_delete_own(records.key(id_), user) for id_ in ids))
            ended += [id_ for id_, deleted in zip(ids, answers, strict=True) if deleted]
        if ended:
            self._nodes.ask(records.index(user), ("ZREM", records.index(user), *ended))
        return len(ended)

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        self._nodes.ask(records.mark(key), ("SET", records.mark(key), value, "EX", ttl_s))

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        value: bytes | None
        (value,) = self._nodes.ask(records.mark(key), ("GET", records.mark(key)))
        return value

    def _ids_of(self, user: str) -> list[str]:
        (ids,) = self._nodes.ask(records.index(user), ("ZRANGE", records.index(user), 0, -1))
        return [id_.decode() for id_ in ids]

    def _by_node(self, ids: Sequence[str]) -> list[tuple[Server, list[str]]]:
        at: dict[Server, list[str]] = defaultdict(list)
        for id_ in ids:
            at[self._nodes.of(records.key(id_))].append(id_)
        return list(at.items())


class _Nodes:
    """The nodes of the cluster, and which has which slot."""

    def __init__(self, named: Sequence[tuple[str, int]], timeout_ms: int, via: Mapping[int, int]) -> None:
        from redis.crc import key_slot  # noqa: PLC0415 - see servers.registry on start-up
        from redis.exceptions import MovedError  # noqa: PLC0415

        self._key_slot, self._moved = key_slot, MovedError
        self._timeout_ms, self._via = timeout_ms, via
        self._known = {address: Server(*address, timeout_ms) for address in named}
        self._by_slot: list[Server | None] | None = None
        self._informed: Server | None = None  # who said last that a slot has moved: it knows where to
        self._turns = itertools.count()

    def of(self, key: str) -> Server:
        """The node that has the key. Raises StoreUnavailableError when there is none, or nobody tells."""
        by_slot = self._by_slot or self._read_map()
        node = by_slot[self._key_slot(key.encode())]
        if node is None:
            self._by_slot = None
            raise StoreUnavailableError(f"no node of the cluster has the slot of {key.partition(':')[0]}")
        return node

    def ask(self, key: str, *commands: records.Command) -> list[Any]:
        """Ask the node that has `key`: one round trip."""
        return self.ask_node(self.of(key), *commands)

    def ask_node(self, node: Server, *commands: records.Command) -> list[Any]:
        """Ask `node`: one round trip."""
        try:
            return node.ask_all(*commands)
        except StoreUnavailableError as error:
            self._by_slot = None
            if not isinstance(error.__cause__, self._moved):
                raise
            self._informed = node
            raise StoreUnavailableError(f"a slot has moved to another node: {error.__cause__}") from error

    def _read_map(self) -> list[Server | None]:
        """Ask one node. Who did not answer last time is asked when there is nobody else: its own keys fail alone."""
        answering = [node for node in self._known.values() if node.answers] or list(self._known.values())
        node = self._informed or answering[next(self._turns) % len(answering)]
        self._informed = None
        (ranges,) = node.ask_all(("CLUSTER", "SLOTS"))
        by_slot: list[Server | None] = [None] * _SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            by_slot[first : last + 1] = [self._at(host.decode() or node.address[0], port)] * (last + 1 - first)
        self._by_slot = by_slot
        return by_slot

    def _at(self, host: str, port: int) -> Server:
        port = self._via.get(port, port)
        # of two threads that meet a new node at once, both must go on with the same one
        return self._known.setdefault((host, port), Server(host, port, self._timeout_ms))


def _delete_own(key: str, user: str) -> records.Command:
    return "EVAL", _DELETE_OWN, 1, key, f"[{json.dumps(user)},"
