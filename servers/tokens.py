"""Signed tokens: issuing and checking them, whoever carries them and whatever they are for.

JWT (RFC 7519) by the best current practices of RFC 8725: one algorithm, a type per use, keys from the server's own set,
every registered claim required.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from servers import jws, permissions
from servers.jwk import VerificationKey
from servers.keys import base64url
from servers.signing_keys import FixedKeys, KeyRing, KeySet
from servers.verify_cache import VerifyCache

ACCESS = "at+jwt"  # RFC 9068
MAX_LENGTH = 10_240
_JTI_BYTES = 16
_LAST_TIME = 253_402_300_799  # the end of the year 9999: what lies behind it is no date


class InvalidTokenError(ValueError):
    """A token that does not count; the text says why, and nothing of the key."""


@dataclass(frozen=True)
class SignedToken:
    """A token's text, and all claims that are in it."""

    text: str
    claims: Mapping[str, Any]


class TokenIssuer:
    """Signs tokens of one type with the first key of the set; `claims_bytes` is the least size of their claims."""

    def __init__(
        self, keys: KeyRing | FixedKeys, *, issuer: str, audience: str, type_name: str = ACCESS, claims_bytes: int = 0
    ) -> None:
        self._keys = keys
        self._issuer, self._audience, self._type = issuer, audience, type_name
        self._claims_bytes = claims_bytes

    def issue(self, claims: Mapping[str, Any], expires: int, now: int | None = None) -> SignedToken:
        """A token with `claims` (such as `sub`) until `expires`; iss, aud, iat, nbf, exp and jti are added.

        Times in whole seconds since the epoch.
        """
        now = int(time.time()) if now is None else now
        all_claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "iat": now,
            "nbf": now,
            "exp": expires,
            "jti": secrets.token_urlsafe(_JTI_BYTES),
            **claims,
        }
        if self._claims_bytes and (names := permissions.filling(len(_json(all_claims)), self._claims_bytes)):
            all_claims[permissions.CLAIM] = names
        key = self._keys.current().signing
        signed = header_segment(key.algorithm, key.kid, self._type) + b"." + _segment(all_claims)
        signature = base64url(key.sign(signed))
        return SignedToken(f"{signed.decode()}.{signature}", all_claims)


class TokenVerifier:
    """Checks tokens of one type."""

    def __init__(
        self,
        keys: KeyRing | FixedKeys,
        *,
        issuer: str,
        audience: str,
        type_name: str = ACCESS,
        cache: VerifyCache | None = None,
    ) -> None:
        self._keys = keys
        self._issuer, self._audience, self._type = issuer, audience, type_name
        self._cache = cache
        self._known: tuple[KeySet | None, dict[bytes, VerificationKey]] = (None, {})

    def verify(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that counts; not to be changed. Raises InvalidTokenError."""
        if len(token) > MAX_LENGTH:
            raise InvalidTokenError("too long")
        keys = self._keys.current()
        cache = self._cache
        if cache is not None:
            claims = cache.get(token, keys)
            if claims is not None:
                check_times(claims)
                return claims
        try:
            parts = jws.parts(token)
            key = self._key(parts.header, keys)
            check_signature(key, parts)
            claims = jws.decode_object(parts.payload)
        except jws.MalformedError as error:
            raise InvalidTokenError(str(error)) from None
        check_claims(claims, self._issuer, self._audience)
        if cache is not None:
            cache.put(token, self._keys.current(), key, claims)
        return claims

    def _key(self, header: bytes, keys: KeySet) -> VerificationKey:
        """The key that the header names, if the header is right in everything else."""
        known_of, known = self._known
        if known_of is not keys:
            # as this server's own tokens spell it, so that theirs need no look inside; never filled from outside
            known = {header_segment(each.algorithm, kid, self._type): each for kid, each in keys.verifying.items()}
            self._known = keys, known
        return known.get(header) or self._key_of_other_spelling(header, keys)

    def _key_of_other_spelling(self, segment: bytes, keys: KeySet) -> VerificationKey:
        header = jws.decode_header(segment)
        if header.get("typ") != self._type:
            raise InvalidTokenError("of another type")
        kid = header.get("kid")
        if kid is None:
            raise InvalidTokenError("names no key")
        key = keys.verifying.get(kid) or self._keys.newest().verifying.get(kid)
        if key is None or header["alg"] != key.algorithm:
            raise InvalidTokenError("names a key or an algorithm that is not this server's")
        return key


def header_segment(algorithm: str, kid: str, type_name: str) -> bytes:
    """The header of this server's own tokens."""
    return _segment({"alg": algorithm, "kid": kid, "typ": type_name})


def check_signature(key: VerificationKey, parts: jws.Parts) -> None:
    """Raise InvalidTokenError, or MalformedError, where the signature is not the key's."""
    signature = jws.decode(parts.signature)
    try:
        right = key.verifies(parts.signed, signature)
    except (ValueError, TypeError):  # a signature that no key can have made, such as one of another length
        right = False
    if not right:
        raise InvalidTokenError("the signature is not right")


def check_claims(claims: Mapping[str, Any], issuer: str, audience: str) -> None:
    """The registered claims. Raises InvalidTokenError."""
    if claims.get("iss") != issuer:
        raise InvalidTokenError("from another issuer")
    aud = claims.get("aud")
    if aud != audience and not (
        isinstance(aud, list) and all(isinstance(each, str) for each in aud) and audience in aud
    ):
        raise InvalidTokenError("for another audience")
    for name in ("sub", "jti"):
        if not isinstance(claims.get(name), str):
            raise InvalidTokenError(f"{name} is missing or no text")
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        # type(): True would be an int; a fraction is allowed by RFC 7519 and nobody needs it
        if type(value) is not int or not 0 <= value <= _LAST_TIME:
            raise InvalidTokenError(f"{name} is missing or no whole number of seconds")
    check_times(claims)


def check_times(claims: Mapping[str, Any]) -> None:
    """Whether it counts now. Raises InvalidTokenError."""
    now = time.time()
    if claims["exp"] <= now:
        raise InvalidTokenError("expired")
    if claims["nbf"] > now or claims["iat"] > now:
        raise InvalidTokenError("not valid yet")


def _segment(document: Mapping[str, Any]) -> bytes:
    return base64url(_json(document)).encode()


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
