"""Server-side sessions: a random id in a cookie, the record in a store.

Follows OWASP's Session Management Cheat Sheet and ASVS 5.0, chapters 3 and 7.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from servers import csrf
from servers.cookies import cookie_value, set_cookie
from servers.keys import base64url
from servers.options import Option
from servers.scheme import (
    ConflictError,
    Environ,
    Identity,
    Issued,
    NotAuthenticatedError,
    SchemeFacts,
    WithoutSessions,
    end_live_session,
    live_sessions,
    new_session,
)
from servers.session_store import Session, Store
from servers.users import Account

if TYPE_CHECKING:
    from servers.settings import Settings

TOUCH = Option(
    "touch",
    "SESSION_TOUCH",
    "always",
    "when a request moves the session's idle limit on",
    ("always", "interval", "never"),
)
FACTS = SchemeFacts(
    name="session", uses_store=True, authenticates=True, rank=10, recognises_by_store=True, options=(TOUCH,)
)

COOKIE = "__Host-session"
_ID_BYTES = 16  # 128 bits from the system's generator
_ID_LENGTH = 22  # of their base64url
_CHALLENGE = 'Session realm="authscale"'


def open_scheme(settings: Settings, store: Store | None) -> SessionScheme:
    """Sessions in `store`."""
    if store is None:
        raise ValueError("the session scheme needs a store")
    return SessionScheme(settings, store)


class SessionScheme(WithoutSessions):
    """One store operation recognises a user; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings, store: Store) -> None:
        super().__init__()
        self._store = store
        self._touch = settings.options[TOUCH.name]
        self._touch_interval_s = settings.session_touch_interval_s
        self._absolute_s = settings.session_absolute_s
        # a limit that nothing moves on would sign out who is active
        self._idle_s = self._absolute_s if self._touch == "never" else settings.session_idle_s
        self._csrf_key = settings.keys.csrf

    def authenticate(self, environ: Environ) -> Identity:
        """See `Scheme`."""
        secret = _secret(environ)
        if secret is None:
            raise NotAuthenticatedError("no session cookie", _CHALLENGE)
        session = self._store.load(_stored_id(secret), self._idle_s if self._touch == "always" else None)
        if session is None:
            raise NotAuthenticatedError("no such session, or it has ended", _CHALLENGE)
        now = time.time()
        if now >= session.expires:
            self._store.delete(session.id, session.user)
            raise NotAuthenticatedError("the session has expired", _CHALLENGE)
        if self._touch == "interval" and now - session.last_accessed >= self._touch_interval_s:
            self._store.touch(session.id, self._idle_s)
        return _identity(session)

    def guard_change(self, environ: Environ, identity: Identity) -> None:
        """See `Scheme`."""
        csrf.guard(self._csrf_key, _session(identity).id, environ)

    def log_in(self, account: Account, environ: Environ) -> Issued:
        """See `Scheme`."""
        self._end_earlier(environ)
        secret = secrets.token_urlsafe(_ID_BYTES)
        session = new_session(_stored_id(secret), account, environ, self._absolute_s)
        self._store.create(session, self._idle_s)
        credential = csrf.cookie_credential(COOKIE, self._csrf_key, session.id)
        return Issued(credential, (set_cookie(COOKIE, secret, self._absolute_s),))

    def _end_earlier(self, environ: Environ) -> None:
        secret = _secret(environ)
        earlier = None if secret is None else self._store.load(_stored_id(secret), None)
        if earlier is not None:  # whoever it belonged to: the browser now belongs to somebody else
            self._store.delete(earlier.id, earlier.user)

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`."""
        old = _session(identity)
        state = {"display_name": display_name, "serial": old.state["serial"] + 1}
        new = replace(old, last_accessed=time.time(), state=state)
        if not self._store.update(old, new, self._idle_s):
            raise ConflictError("the session changed or ended meanwhile; nothing was written")
        return _identity(new), None

    def log_out(self, identity: Identity) -> tuple[tuple[str, str], ...]:
        """See `Scheme`."""
        self._store.delete(_session(identity).id, identity.user)
        return (set_cookie(COOKIE, "", 0),)

    def log_out_everywhere(self, user: str) -> int:
        """See `Scheme`."""
        return self._store.delete_by_user(user)

    def sessions(self, identity: Identity) -> list[Session]:
        """See `Scheme`."""
        return live_sessions(self._store, identity.user, self._idle_s)

    def end_session(self, identity: Identity, id_: str) -> bool:
        """See `Scheme`."""
        return end_live_session(self._store, identity.user, id_, self._idle_s)


def _session(identity: Identity) -> Session:
    if identity.session is None:
        raise TypeError("an identity of another scheme")
    return identity.session


def _identity(session: Session) -> Identity:
    state = session.state
    return Identity(session.user, session.role, state["display_name"], state["serial"], session)


def _stored_id(secret: str) -> str:
    return base64url(hashlib.sha256(secret.encode("latin-1", "replace")).digest())


def _secret(environ: Environ) -> str | None:
    value = cookie_value(environ, COOKIE)
    return value if value is not None and len(value) == _ID_LENGTH else None
