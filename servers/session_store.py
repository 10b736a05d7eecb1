"""What a session store is: the record it keeps, the operations it offers, and how it fails.

Nothing here knows HTTP. Each store is one file in `servers/stores/`, with its `FACTS` and an
`open_store(url, timeout_ms)`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from servers.options import Option


@dataclass(frozen=True)
class StoreFacts:
    """What the harness may know of a store without opening it.

    Attributes:
        name: as on the axis.
        url_scheme: of STORE_URL.
        shared: every replica sees what another wrote.
        needs: what must be there for it, a file of `topology/components/`, or None.
        rank: the place in lists and charts.
        lags: what one replica wrote another may read a moment later only.
        options: axes that belong to this store alone.

    """

    name: str
    url_scheme: str
    shared: bool
    needs: str | None
    rank: int
    lags: bool = False
    options: tuple[Option, ...] = ()


class StoreUnavailableError(Exception):
    """The store did not answer in time. Nothing was tried again: what follows is the caller's to decide."""


class SessionExistsError(Exception):
    """A record under that id is there already."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session record. Times in seconds since the epoch, kept to the millisecond.

    `id` is the SHA-256 of what the cookie holds, base64url: who reads the store, a log or a listing cannot sign in with
    it. `expires` ends the session whatever happens; the idle limit slides from `last_accessed`.
    """

    id: str
    user: str
    role: str
    created: float
    last_accessed: float
    expires: float
    address: str
    user_agent: str
    state: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As stored. Without the id, which is the key, and the last access, which each store keeps apart.

        Times in whole milliseconds, so that records of the same text are as long as each other.
        """
        created_ms, expires_ms = round(self.created * 1000), round(self.expires * 1000)
        record = [self.user, self.role, created_ms, expires_ms, self.address, self.user_agent, self.state]
        return json.dumps(record, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, id_: str, last_accessed: float, value: bytes) -> Session:
        """The reverse of `encode`."""
        # as text: of bytes, json would first guess the encoding
        user, role, created_ms, expires_ms, address, user_agent, state = json.loads(value.decode())
        created, expires = created_ms / 1000, expires_ms / 1000
        # a store that tells times in milliseconds may tell one before the creation
        return cls(id_, user, role, created, max(last_accessed, created), expires, address, user_agent, state)

    def accessed(self, now: float) -> Session:
        """The same, accessed at `now`."""
        # once in every request: `dataclasses.replace` takes twice as long, to find out what the fields are
        return Session(
            self.id,
            self.user,
            self.role,
            self.created,
            now,
            self.expires,
            self.address,
            self.user_agent,
            self.state,
        )


class Store(Protocol):
    """Where sessions live. Every operation may raise StoreUnavailableError; none retries.

    `idle_s` is how long a session stays without being touched. An operation by user sees every session of that user.
    A mark is a value under a key of its own that expires: what a denylist or a per-user epoch is made of.
    """

    def create(self, session: Session, idle_s: int) -> None:
        """Keep a new session. Raises SessionExistsError rather than overwrite one."""

    def load(self, id_: str, idle_s: int | None) -> Session | None:
        """The session; None when there is none. Never creates one.

        With `idle_s` its idle limit moves on in the same step, and the record itself stays as it is: `last_accessed` is
        now. Without, nothing is written, and `last_accessed` is when it was created, updated or touched last.
        """

    def touch(self, id_: str, idle_s: int) -> bool:
        """Move the idle limit on and keep the time, for a later `load` without; False when there is no session."""

    def update(self, old: Session, new: Session, idle_s: int) -> bool:
        """Replace `old`, as it was loaded, by `new`; False when it has changed or gone since."""

    def delete(self, id_: str, user: str) -> bool:
        """End one session of `user`; False when there was none."""

    def list_by_user(self, user: str, idle_s: int) -> list[Session]:
        """All live sessions of `user`, oldest first."""

    def delete_by_user(self, user: str) -> int:
        """End all sessions of `user`; returns how many there were."""

    def put_mark(self, key: str, value: bytes, ttl_s: int) -> None:
        """Keep `value` under `key` for `ttl_s`, in place of an earlier one."""

    def get_mark(self, key: str) -> bytes | None:
        """The value under `key`; None when there is none, or it has expired."""
