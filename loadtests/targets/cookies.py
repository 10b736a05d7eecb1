"""The cookies of one user, as a browser keeps them: by name and path, until they are deleted (RFC 6265).

All requests go to one service, so domains do not matter here; `Secure` is kept back from nobody, because the service is
on loopback or speaks TLS.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from loadtests.client import Answer


class Jar:
    """What to send back. Lines are made once and kept, because most answers change nothing."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[bytes, bytes], bytes] = {}
        self._lines: dict[bytes, bytes] = {}

    def follow(self, answer: Answer) -> None:
        """Keep what the answer sets, and drop what it deletes."""
        head = answer.head
        if b"et-cookie:" not in head and b"et-Cookie:" not in head:  # nearly always, and cheaper than to read the head
            return
        for field in answer.set_cookies:
            self._take(field)
        self._lines.clear()

    def line(self, path: bytes) -> bytes:
        """The Cookie line of a request for `path`, with its CRLF; empty without any. Longer paths first."""
        known = self._lines.get(path)
        if known is None:
            fitting = [(place, name, value) for (name, place), value in self._cookies.items() if _covers(place, path)]
            fitting.sort(key=lambda each: -len(each[0]))
            pairs = b"; ".join(name + b"=" + value for _, name, value in fitting)
            known = self._lines[path] = b"Cookie: " + pairs + b"\r\n" if pairs else b""
        return known

    def value(self, name: str) -> str:
        """Of the cookie of that name, empty without one."""
        found = (value for (each, _), value in self._cookies.items() if each == name.encode())
        return next(found, b"").decode("latin-1")

    def _take(self, field: bytes) -> None:
        pair, *rest = (part.strip() for part in field.split(b";"))
        name, _, value = pair.partition(b"=")
        attributes = {key.strip().lower(): told.strip() for key, _, told in (part.partition(b"=") for part in rest)}
        place = attributes.get(b"path", b"/")
        key = name.strip(), place if place.startswith(b"/") else b"/"
        if _is_over(attributes):
            self._cookies.pop(key, None)
        else:
            self._cookies[key] = value.strip()


def _covers(place: bytes, path: bytes) -> bool:
    """Whether a cookie of the path `place` goes with a request for `path` (RFC 6265, 5.1.4)."""
    path = path.partition(b"?")[0]
    return path == place or (path.startswith(place) and (place.endswith(b"/") or path[len(place) :].startswith(b"/")))


def _is_over(attributes: dict[bytes, bytes]) -> bool:
    age = attributes.get(b"max-age")
    if age is not None:
        return not age.isdigit() or int(age) == 0
    try:
        ends = parsedate_to_datetime(attributes[b"expires"].decode("latin-1"))
    except (KeyError, ValueError):
        return False
    return ends.timestamp() <= time.time()
