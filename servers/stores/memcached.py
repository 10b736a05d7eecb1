"""Sessions in memcached: GAT reads a session and slides its expiry; a second read tells whether it was ended with all.

memcached cannot ask for all keys of a user, and may push out any of them for lack of memory. So each user has an
epoch, a random value that every session carries: a session of another epoch, or of a user without one, has ended.
Ending all sessions of a user takes the epoch away, whether or not the index knows of them all. Every loss of memory
fails safe: without its epoch a session has ended; without the index it lives on unlisted, and ends with the others.

Keys: `session:<id>` holds the time of the last touch in 13 digits (ms), the epoch in 16, and the record;
`epoch:<user>` does not expire; `sessions-of:<user>` has the user's ids, as JSON, and the time each ends at the
latest; `mark:<key>` is a mark. Names other than plain ones stand there as their SHA-256.

| operation | commands |
|---|---|
| load, sliding | gat, get |
| load | get, get |
| touch | get, get, cas |
| create | get of two keys (epoch, index), add of an epoch where there is none, add, cas or add of the index |
| update | get of two keys, cas |
| delete | get of two keys, delete, then get and cas of the index |
| list_by_user | get of two keys, get of all sessions, and an mg (counted as get) for the expiry time of each |
| delete_by_user | get of two keys, get of all sessions, delete of the epoch, a delete for each, cas of the index |
| put_mark, get_mark | set, get |

Each line's commands are a round trip each; a `get` of several keys is one, and counts once for each. Only where two
sign-ins of one user write the index at once one of them does so again, up to 16 times; then it is refused.

The server's clock ticks once a second and an item ends with the tick: every limit is given a second more, so that it
is never short, and the last access of a listed session is right to a second.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
import weakref
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from servers.session_store import Session, SessionExistsError, StoreFacts, StoreUnavailableError

FACTS = StoreFacts(name="memcached", url_scheme="memcached", shared=True, needs="memcached", rank=70)

_TIME_DIGITS = 13
_EPOCH_DIGITS = 16
_HEAD = _TIME_DIGITS + _EPOCH_DIGITS
_MONTH_S = 30 * 24 * 3600  # a longer limit is taken for a time since 1970
_INDEX_TRIES = 16
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def open_store(url: str, timeout_ms: int) -> MemcachedStore:
    """A store on the server at `url` (memcached://host:port)."""
    return MemcachedStore(url, timeout_ms)


class MemcachedStore:
    """Speaks over one connection per thread; see `servers.session_store.Store`.

    When one connection fails all are dropped, and the next requests open new ones; nothing is asked twice.
    """

    def __init__(self, url: str, timeout_ms: int) -> None:
        import pymemcache  # type: ignore[import-untyped] # noqa: PLC0415 - see servers.registry on start-up

        self._client_type: Any = pymemcache.Client
        self._failed = (pymemcache.MemcacheError, OSError)
        address = urlsplit(url)
        self._server = (address.hostname or "127.0.0.1", address.port or 11211)
        self._options = {
            "connect_timeout": timeout_ms / 1000,
            "timeout": timeout_ms / 1000,
            "no_delay": True,
            "default_noreply": False,
        }
        self._threads = threading.local()
        self._failures = 0

    def create(self, session: Session, idle_s: int) -> None:
        """See `Store`."""
        epoch_key, index_key = _key("epoch", session.user), _key("sessions-of", session.user)
        found = self._ask(lambda client: client.gets_many([epoch_key, index_key]))
        epoch = found[epoch_key][0] if epoch_key in found else self._new_epoch(epoch_key)
        value = _stamp(session.last_accessed) + epoch + session.encode()
        if not self._ask(lambda client: client.add(_key("session", session.id), value, _limit(idle_s))):
            raise SessionExistsError(session.id)
        if not self._enter_index(session, *found.get(index_key, (None, None))):
            self._delete(session.id)  # nobody has heard of it yet; it could not have been listed
            raise StoreUnavailableError("the store refused: too many sign-ins of one user at once")

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """See `Store`."""
        key = _key("session", id_)
        command = b"get" if idle_s is None else b"gat %d" % _limit(idle_s)
        # pymemcache has no public gat
        value = self._ask(lambda client: client._fetch_cmd(command, [key], expect_cas=False)).get(key)  # noqa: SLF001
        if value is None:
            return None
        session = _session(id_, value)
        # after the session: an end of them all that was done before this read is seen
        if self._epoch(session.user) != _epoch_in(value):
            return None
        return session if idle_s is None else session.accessed(time.time())

    def touch(self, id_: str, idle_s: int) -> bool:
        """See `Store`."""
        key = _key("session", id_)
        value, version = self._ask(lambda client: client.gets(key))
        if value is None or self._epoch(_session(id_, value).user) != _epoch_in(value):
            return False
        touched = _stamp(time.time()) + value[_TIME_DIGITS:]
        # False is somebody else's write in between, which set time and limit, too; None is that it has gone
        return self._ask(lambda client: client.cas(key, touched, version, _limit(idle_s))) is not None

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """See `Store`."""
        key, epoch_key = _key("session", old.id), _key("epoch", old.user)
        found = self._ask(lambda client: client.gets_many([key, epoch_key]))
        if len(found) < 2:  # noqa: PLR2004 - both keys
            return False
        (value, version), (epoch, _) = found[key], found[epoch_key]
        if value[_TIME_DIGITS:] != epoch + old.encode():
            return False
        written = _stamp(new.last_accessed) + epoch + new.encode()
        return bool(self._ask(lambda client: client.cas(key, written, version, _limit(idle_s))))

    def delete(self, id_: str, user: str) -> bool:
        """See `Store`."""
        key, epoch_key = _key("session", id_), _key("epoch", user)
        found = self._ask(lambda client: client.get_many([key, epoch_key]))
        value = found.get(key)
        if value is None or _epoch_in(value) != found.get(epoch_key) or _session(id_, value).user != user:
            return False
        deleted = self._delete(id_)
        self._leave_index(user, {id_})
        return deleted

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """See `Store`."""
        found = []
        for session in self._of(user):
            # as in `Store`: its time to live was the idle limit when it was last accessed
            left_s = self._left_s(session.id)
            if left_s is not None:
                accessed = time.time() + left_s - idle_s - 1
                found.append(session.accessed(max(session.last_accessed, accessed)))
        return sorted(found, key=lambda each: each.created)

    def delete_by_user(self, user: str) -> int:
        """See `Store`."""
        own = self._of(user)
        self._ask(lambda client: client.delete(_key("epoch", user)))  # from here on all have ended
        deleted = [self._delete(each.id) for each in own]
        if own:
            self._leave_index(user, {each.id for each in own})
        return sum(deleted)

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """See `Store`."""
        self._ask(lambda client: client.set(_key("mark", key), value, _limit(ttl_s)))

    def get_mark(self, key: str) -> bytes | None:
        """See `Store`."""
        value: bytes | None = self._ask(lambda client: client.get(_key("mark", key)))
        return value

    def _delete(self, id_: str) -> bool:
        return bool(self._ask(lambda client: client.delete(_key("session", id_))))

    def _left_s(self, id_: str) -> int | None:
        """How long a session has to live, if it is there; only memcached's meta commands tell."""
        question = b"mg %s t" % _key("session", id_).encode()
        left = re.fullmatch(rb"HD t(\d+)", self._ask(lambda client: client.raw_command(question, b"\r\n")))
        return int(left[1]) if left else None

    def _epoch(self, user: str) -> bytes | None:
        epoch: bytes | None = self._ask(lambda client: client.get(_key("epoch", user)))
        return epoch

    def _of(self, user: str) -> list[Session]:
        epoch_key, index_key = _key("epoch", user), _key("sessions-of", user)
        found = self._ask(lambda client: client.get_many([epoch_key, index_key]))
        keys = {_key("session", id_): id_ for id_ in _entries(found.get(index_key))}
        if epoch_key not in found or not keys:
            return []
        values = self._ask(lambda client: client.get_many(list(keys)))
        live = [(keys[key], value) for key, value in values.items() if _epoch_in(value) == found[epoch_key]]
        return [session for session in (_session(id_, value) for id_, value in live) if session.user == user]

    def _enter_index(self, session: Session, index: bytes | None, version: bytes | None) -> bool:
        """Add it to its user's index, as it was read; False when others were always faster."""
        key = _key("sessions-of", session.user)
        for _ in range(_INDEX_TRIES):
            entries = {id_: ends for id_, ends in _entries(index).items() if ends >= session.created}
            if self._write_index(key, entries | {session.id: int(session.expires) + 1}, version):
                return True
            index, version = self._ask(lambda client: client.gets(key))
        return False

    def _leave_index(self, user: str, ids: Iterable[str]) -> None:
        index_key = _key("sessions-of", user)
        for _ in range(_INDEX_TRIES):
            index, version = self._ask(lambda client: client.gets(index_key))
            entries = {id_: ends for id_, ends in _entries(index).items() if id_ not in ids}
            # an entry that stays is of no session any more, and goes when its time is over
            if index is None or self._write_index(index_key, entries, version):
                return

    def _write_index(self, key: str, entries: dict[str, int], version: bytes | None) -> bool:
        value = json.dumps(entries, separators=(",", ":")).encode()
        ends = max(entries.values(), default=int(time.time()) + 1)
        if version is None:
            return bool(self._ask(lambda client: client.add(key, value, ends)))
        return bool(self._ask(lambda client: client.cas(key, value, version, ends)))

    def _new_epoch(self, key: str) -> bytes:
        epoch = secrets.token_hex(_EPOCH_DIGITS // 2).encode()
        if self._ask(lambda client: client.add(key, epoch)):
            return epoch
        # another sign-in of the user was first; and if that epoch has gone again this sign-in has ended, too
        return self._ask(lambda client: client.get(key)) or epoch

    def _ask(self, work: Callable[[Any], Any]) -> Any:
        try:
            return work(self._client())
        except self._failed as error:
            self._failures += 1
            raise StoreUnavailableError(f"the store did not answer: {error}") from error

    def _client(self) -> Any:
        own: _Own | None = getattr(self._threads, "own", None)
        if own is None or own.opened_at != self._failures:
            # a store that failed one thread has closed on the others, too: what is dropped here is closed
            own = self._threads.own = _Own(self._client_type(self._server, **self._options), self._failures)
            weakref.finalize(own, own.client.close)
        return own.client


@dataclass(eq=False)
class _Own:
    """A thread's client, which goes with the thread: pymemcache's own leaves its socket open."""

    client: Any
    opened_at: int


def _key(kind: str, name: str) -> str:
    """At most 64 octets of the name, no blanks: what memcached takes for a key."""
    if _PLAIN.fullmatch(name):
        return f"{kind}:{name}"
    # a plain name has no such sign, and so never the key of another
    return f"{kind}:={urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()}"


def _limit(seconds: int) -> int:
    return seconds + 1 if seconds < _MONTH_S else int(time.time()) + seconds + 1


def _stamp(seconds: float) -> bytes:
    return b"%013d" % (seconds * 1000)


def _epoch_in(value: bytes) -> bytes:
    return value[_TIME_DIGITS:_HEAD]


def _session(id_: str, value: bytes) -> Session:
    return Session.decode(id_, int(value[:_TIME_DIGITS]) / 1000, value[_HEAD:])


def _entries(index: bytes | None) -> dict[str, int]:
    """Ids, and when each ends at the latest."""
    return dict(json.loads(index)) if index else {}
