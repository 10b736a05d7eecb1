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
)
from servers.session_store import Session, Store
from servers.signing_keys import FixedKeys, key_set
from servers.tokens import InvalidTokenError, TokenIssuer, TokenVerifier
from servers.users import Account

if TYPE_CHECKING:
    from servers.settings import Settings

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
FACTS = SchemeFacts(name="hybrid", uses_store=True, authenticates=True, rank=30, options=(ACCESS_TTL, GRACE))

_PART_BYTES = 16  # 128 bits from the system's generator
_REFRESH_TOKEN = re.compile(r"([A-Za-z0-9_-]{22})\.[A-Za-z0-9_-]{22}")
_USER_AGENT_LENGTH = 200
# a change of the profile at the same time is no use of the refresh token: the rotation starts again from what it wrote
_ROTATIONS = 5


def open_scheme(settings: Settings, store: Store | None) -> HybridScheme:
    """Families in `store`, access tokens under the topology's keys."""
    if store is None:
        raise ValueError("the hybrid scheme needs a store")
    return HybridScheme(settings, store)


class AccessTokens:
    """Access tokens as the token scheme has them, with the sign-in's name as `sid`."""

    def __init__(self, settings: Settings) -> None:
        keys = FixedKeys(
            key_set(
                [{"kty": "oct", "k": base64url(settings.keys.token), "kid": settings.keys.token_id}],
                settings.options.get("algorithm", "HS256"),
            )
        )
        names = {"issuer": settings.token_issuer, "audience": settings.token_audience}
        self._issuer, self._verifier = TokenIssuer(keys, **names), TokenVerifier(keys, **names)

    def verify(self, environ: Environ) -> Identity:
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            raise NotAuthenticatedError("no bearer token", 'Bearer realm="authscale"')
        try:
            claims = self._verifier.verify(str(token))
        except InvalidTokenError as error:
            raise _refused(str(error)) from None
        found = [claims.get(each) for each in ("sub", "role", "name", "sid")]
        serial = claims.get("serial")
        if not all(isinstance(each, str) for each in found) or type(serial) is not int:
            raise _refused("a claim of ours is missing or of the wrong type")
        sub, role, name, sid = found
        return Identity(sub, role, name, serial, expires=claims["exp"], sid=sid)

    def sign(self, identity: Identity) -> str:
        claims = {"sub": identity.user, "role": identity.role, "name": identity.display_name, "serial": identity.serial}
        return self._issuer.issue({**claims, "sid": identity.sid}, identity.expires or 0).text


