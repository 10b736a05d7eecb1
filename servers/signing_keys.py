"""The keys that tokens are signed and checked with: from a file that may be replaced while the servers run.

The file is a set of private JWKs (RFC 7517, 5): the first key signs, every key verifies. So a rotation puts a new key
in front and leaves the old one behind it for as long as tokens live. No request is refused meanwhile: a replica looks
at the file once a second, and at once when a token names a key it does not know, because another replica was first.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers.jwk import KeyRefusedError, SigningKey, VerificationKey, signing_key, thumbprint, verification_key
from servers.keys import base64url

if TYPE_CHECKING:
    from servers.settings import Settings

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
SYMMETRIC = "HS256"
_RSA_BITS = 2048
_SECRET_BYTES = 32
_LOOK_EVERY_S = 1.0
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("servers")

Stamp = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class KeySet:
    """The keys of one moment. Two sets are the same only if they are the same object."""

    signing: SigningKey
    verifying: Mapping[str, VerificationKey]
    public: tuple[Mapping[str, str], ...]  # to be published (RFC 7517); none of a secret


class KeyRing:
    """The keys of a file, as they are now."""

    def __init__(self, path: Path, algorithm: str) -> None:
        self._path, self._algorithm = path, algorithm
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._set = _read(path, algorithm)
        self._look_at = time.monotonic() + _LOOK_EVERY_S

    def current(self) -> KeySet:
        """The keys, at most a second old."""
        if time.monotonic() >= self._look_at:
            self._look()
        return self._set

    def newest(self) -> KeySet:
        """The keys, after a look at the file now: for a token whose key is unknown.

        A look is one stat, which costs less than the check of a signature; the file is read only if it changed. So
        nobody can make a replica read, and a key is known as soon as it is there.
        """
        self._look()
        return self._set

    def _look(self) -> None:
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        with self._lock:
            try:
                stamp = _stamp(self._path)
                if stamp != self._stamp:
                    self._stamp = stamp  # before reading: a broken file is read once, not with every look
                    self._set = _read(self._path, self._algorithm)
            except (OSError, ValueError) as error:
                _log.warning("the keys stay as they are: %s", error)


class FixedKeys:
    """Keys that nothing changes while the server runs."""

    def __init__(self, keys: KeySet) -> None:
        self._set = keys

    def current(self) -> KeySet:
        """See `KeyRing`."""
        return self._set

    newest = current


def open_keys(settings: Settings) -> KeyRing | FixedKeys:
    """The keys of TOKEN_KEYS_FILE for the algorithm in the settings; without a file the secret of SECRET_FILE.

    Raises:
        ValueError: the file cannot be read or holds what is no key of that algorithm.

    """
    algorithm = settings.options["algorithm"]
    check_settings(settings)
    if settings.token_keys_file is None:
        jwk = {"kty": "oct", "k": base64url(settings.keys.token), "kid": settings.keys.token_id}
        return FixedKeys(key_set([jwk], algorithm))
    try:
        return KeyRing(settings.token_keys_file, algorithm)
    except (OSError, ValueError) as error:
        raise ValueError(f"TOKEN_KEYS_FILE: {error}") from error


def check_settings(settings: Settings) -> None:
    """Raise ValueError where an asymmetric algorithm has no file of keys."""
    algorithm = settings.options["algorithm"]
    if settings.token_keys_file is None and algorithm != SYMMETRIC:
        raise ValueError(f"TOKEN_KEYS_FILE is not set; {algorithm} takes a file of keys (python -m servers.rotate)")


def key_set(jwks: Sequence[Any], algorithm: str) -> KeySet:
    """The first signs, all verify. Raises KeyRefusedError."""
    if not jwks:
        raise KeyRefusedError("a set of keys must have one at least")
    signing = tuple(signing_key(each, algorithm) for each in jwks)
    if not all(_KEY_ID.fullmatch(each.kid) for each in signing):  # it stands in every token
        raise KeyRefusedError("a kid takes 1 to 64 letters, digits, dots, hyphens and underscores")
    verifying = {found.kid: found for found in (verification_key(each, algorithm) for each in jwks)}
    if len(verifying) != len(jwks):
        raise KeyRefusedError("two keys have the same kid")
    return KeySet(signing[0], verifying, tuple(each.public for each in signing if each.public is not None))


def make_keys(path: Path, algorithm: str) -> None:
    """Write a new file with one new key, readable by the owner alone. Raises OSError."""
    write_keys(path, [new_key(algorithm)])


def new_key(algorithm: str) -> dict[str, Any]:
    """A new private JWK with its kid and alg."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 - see servers.registry
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm  # noqa: PLC0415

    jwk: dict[str, Any]
    if algorithm == "RS256":
        jwk = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS), as_dict=True)
        del jwk["key_ops"]  # it signs, and its public half verifies
    elif algorithm == "ES256":
        jwk = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    elif algorithm == "EdDSA":
        jwk = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
    elif algorithm == SYMMETRIC:
        jwk = {"kty": "oct", "k": base64url(secrets.token_bytes(_SECRET_BYTES))}
    else:
        raise ValueError(f"there are no keys for {algorithm!r}; there are: {', '.join(ALGORITHMS)}")
    return {"kid": thumbprint(jwk), "alg": algorithm, "use": "sig", **jwk}


def write_keys(path: Path, jwks: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file, whole or not at all. Raises OSError."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            json.dump({"keys": jwks}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read_jwks(path: Path) -> list[Any]:
    """The JWKs of a file. Raises OSError, and KeyRefusedError for what is no JWK set."""
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise KeyRefusedError(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise KeyRefusedError(f"{path} is no set of JSON Web Keys (RFC 7517, 5)")
    jwks: list[Any] = document["keys"]
    return jwks


def _read(path: Path, algorithm: str) -> KeySet:
    try:
        return key_set(read_jwks(path), algorithm)
    except KeyRefusedError as error:
        raise KeyRefusedError(f"{path}: {error}") from error


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
