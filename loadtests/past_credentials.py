"""What a user has kept of sign-ins that are over: credentials that a server must refuse, and since when.

Times are ns of one monotonic clock. A server tells the end of a credential in whole seconds, rounded one way or the
other, and a request takes its time; so within `MARGIN_NS` of the end nothing is expected either way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from loadtests.credentials import Credential

MARGIN_NS = 1_200_000_000
_MOST_KEPT = 50


class PastCredentials:
    """Of one user. What is asked for and not at hand is None."""

    def __init__(self) -> None:
        self._left: deque[tuple[float, Credential]] = deque(maxlen=_MOST_KEPT)
        self._revoked: tuple[float, Credential] | None = None

    def leave(self, credential: Credential, ends_ns: float) -> None:
        """The user went away without signing out: it is good until `ends_ns`."""
        self._left.append((ends_ns, credential))

    def revoke(self, credential: Credential, ends_ns: float) -> None:
        """The user signed out; but for that it would be good until `ends_ns`."""
        self._revoked = ends_ns, credential

    def expired(self, now_ns: float) -> Credential | None:
        """The one that expired last, which nobody signed out of."""
        over = [credential for ends_ns, credential in self._left if ends_ns + MARGIN_NS <= now_ns]
        return over[-1] if over else None

    def revoked(self, now_ns: float) -> Credential | None:
        """The one that was signed out of last, as long as it has not expired as well."""
        if self._revoked is None or not is_good(self._revoked[0], now_ns):
            return None
        return self._revoked[1]


def is_good(ends_ns: float, now_ns: float) -> bool:
    """Whether a credential that ends then certainly has not yet ended when it arrives."""
    return now_ns <= ends_ns - MARGIN_NS


def forged(credential: Credential) -> Credential:
    """The same with one letter changed: of a token's signature, or of a session's id, which then is nobody's."""
    line = credential.line.rstrip()
    start = max(line.rfind(mark) for mark in (b".", b"=", b" ")) + 1
    if start >= len(line):
        raise ValueError(f"nothing to change in {line!r}")
    other = b"A" if line[start : start + 1] != b"A" else b"B"
    return replace(credential, line=line[:start] + other + line[start + 1 :] + b"\r\n")
