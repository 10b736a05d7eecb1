"""JSON Web Keys (RFC 7517): which algorithm a key may be used with, whether it is strong enough, and its names.

PyJWT and cryptography make the key objects; each is made once and used for every token from then on.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from servers.keys import base64url

_TYPES = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {
    "ES256": ("P-256",),
    "ES384": ("P-384",),
    "ES512": ("P-521",),
    "ES256K": ("secp256k1",),
    "EdDSA": ("Ed25519", "Ed448"),
}
_ALIASES = {"ES521": "ES512"}  # as PyJWT and RFC 7520's readers write it, after the curve
_HMAC_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_RSA_BITS = range(2048, 16384 + 1)  # RFC 7518, 3.3; above, one check takes as long as an attacker likes
_PUBLIC = {"oct": (), "RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_NUMBERS = ("k", "n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y")
_CANONICAL = re.compile(r"(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?", re.ASCII)
_KEY_ID_BYTES = 6


class KeyRefusedError(ValueError):
    """A key that is malformed, weak, or meant for something else; says which."""


@dataclass(frozen=True)
class VerificationKey:
    """One key with the only algorithm it is used with. `verifies(message, signature)`."""

    kid: str
    algorithm: str
    verifies: Callable[[bytes, bytes], bool]


@dataclass(frozen=True)
class SigningKey:
    """A private key; `sign(message)` returns the signature, `public` is its JWK to publish, None for a secret."""

    kid: str
    algorithm: str
    sign: Callable[[bytes], bytes]
    public: Mapping[str, str] | None


def verification_key(jwk: Any, algorithm: str) -> VerificationKey:
    """The key that checks signatures of `algorithm`. Raises KeyRefusedError."""
    _check(jwk, algorithm, "verify")
    library = _library(algorithm)
    # the public half of a private key: the other is not needed, and costs a search for primes where they are left out
    public = _made(library, {name: jwk[name] for name in _PUBLIC[jwk["kty"]] or ("k", "kty")})

    def verifies(message: bytes, signature: bytes) -> bool:
        return bool(library.verify(message, public, signature))

    return VerificationKey(key_id(jwk), algorithm, verifies)


def signing_key(jwk: Any, algorithm: str) -> SigningKey:
    """The key that signs with `algorithm`. Raises KeyRefusedError."""
    _check(jwk, algorithm, "sign")
    if jwk["kty"] != "oct" and "d" not in jwk:
        raise KeyRefusedError("the key that signs must be a private one")
    library = _library(algorithm)
    key = _made(library, jwk)

    def sign(message: bytes) -> bytes:
        signature: bytes = library.sign(message, key)
        return signature

    return SigningKey(key_id(jwk), algorithm, sign, public_jwk(jwk, algorithm))


def public_jwk(jwk: Mapping[str, Any], algorithm: str) -> dict[str, str] | None:
    """What anybody may know of the key; None of a secret."""
    names = _PUBLIC[jwk["kty"]]
    if not names:
        return None
    return {name: jwk[name] for name in names} | {"kid": key_id(jwk), "alg": algorithm, "use": "sig"}


def proper_name(algorithm: Any) -> Any:
    """As RFC 7518 writes it, where people also write it another way."""
    return _ALIASES.get(algorithm, algorithm) if isinstance(algorithm, str) else algorithm


def key_id(jwk: Mapping[str, Any]) -> str:
    """The key's own `kid`, or else its thumbprint (RFC 7638)."""
    kid = jwk.get("kid")
    return kid if isinstance(kid, str) else thumbprint(jwk)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638; of a secret a short keyed hash, which does not tell it, in place of the hash of all of it."""
    if jwk["kty"] == "oct":
        return secret_id(octets(jwk["k"]))
    text = json.dumps({name: jwk[name] for name in _PUBLIC[jwk["kty"]]}, separators=(",", ":"), sort_keys=True)
    return base64url(hashlib.sha256(text.encode()).digest())


def secret_id(secret: bytes) -> str:
    """A name for a secret key."""
    return base64url(hmac.digest(secret, b"authscale key id", "sha256")[:_KEY_ID_BYTES])


def octets(text: str) -> bytes:
    """The reverse of `servers.keys.base64url`; one spelling alone is right. Raises KeyRefusedError."""
    if not _CANONICAL.fullmatch(text):
        raise KeyRefusedError("a member of the key is no canonical base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _check(jwk: Any, algorithm: str, operation: str) -> None:
    if not isinstance(jwk, dict):
        raise KeyRefusedError("the key is no JSON object")
    kty = _TYPES.get(algorithm[:2])
    if kty is None or jwk.get("kty") != kty:
        raise KeyRefusedError(f"{algorithm} takes a key of type {kty}")
    _check_purpose(jwk, algorithm, operation)
    _check_members(jwk)
    _check_strength(jwk, algorithm)


def _check_purpose(jwk: Mapping[str, Any], algorithm: str, operation: str) -> None:
    if "kid" in jwk and not isinstance(jwk["kid"], str):
        raise KeyRefusedError("the key's kid is no text")
    if proper_name(jwk.get("alg", algorithm)) != algorithm:
        raise KeyRefusedError(f"the key is not for {algorithm}: its alg is another")
    if jwk.get("use", "sig") != "sig":
        raise KeyRefusedError("the key is not for signatures: its use is another")
    operations = jwk.get("key_ops", [operation])
    if not isinstance(operations, list) or operation not in operations:
        raise KeyRefusedError(f"the key's key_ops do not have {operation!r}")


def _check_members(jwk: Mapping[str, Any]) -> None:
    required = _PUBLIC[jwk["kty"]] or ("k",)
    if not all(jwk.get(name) for name in required):
        raise KeyRefusedError("the key lacks a member")
    for name in _NUMBERS:
        if not isinstance(jwk.get(name, ""), str):
            raise KeyRefusedError("a member of the key is no text")
        octets(jwk.get(name, ""))


def _check_strength(jwk: Mapping[str, Any], algorithm: str) -> None:
    if algorithm in _HMAC_BYTES and len(octets(jwk["k"])) < _HMAC_BYTES[algorithm]:
        raise KeyRefusedError(f"{algorithm} takes a secret of at least {_HMAC_BYTES[algorithm]} bytes (RFC 7518, 3.2)")
    if jwk["kty"] == "RSA" and int.from_bytes(octets(jwk["n"])).bit_length() not in _RSA_BITS:
        raise KeyRefusedError(f"{algorithm} takes a modulus of {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits (RFC 7518, 3.3)")
    if algorithm in _CURVES and jwk["crv"] not in _CURVES[algorithm]:
        raise KeyRefusedError(f"{algorithm} takes a key on {' or '.join(_CURVES[algorithm])}")


def _library(algorithm: str) -> Any:
    import jwt  # noqa: PLC0415 - see servers.registry on start-up

    try:
        return jwt.get_algorithm_by_name(algorithm)
    except NotImplementedError as error:
        raise KeyRefusedError(f"there is no algorithm {algorithm!r}") from error


def _made(library: Any, jwk: Mapping[str, Any]) -> Any:
    """The library's key object. It refuses, too, a public key that somebody hands it as a secret."""
    import jwt  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        return library.prepare_key(library.from_jwk(dict(jwk)))
    except (jwt.InvalidKeyError, ValueError, TypeError, KeyError, OverflowError, UnsupportedAlgorithm) as error:
        raise KeyRefusedError(f"the key is malformed: {error}") from error
