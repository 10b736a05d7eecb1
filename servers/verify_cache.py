"""Tokens that were verified once: the signature is not checked again, all that can change still is.

A token is known by the SHA-256 of its text, so that who reads the memory of the cache finds no credential. An entry
ends with its key, its expiry is checked at each use, and revocation is the caller's to ask about each time.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from servers.jwk import VerificationKey
from servers.signing_keys import KeySet

MAX_ENTRIES = 10_000


class VerifyCache:
    """Least recently used goes first. Only tokens whose signature was right come in, so rubbish drives nothing out."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max = max_entries
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, tuple[VerificationKey, Mapping[str, Any]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, keys: KeySet) -> Mapping[str, Any] | None:
        """The claims of a token that was right; None when it is unknown or its key is one of `keys` no more."""
        name = _name(token)
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return None
            key, claims = entry
            if keys.verifying.get(key.kid) is not key:  # another set: a key that stays is read anew, and checks again
                del self._entries[name]
                return None
            self._entries.move_to_end(name)
            return claims

    def put(self, token: str, keys: KeySet, key: VerificationKey, claims: Mapping[str, Any]) -> None:
        """Remember a token that was verified with `key`."""
        if keys.verifying.get(key.kid) is not key:
            return
        name = _name(token)
        with self._lock:
            self._entries[name] = key, claims
            self._entries.move_to_end(name)
            while len(self._entries) > self._max:
                self._entries.popitem(last=False)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
