"""The balancer's routing cookie: what a browser would do with it, kept by hand, as the client keeps no cookies itself.

A sticky balancer names the replica in a cookie, and a new one when it had to choose another; whoever has it sends it
with every request, in the one Cookie line that a request may have (RFC 6265, 5.4). It is no credential:
`credential_bytes` does not count it, the head of the request does.
"""

from __future__ import annotations

import re

from topology.balancer import ROUTE_COOKIE

NOWHERE = b""
"""Of a client that has no routing cookie."""

_NAME = ROUTE_COOKIE.encode() + b"="
_SET = re.compile(rb"\r\nset-cookie:[ \t]*(" + re.escape(_NAME) + rb"[^;\r\n]*)", re.IGNORECASE)
_CLEARED = re.compile(rb"\r\nclear-site-data:[^\r\n]*\"(?:cookies|\*)\"", re.IGNORECASE)
_COOKIE = b"Cookie: "


def followed(route: bytes, head: bytes) -> bytes:
    """The routing cookie (name and value) after an answer of that head, for a client that had `route` until then.

    An answer that tells the browser to clear its cookies, as a sign-out does, clears this one with the others.
    """
    if not route and _NAME not in head:  # nothing to have or to lose, and next to nothing to look that up
        return route
    found = _SET.search(head)
    if found:
        return found[1]
    return NOWHERE if _CLEARED.search(head) else route


def lines_with(lines: bytes, route: bytes) -> bytes:
    """Header lines, each with its CRLF, with the routing cookie in their Cookie line, or in one of its own."""
    if not route:
        return lines
    before, cookie, after = lines.partition(_COOKIE)
    if not cookie:
        return lines + _COOKIE + route + b"\r\n"
    pairs, end, rest = after.partition(b"\r\n")
    return before + cookie + pairs + b"; " + route + end + rest
