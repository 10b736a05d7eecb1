"""A replica that lets anybody read /me: what schemathesis's check of ignored authentication must see."""

from __future__ import annotations

from typing import Any

from servers.scheme import Identity, NotAuthenticatedError
from servers.schemes.session import SessionScheme

_authenticate = SessionScheme.authenticate


def _anybody(self: SessionScheme, environ: Any) -> Identity:
    try:
        return _authenticate(self, environ)
    except NotAuthenticatedError:
        if environ["PATH_INFO"] == "/me":
            return Identity("user-00001", "reader", "user-00001", 0)
        raise


SessionScheme.authenticate = _anybody  # type: ignore[method-assign]

from servers.wsgi import app  # noqa: E402 - made after the change above

__all__ = ["app"]