class HybridScheme(WithoutSessions):
    """One signature check recognises a user, the store renews; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings, store: Store) -> None:
        super().__init__()
        self._store = store
        self._tokens = AccessTokens(settings)
        # no access token outlives the idle limit of its family
        self._access_ttl_s = min(int(settings.options[ACCESS_TTL.name]), settings.session_idle_s)
        self._grace_s = int(settings.options[GRACE.name])
        self._idle_s, self._absolute_s = settings.session_idle_s, settings.session_absolute_s

    def authenticate(self, environ: Environ) -> Identity:
        """See `Scheme`. No store is asked."""
        return self._tokens.verify(environ)

    def log_in(self, account: Account, environ: Environ) -> Issued:
        """See `Scheme`."""
        with suppress(NotAuthenticatedError):
            self.log_out(self.authenticate(environ))
        family = secrets.token_urlsafe(_PART_BYTES)
        token = _refresh_token(family)
        now = time.time()
        session = Session(
            id=_hash(family),
            user=account.name,
            role=account.role,
            created=now,
            last_accessed=now,
            expires=now + self._absolute_s,
            address=_address(environ),
            user_agent=environ.get("HTTP_USER_AGENT", "")[:_USER_AGENT_LENGTH],
            state={"display_name": account.name, "serial": 0, "present": _hash(token), "previous": "", "rotated": now},
        )
        self._store.create(session, self._idle_s)
        return self._issued(session, token)

    def refresh(self, refresh_token: str | None, environ: Environ) -> Issued:  # noqa: ARG002
        """See `Scheme`."""
        form = _REFRESH_TOKEN.fullmatch(refresh_token or "")
        if form is None or refresh_token is None:
            raise _refused("no refresh token")
        for _ in range(_ROTATIONS):
            session = self._store.load(_hash(form[1]), None)
            if session is None:
                raise _refused("no such refresh token, or its sign-in has ended")
            now = time.time()
            if now >= session.expires:
                self._store.delete(session.id, session.user)
                raise _refused("the sign-in has expired")
            if not _same(refresh_token, session.state["present"]):
                return self._used_before(refresh_token, session, now)
            following = _refresh_token(form[1])
            if self._rotate(session, following, now):
                return self._issued(session, following)
        raise ConflictError("the sign-in is being changed all the time; nothing was written")

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`. The refresh token stays; an access token older than the last change is refused."""
        old = self._store.load(identity.sid or "", None)
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
        self._store.delete(identity.sid or "", identity.user)
        return ()

    def log_out_everywhere(self, user: str) -> int:
        """See `Scheme`."""
        return self._store.delete_by_user(user)

    def sessions(self, identity: Identity) -> list[Session]:
        """See `Scheme`."""
        now = time.time()
        return [each for each in self._store.list_by_user(identity.user, self._idle_s) if each.expires > now]

    def end_session(self, identity: Identity, id_: str) -> bool:
        """See `Scheme`."""
        if id_ not in {each.id for each in self.sessions(identity)}:
            return False
        return self._store.delete(id_, identity.user)

    def _rotate(self, session: Session, following: str, now: float) -> bool:
        state = session.state | {"present": _hash(following), "previous": session.state["present"], "rotated": now}
        return self._store.update(session, replace(session, last_accessed=now, state=state), self._idle_s)

    def _used_before(self, token: str, session: Session, now: float) -> Issued:
        """What follows a token of the family that is not its present one."""
        if now - session.state["rotated"] < self._grace_s and _same(token, session.state["previous"]):
            return self._issued(session, None)
        self._store.delete(session.id, session.user)
        raise _refused("the refresh token was used before; the sign-in that it belongs to has ended")

    def _issued(self, session: Session, refresh_token: str | None) -> Issued:
        # no access token outlives its sign-in
        ends = min(int(time.time()) + self._access_ttl_s, int(session.expires))
        name, serial = session.state["display_name"], session.state["serial"]
        bearer = self._bearer(Identity(session.user, session.role, name, serial, expires=ends, sid=session.id))
        if refresh_token is not None:
            bearer |= {"refresh_token": refresh_token, "refresh_path": "/refresh"}
        return Issued(bearer)

    def _bearer(self, identity: Identity) -> dict[str, Any]:
        left_s = max(0, (identity.expires or 0) - int(time.time()))
        return {
            "kind": "bearer",
            "access_token": self._tokens.sign(identity),
            "token_type": "Bearer",
            "expires_in": left_s,
        }


def _refused(reason: str) -> NotAuthenticatedError:
    return NotAuthenticatedError(reason, 'Bearer realm="authscale", error="invalid_token"')


def _refresh_token(family: str) -> str:
    return f"{family}.{secrets.token_urlsafe(_PART_BYTES)}"


def _hash(secret: str) -> str:
    return base64url(hashlib.sha256(secret.encode()).digest())


def _same(token: str, hashed: str) -> bool:
    return hmac.compare_digest(_hash(token), hashed)


def _address(environ: Environ) -> str:
    # the balancer adds the client's address as the last one; what stands before it the client wrote itself
    return str(environ.get("HTTP_X_FORWARDED_FOR", environ.get("REMOTE_ADDR", ""))).split(",")[-1].strip()
