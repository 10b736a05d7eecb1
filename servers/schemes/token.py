"""Signed tokens: the whole identity travels with each request, and the server keeps nothing.

JWT (RFC 7519) as access tokens (RFC 9068) by the best current practices of RFC 8725, carried as bearer (RFC 6750).
Signing out ends nothing on the server: a token that was copied stays good until it expires.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from servers.keys import base64url
from servers.scheme import Environ, Identity, Issued, NotAuthenticatedError, SchemeFacts, WithoutSessions
from servers.session_store import Store
from servers.users import Account

if TYPE_CHECKING:
    from servers.settings import Settings

FACTS = SchemeFacts(name="token", uses_store=False, authenticates=True, rank=20)

_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_REQUIRED = ["sub", "iat", "exp", "nbf", "iss", "aud", "jti"]
_MAX_LENGTH = 8192
# unpadded base64url alone: PyJWT's decoder would take padding and so a second spelling of the same token
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# headers that would let a token choose its own key, or that this server does not understand (RFC 7515, 4.1)
_REFUSED_HEADERS = {"jku", "jwk", "x5u", "x5c", "crit", "b64"}
_REALM = 'Bearer realm="authscale"'


def open_scheme(settings: Settings, store: Store | None) -> TokenScheme:  # noqa: ARG001 - it needs none
    """Tokens under the topology's key."""
    return TokenScheme(settings)


class TokenScheme(WithoutSessions):
    """One signature check recognises a user; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings) -> None:
        import jwt  # noqa: PLC0415 - see servers.registry on start-up

        super().__init__()
        self._jwt = jwt.PyJWT()
        self._invalid = jwt.InvalidTokenError
        self._key, self._kid = settings.keys.token, settings.keys.token_id
        self._ttl_s = settings.token_ttl_s
        self._issuer, self._audience = settings.token_issuer, settings.token_audience

    def authenticate(self, environ: Environ) -> Identity:
        """See `Scheme`."""
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "bearer":
            raise NotAuthenticatedError("no bearer token", _REALM)
        claims = self._verify(token)
        try:
            return Identity(
                _text(claims["sub"]),
                _text(claims["role"]),
                _text(claims["name"]),
                _whole(claims["serial"]),
                expires=_whole(claims["exp"]),
            )
        except (KeyError, TypeError) as error:
            raise _invalid_token("a claim of ours is missing or of the wrong type") from error

    def log_in(self, account: Account, environ: Environ) -> Issued:  # noqa: ARG002 - nothing earlier can be ended
        """See `Scheme`."""
        return self._issue(Identity(account.name, account.role, account.name, 0))

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`."""
        changed = replace(identity, display_name=display_name, serial=identity.serial + 1)
        return changed, self._issue(changed)

    def _issue(self, identity: Identity) -> Issued:
        now = int(time.time())
        # a token that replaces another ends when that one would have: a stolen one must not be prolonged for ever
        expires = identity.expires or now + self._ttl_s
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": identity.user,
            "iat": now,
            "nbf": now,
            "exp": expires,
            "jti": secrets.token_urlsafe(16),
            "role": identity.role,
            "name": identity.display_name,
            "serial": identity.serial,
        }
        token = self._jwt.encode(claims, self._key, _ALGORITHM, headers={"typ": _TYPE, "kid": self._kid})
        return Issued({"kind": "bearer", "access_token": token, "token_type": "Bearer", "expires_in": expires - now})

    def _verify(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_LENGTH or not _COMPACT.fullmatch(token):
            raise _invalid_token("not a compact JWS")
        try:
            decoded = self._jwt.decode_complete(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": _REQUIRED},
            )
        except (self._invalid, ValueError, TypeError, RecursionError) as error:
            raise _invalid_token(str(error) or type(error).__name__) from error
        header = decoded["header"]
        if header.get("typ") != _TYPE or header.get("kid") != self._kid or _REFUSED_HEADERS & header.keys():
            raise _invalid_token("a header that this server does not accept")
        if base64url(decoded["signature"]) != token.rpartition(".")[2]:
            raise _invalid_token("a signature in a second spelling")
        claims: dict[str, Any] = decoded["payload"]
        return claims


def _invalid_token(reason: str) -> NotAuthenticatedError:
    # the reason is for the body: in the header it would have to be escaped, and RFC 6750 leaves it out too
    return NotAuthenticatedError(f"the token is not valid: {reason}", f'{_REALM}, error="invalid_token"')


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return value
