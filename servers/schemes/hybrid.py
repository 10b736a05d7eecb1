"""A short access token that no store is asked about, and a refresh token that works once and can be ended.

Each sign-in is a family of refresh tokens and one record in the store, so that listing and ending sign-ins are the
store's own operations. The record holds hashes: of the family's id as its key, of the present refresh token, and of the
one before it. Rotation replaces the record as it was loaded, so of any number of refreshes at once one wins.

A refresh token that was used before ends the family (RFC 9700, 4.14.2; OWASP ASVS 5.0, 10.4): either the client or a
thief has an old one, and the server cannot tell which. Within `grace_s` of the rotation the one before the present is
answered by an access token alone, for clients that ask from several places at once or lost an answer.

What has ended at the store stays good as an access token until that expires, `access_ttl_s` at most.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
from servers.schemes.token import ALGORITHM, CLAIMS_BYTES, VERIFY_CACHE
from servers.session_store import Session, Store
from servers.signing_keys import check_settings, open_keys
from servers.tokens import InvalidTokenError, TokenIssuer, TokenVerifier
from servers.users import Account
from servers.verify_cache import VerifyCache

if TYPE_CHECKING:
    from servers.settings import Settings

__all__ = ["FACTS", "check_settings", "open_scheme"]  # check_settings: see `servers.schemes.check`

ACCESS_TTL = Option(
    "access_ttl_s", "ACCESS_TTL_SECONDS", "300", "how long an access token lives, in seconds", low=1, high=3600
)
GRACE = Option(
    "grace_s",
    "REFRESH_GRACE_SECONDS",
    "0",
    "how long the refresh token before the present one still gives an access token, in seconds",
    low=0,
    high=60,
)
FACTS = SchemeFacts(
    name="hybrid",
    uses_store=True,
    authenticates=True,
    rank=30,
    options=(ALGORITHM, CLAIMS_BYTES, VERIFY_CACHE, ACCESS_TTL, GRACE),
)

_PART_BYTES = 16  # 128 bits from the system's generator
_REFRESH_TOKEN = re.compile(r"([A-Za-z0-9_-]{22})\.[A-Za-z0-9_-]{22}")
_REALM = 'Bearer realm="authscale"'
# a change of the profile at the same time is no use of the refresh token: the rotation starts again from what it wrote
_TRIES = 5


def open_scheme(settings: Settings, store: Store | None) -> HybridScheme:
    """Families in `store`, access tokens under the topology's keys."""
    if store is None:
        raise ValueError("the hybrid scheme needs a store")
    return HybridScheme(settings, store)


