"""Signed tokens: the whole identity travels with each request, and the server keeps nothing.

JWT (RFC 7519) as access tokens (RFC 9068), carried as bearer (RFC 6750) or in a cookie. Without revocation signing out
ends nothing on the server: a token that was copied stays good until it expires.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from servers import csrf
from servers.cookies import MAX_BYTES, cookie_value, set_cookie
from servers.options import Option
from servers.permissions import MOST_BYTES, MOST_OVER
from servers.scheme import (
    Environ,
    Identity,
    Issued,
    NoSessionsError,
    NotAuthenticatedError,
    SchemeFacts,
    WithoutSessions,
)
from servers.session_store import Store
from servers.signing_keys import ALGORITHMS, open_keys
from servers.signing_keys import check_settings as check_keys
from servers.tokens import InvalidTokenError, TokenIssuer, TokenVerifier
from servers.users import Account
from servers.verify_cache import VerifyCache

if TYPE_CHECKING:
    from servers.settings import Settings

ALGORITHM = Option("algorithm", "TOKEN_ALGORITHM", "HS256", "what tokens are signed with", ALGORITHMS)
CARRIER = Option("carrier", "TOKEN_CARRIER", "bearer", "where a client keeps and sends its token", ("bearer", "cookie"))
CLAIMS_BYTES = Option(
    "claims_bytes", "TOKEN_CLAIMS_BYTES", "0", "least size of a token's claims as JSON, in bytes", high=MOST_BYTES
)
REVOCATION = Option(
    "revocation",
    "TOKEN_REVOCATION",
    "none",
    "what ends a token early: a mark on it (denylist), or on all of its user's (epoch)",
    ("none", "denylist", "epoch"),
)
TTL = Option("token_ttl_s", "TOKEN_TTL_SECONDS", "900", "how long a token lives, in seconds", low=1, high=2**31 - 1)
VERIFY_CACHE = Option("verify_cache", "VERIFY_CACHE", "off", "whether each signature is checked once", ("off", "on"))
FACTS = SchemeFacts(
    name="token",
    uses_store=False,
    authenticates=True,
    rank=20,
    options=(ALGORITHM, CARRIER, CLAIMS_BYTES, REVOCATION, VERIFY_CACHE, TTL),
    store_when={REVOCATION.name: frozenset({"denylist", "epoch"})},
)

COOKIE = "__Host-token"
_BEARER, _COOKIE = 'Bearer realm="authscale"', 'Token realm="authscale"'
# a token's longest header, with a kid of 64 letters; its signature by algorithm; and what its claims may grow to by
# themselves beside issuer and audience, with a name of 64 letters and a display name of 64 characters of four bytes
_HEADER_LENGTH = 140
_SIGNATURE_LENGTH = {"HS256": 43, "RS256": 342, "ES256": 86, "EdDSA": 86}
_OWN_CLAIMS_BYTES = 600


def open_scheme(settings: Settings, store: Store | None) -> TokenScheme:
    """Tokens under the keys of the settings; `store` is where revocation is noted."""
    return TokenScheme(settings, store)


def check_settings(settings: Settings) -> None:
    """Raise ValueError for values that cannot go together."""
    check_keys(settings)
    options = settings.options
    if options[CARRIER.name] == "cookie":
        length = cookie_length(settings)
        if length > MAX_BYTES:
            raise ValueError(
                f"{CLAIMS_BYTES.variable}={options[CLAIMS_BYTES.name]} makes a cookie of up to {length} bytes with "
                f"{options[ALGORITHM.name]}; browsers keep {MAX_BYTES}: take fewer, or {CARRIER.variable}=bearer"
            )


def cookie_length(settings: Settings) -> int:
    """The most bytes that the Set-Cookie of a token takes."""
    own = _OWN_CLAIMS_BYTES + sum(len(json.dumps(each)) for each in (settings.token_issuer, settings.token_audience))
    payload = max(own, int(settings.options[CLAIMS_BYTES.name]) + MOST_OVER)
    token = _HEADER_LENGTH + _SIGNATURE_LENGTH[settings.options[ALGORITHM.name]] + 2 + -(-payload * 4 // 3)
    return token + len(set_cookie(COOKIE, "", settings.token_ttl_s)[1])


class TokenScheme(WithoutSessions):
    """One signature check recognises a user; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        super().__init__()
        options = settings.options
        self._in_cookie = options[CARRIER.name] == "cookie"
        self._challenge = _COOKIE if self._in_cookie else _BEARER
        self._revocation = options[REVOCATION.name]
        if self._revocation != "none" and store is None:
            raise ValueError(f"{REVOCATION.variable}={self._revocation} needs a store")
        self._store = store
        self._keys = open_keys(settings)
        names = {"issuer": settings.token_issuer, "audience": settings.token_audience}
        cache = VerifyCache() if options[VERIFY_CACHE.name] == "on" else None
        self._issuer = TokenIssuer(self._keys, **names, claims_bytes=int(options[CLAIMS_BYTES.name]))
        self._verifier = TokenVerifier(self._keys, **names, cache=cache)
        self._ttl_s, self._issuer_name, self._csrf_key = settings.token_ttl_s, settings.token_issuer, settings.keys.csrf

    def authenticate(self, environ: Environ) -> Identity:
        """See `Scheme`."""
        identity = self._recognise(environ)
        if self._store is not None and self._is_revoked(identity, self._store):
            raise self._invalid("it was revoked")
        return identity

    def guard_change(self, environ: Environ, identity: Identity) -> None:
        """See `Scheme`."""
        if not self._in_cookie:
            return
        csrf.guard(self._csrf_key, _sign_in(identity), environ, of="token")

    def log_in(self, account: Account, environ: Environ) -> Issued:
        """See `Scheme`."""
        if self._in_cookie and self._revocation == "denylist":
            self._end_earlier(environ)
        return self._issue(Identity(account.name, account.role, account.name, 0))

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`."""
        changed = replace(identity, display_name=display_name, serial=identity.serial + 1)
        return changed, self._issue(changed)

    def log_out(self, identity: Identity) -> tuple[tuple[str, str], ...]:
        """End this sign-in with every token of it; under `epoch`, every sign-in of the user."""
        if self._store is not None and self._revocation == "denylist":
            remaining_s = max(1, (identity.expires or 0) - int(time.time()) + 1)
            self._store.put_mark(self._denied(identity), b"1", remaining_s)
        elif self._revocation == "epoch":
            self._begin_epoch(identity.user)
        return (set_cookie(COOKIE, "", 0),) if self._in_cookie else ()

    def log_out_everywhere(self, user: str) -> int:
        """Under `epoch` only. How many tokens there were nobody knows: 0."""
        if self._revocation != "epoch":
            raise NoSessionsError(self._reason)
        self._begin_epoch(user)
        return 0

    def jwks(self) -> list[Mapping[str, Any]]:
        """See `Scheme`."""
        return list(self._keys.current().public)

    def _recognise(self, environ: Environ) -> Identity:
        token = self._carried(environ)
        try:
            claims = self._verifier.verify(token)
        except InvalidTokenError as error:
            raise self._invalid(str(error)) from None
        try:
            jti = claims["jti"]
            return Identity(
                _text(claims["sub"]),
                _text(claims["role"]),
                _text(claims["name"]),
                _whole(claims["serial"]),
                expires=claims["exp"],
                # a token that replaced another belongs to the same sign-in, which ends as a whole
                sign_in=_text(claims.get("sid", jti)),
                signed_in_ns=_whole(claims["epoch"]) if self._revocation == "epoch" else None,
            )
        except (KeyError, TypeError):
            raise self._invalid("a claim of ours is missing or of the wrong type") from None

    def _carried(self, environ: Environ) -> str:
        if self._in_cookie:
            value = cookie_value(environ, COOKIE)
            if value is None:
                raise NotAuthenticatedError("no token in a cookie", self._challenge)
            return value
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            raise NotAuthenticatedError("no bearer token", self._challenge)
        return str(token)

    def _issue(self, identity: Identity) -> Issued:
        now_ns = time.time_ns()
        now = now_ns // 1_000_000_000
        # a token that replaces another ends when that one would have: a stolen one must not be prolonged for ever
        expires = identity.expires or now + self._ttl_s
        claims: dict[str, Any] = {
            "sub": identity.user,
            "role": identity.role,
            "name": identity.display_name,
            "serial": identity.serial,
        }
        if identity.sign_in is not None and (self._in_cookie or self._revocation == "denylist"):
            claims["sid"] = identity.sign_in
        if self._revocation == "epoch":
            # of the sign-in, not of this token: one that is replaced while its epoch ends must not outlive it
            claims["epoch"] = identity.signed_in_ns or now_ns
        signed = self._issuer.issue(claims, expires, now)
        if not self._in_cookie:
            kind = {"kind": "bearer", "access_token": signed.text, "token_type": "Bearer"}
            return Issued({**kind, "expires_in": expires - now})
        credential = csrf.cookie_credential(COOKIE, self._csrf_key, identity.sign_in or signed.claims["jti"])
        return Issued(credential, (set_cookie(COOKIE, signed.text, expires - now),))

    def _end_earlier(self, environ: Environ) -> None:
        try:
            earlier = self._recognise(environ)
        except NotAuthenticatedError:
            return
        self.log_out(earlier)  # whoever it belonged to: the browser now belongs to somebody else

    def _is_revoked(self, identity: Identity, store: Store) -> bool:
        if self._revocation == "denylist":
            return store.get_mark(self._denied(identity)) is not None
        mark = store.get_mark(_epoch(identity.user))
        return mark is not None and (identity.signed_in_ns or 0) <= int(mark)

    def _denied(self, identity: Identity) -> str:
        # never by the token's text: the signature of an ES256 token has two forms, and both are right
        return f"denied:{self._issuer_name}:{_sign_in(identity)}"

    def _begin_epoch(self, user: str) -> None:
        if self._store is not None:
            # a second more than the longest life, which is counted from a whole second
            self._store.put_mark(_epoch(user), b"%d" % time.time_ns(), self._ttl_s + 1)

    def _invalid(self, reason: str) -> NotAuthenticatedError:
        # the reason is for the body: in the header it would have to be escaped, and RFC 6750 leaves it out too
        error = "" if self._in_cookie else ', error="invalid_token"'
        return NotAuthenticatedError(f"the token is not valid: {reason}", self._challenge + error)


def _epoch(user: str) -> str:
    return f"epoch:{user}"


def _sign_in(identity: Identity) -> str:
    if identity.sign_in is None:
        raise TypeError("an identity of another scheme")
    return identity.sign_in


def _text(value: Any) -> str:
    # printable, as this server's own are: what is not may be text that no store and no answer could write
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return value
