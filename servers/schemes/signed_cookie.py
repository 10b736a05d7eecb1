"""Flask's own session cookie: the state in the cookie, signed and not encrypted, and nothing on the server.

What Flask users have when they choose nothing (`flask.sessions.SecureCookieSessionInterface`: itsdangerous, HMAC-SHA1
under Flask's salt, tagged JSON, a timestamp), set up as a careful team would: a `__Host-` cookie, an end inside the
payload that a change does not put off, CSRF bound to a random id of each sign-in.

Nothing of it can be ended on the server. Signing out makes this browser forget the cookie; a copy of it stays good
until it expires, whether its user signed out, changed the password or was disabled.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from servers import csrf
from servers.cookies import MAX_BYTES, cookie_value, set_cookie
from servers.scheme import (
    Environ,
    Identity,
    Issued,
    NotAuthenticatedError,
    SchemeFacts,
    WithoutSessions,
)
from servers.session_store import Store
from servers.users import Account

if TYPE_CHECKING:
    from servers.settings import Settings

FACTS = SchemeFacts(name="signed_cookie", uses_store=False, authenticates=True, rank=40)

COOKIE = "__Host-session"
_SIGN_IN_BYTES = 16
_CHALLENGE = 'Session realm="authscale"'


def open_scheme(settings: Settings, store: Store | None) -> SignedCookieScheme:  # noqa: ARG001 - it needs none
    """Cookies under the topology's key."""
    return SignedCookieScheme(settings)


class SignedCookieScheme(WithoutSessions):
    """One HMAC recognises a user; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings) -> None:
        from flask import Flask  # noqa: PLC0415 - see servers.registry on start-up
        from flask.sessions import SecureCookieSessionInterface  # noqa: PLC0415
        from itsdangerous import BadSignature  # noqa: PLC0415

        super().__init__()
        app = Flask("signed_cookie", static_folder=None)
        app.secret_key = hmac.digest(settings.keys.token, b"authscale signed cookie", "sha256")
        self._serializer: Any = SecureCookieSessionInterface().get_signing_serializer(app)
        self._bad_signature = BadSignature
        self._csrf_key = settings.keys.csrf
        self._absolute_s = settings.session_absolute_s

    def authenticate(self, environ: Environ) -> Identity:
        """See `Scheme`."""
        value = cookie_value(environ, COOKIE)
        if value is None or len(value) > MAX_BYTES:
            raise NotAuthenticatedError("no session cookie", _CHALLENGE)
        try:
            state = self._serializer.loads(value, max_age=self._absolute_s)  # as Flask does
        except self._bad_signature as error:
            raise NotAuthenticatedError("the session cookie is not valid, or has expired", _CHALLENGE) from error
        if time.time() >= state["exp"]:
            raise NotAuthenticatedError("the session has expired", _CHALLENGE)
        return Identity(
            state["user"], state["role"], state["name"], state["serial"], expires=state["exp"], sign_in=state["id"]
        )

    def guard_change(self, environ: Environ, identity: Identity) -> None:
        """See `Scheme`."""
        csrf.guard(self._csrf_key, identity.sign_in or "", environ)

    def log_in(self, account: Account, environ: Environ) -> Issued:  # noqa: ARG002 - nothing earlier can be ended
        """See `Scheme`."""
        ends = int(time.time()) + self._absolute_s
        sign_in = secrets.token_urlsafe(_SIGN_IN_BYTES)
        return self._issue(Identity(account.name, account.role, account.name, 0, expires=ends, sign_in=sign_in))

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`. Two changes at once each answer a cookie, and the browser keeps the last: one is lost."""
        changed = replace(identity, display_name=display_name, serial=identity.serial + 1)
        return changed, self._issue(changed)

    def log_out(self, identity: Identity) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 - it is not kept anywhere
        """See `Scheme`."""
        return (set_cookie(COOKIE, "", 0),)

    def _issue(self, identity: Identity) -> Issued:
        ends, sign_in = identity.expires or 0, identity.sign_in or ""
        state = {
            "user": identity.user,
            "role": identity.role,
            "name": identity.display_name,
            "serial": identity.serial,
            "exp": ends,
            "id": sign_in,
        }
        credential = csrf.cookie_credential(COOKIE, self._csrf_key, sign_in)
        left_s = max(0, ends - int(time.time()))
        return Issued(credential, (set_cookie(COOKIE, self._serializer.dumps(state), left_s),))