class HybridScheme(WithoutSessions):
    """One signature check recognises a user, the store renews; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings, store: Store) -> None:
        super().__init__()
        self._store = store
        self._keys = open_keys(settings)
        names = {"issuer": settings.token_issuer, "audience": settings.token_audience}
        cache = VerifyCache() if settings.options[VERIFY_CACHE.name] == "on" else None
        self._issuer = TokenIssuer(self._keys, **names, claims_bytes=int(settings.options[CLAIMS_BYTES.name]))
        self._verifier = TokenVerifier(self._keys, **names, cache=cache)
        # no access token outlives the idle limit of its family
        self._access_ttl_s = min(int(settings.options[ACCESS_TTL.name]), settings.session_idle_s)
        self._grace_s = int(settings.options[GRACE.name])
        self._idle_s, self._absolute_s = settings.session_idle_s, settings.session_absolute_s

    def authenticate(self, environ: Environ) -> Identity:
        """See `Scheme`. No store is asked."""
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            raise NotAuthenticatedError("no bearer token", _REALM)
        try:
            return _identity(self._verifier.verify(token))
        except InvalidTokenError as error:
            raise _refused(f"the token is not valid: {error}") from None

    def log_in(self, account: Account, environ: Environ) -> Issued:
        """See `Scheme`."""
        with suppress(NotAuthenticatedError):
            self.log_out(self.authenticate(environ))
        family = secrets.token_urlsafe(_PART_BYTES)
        token = _refresh_token(family)
        state = {"present": _hash(token), "previous": "", "rotated": time.time()}
        session = new_session(_hash(family), account, environ, self._absolute_s, state)
        self._store.create(session, self._idle_s)
        return self._issued(session, token)

    def refresh(self, refresh_token: str | None, environ: Environ) -> Issued:  # noqa: ARG002
        """See `Scheme`."""
        form = _REFRESH_TOKEN.fullmatch(refresh_token or "")
        if form is None or refresh_token is None:
            raise _refused("no refresh token")
        for _ in range(_TRIES):
            session = self._store.load(_hash(form[1]), None)
            if session is None:
                raise _refused("no such refresh token, or its sign-in has ended")
            now = time.time()
            if now >= session.expires:
                self._store.delete(session.id, session.user)
                raise _refused("the sign-in has expired")
            if not _same(refresh_token, session.state["present"]):
                if self._is_in_grace(refresh_token, session, now):
                    return self._issued(session, None)
                self._end_if_still_so(session)
                continue
            following = _refresh_token(form[1])
            if self._rotate(session, following, now):
                return self._issued(session, following)
        raise ConflictError("the sign-in is being changed all the time; nothing was written")

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`. The refresh token stays; an access token older than the last change is refused."""
        old = self._store.load(identity.sign_in or "", None)
        if old is None or time.time() >= old.expires:
            raise _refused("the sign-in has ended")
        if old.state["serial"] != identity.serial:
            raise ConflictError("the state has changed since this access token; refresh it")
        state = old.state | {"display_name": display_name, "serial": identity.serial + 1}
        if not self._store.update(old, replace(old, last_accessed=time.time(), state=state), self._idle_s):
            raise ConflictError("the sign-in changed or ended meanwhile; nothing was written")
        changed = replace(identity, display_name=display_name, serial=identity.serial + 1)
        return changed, Issued(self._bearer(changed))

    def log_out(self, identity: Identity) -> tuple[tuple[str, str], ...]:
        """See `Scheme`. The access token stays good until it expires."""
        self._store.delete(identity.sign_in or "", identity.user)
        return ()

    def log_out_everywhere(self, user: str) -> int:
        """See `Scheme`."""
        return self._store.delete_by_user(user)

    def sessions(self, identity: Identity) -> list[Session]:
        """See `Scheme`."""
        return live_sessions(self._store, identity.user, self._idle_s)

    def end_session(self, identity: Identity, id_: str) -> bool:
        """See `Scheme`."""
        return end_live_session(self._store, identity.user, id_, self._idle_s)

    def jwks(self) -> list[Mapping[str, Any]]:
        """See `Scheme`."""
        return list(self._keys.current().public)

    def _rotate(self, session: Session, following: str, now: float) -> bool:
        state = session.state | {"present": _hash(following), "previous": session.state["present"], "rotated": now}
        return self._store.update(session, replace(session, last_accessed=now, state=state), self._idle_s)

    def _is_in_grace(self, token: str, session: Session, now: float) -> bool:
        return now - session.state["rotated"] < self._grace_s and _same(token, session.state["previous"])

    def _end_if_still_so(self, session: Session) -> None:
        """End the family of a token that is not its present one. Returns if the record was not the newest.

        A store whose copies lag may have shown an old one, in which the present token is not yet there.
        """
        if self._store.update(session, session, self._idle_s):
            self._store.delete(session.id, session.user)
            raise _refused("the refresh token was used before; the sign-in that it belongs to has ended")

    def _issued(self, session: Session, refresh_token: str | None) -> Issued:
        # no access token outlives its sign-in
        ends = min(int(time.time()) + self._access_ttl_s, int(session.expires))
        name, serial = session.state["display_name"], session.state["serial"]
        bearer = self._bearer(Identity(session.user, session.role, name, serial, expires=ends, sign_in=session.id))
        if refresh_token is not None:
            bearer |= {"refresh_token": refresh_token, "refresh_path": "/refresh"}
        return Issued(bearer)

    def _bearer(self, identity: Identity) -> dict[str, Any]:
        now, ends = int(time.time()), identity.expires or 0
        claims = {
            "sub": identity.user,
            "role": identity.role,
            "name": identity.display_name,
            "serial": identity.serial,
            "sid": identity.sign_in,
        }
        token = self._issuer.issue(claims, ends, now).text
        return {"kind": "bearer", "access_token": token, "token_type": "Bearer", "expires_in": max(0, ends - now)}


def _identity(claims: Mapping[str, Any]) -> Identity:
    match claims:
        case {"sub": str(user), "role": str(role), "name": str(name), "serial": int(serial), "sid": str(sign_in)}:
            if not isinstance(serial, bool):
                return Identity(user, role, name, serial, expires=claims["exp"], sign_in=sign_in)
    raise _refused("a claim of ours is missing or of the wrong type")


def _refused(reason: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(reason, f'{_REALM}, error="invalid_token"')


def _refresh_token(family: str) -> str:
    return f"{family}.{secrets.token_urlsafe(_PART_BYTES)}"


def _hash(secret: str) -> str:
    return base64url(hashlib.sha256(secret.encode()).digest())


def _same(token: str, hashed: str) -> bool:
    return hmac.compare_digest(_hash(token), hashed)
