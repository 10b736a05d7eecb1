"""Protection of cookie-carried credentials against cross-site request forgery.

A token bound to the session by HMAC (OWASP CSRF Prevention Cheat Sheet, signed double-submit) that a page of another
site can neither read nor compute, and the browser's own word on where a request comes from. No store is asked.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from servers.keys import base64url
from servers.scheme import ForbiddenError

HEADER = "X-CSRF-Token"
_ENVIRON = "HTTP_X_CSRF_TOKEN"


def token_for(key: bytes, session_id: str) -> str:
    """The token of one session; `session_id` is what the store knows it by."""
    return base64url(hmac.digest(key, session_id.encode(), "sha256"))


def token_is_right(key: bytes, session_id: str, environ: Mapping[str, Any]) -> bool:
    """Whether the request carries the session's token; compared in constant time."""
    given = str(environ.get(_ENVIRON, ""))
    return hmac.compare_digest(given.encode("utf-8", "replace"), token_for(key, session_id).encode())


def is_cross_site(environ: Mapping[str, Any]) -> bool:
    """Whether the browser says that another origin sent this. Clients that are no browsers say nothing."""
    if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return False
    try:
        # the scheme is the balancer's to know; host and port are the same on both of its sides
        return bool(urlsplit(origin).netloc != environ.get("HTTP_HOST"))
    except ValueError:
        return True


def guard(key: bytes, session_id: str, environ: Mapping[str, Any], of: str = "session") -> None:
    """Raises ForbiddenError for a change that a page of another site asks, or that lacks the session's token."""
    if is_cross_site(environ):
        raise ForbiddenError("a request of another site must not change anything here")
    if not token_is_right(key, session_id, environ):
        raise ForbiddenError(f"the {HEADER} header is missing or not this {of}'s")


def cookie_credential(cookie: str, key: bytes, session_id: str) -> dict[str, str]:
    """What the answer to a sign-in tells of a credential in a cookie, and of the header that changes need."""
    return {"kind": "cookie", "name": cookie, "csrf_header": HEADER, "csrf_token": token_for(key, session_id)}
