"""Keys from the one secret that all replicas of a topology share.

A secret of its own in each process would be a 401 at every other replica.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

SECRET_BYTES = 32


@dataclass(frozen=True)
class Keys:
    """Independent keys of 256 bits, one per purpose; `token_id` names the token key without telling it."""

    token: bytes = field(repr=False)
    token_id: str
    csrf: bytes = field(repr=False)


def load_keys(path: Path) -> Keys:
    """Derive the keys from the secret in a file.

    HKDF-Expand of RFC 5869 alone, for one block: section 3.3 allows leaving Extract out when, as here, the input is a
    uniformly random key.

    Raises:
        ValueError: the secret is too short.
        OSError: the file cannot be read.

    """
    secret = path.read_bytes()
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"{path} holds {len(secret)} bytes; at least {SECRET_BYTES} random ones are needed")
    token = _expand(secret, b"authscale token HS256")
    return Keys(token, base64url(hashlib.sha256(token).digest()[:6]), _expand(secret, b"authscale csrf"))


def base64url(data: bytes) -> str:
    """Unpadded base64url (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _expand(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, purpose + b"\x01", "sha256")
