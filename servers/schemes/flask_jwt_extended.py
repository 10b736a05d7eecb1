"""Flask-JWT-Extended, as its documentation sets it up: somebody else's bearer tokens, on the same interface."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from servers.scheme import Environ, Identity, Issued, NotAuthenticatedError, SchemeFacts, WithoutSessions
from servers.session_store import Store
from servers.users import Account

if TYPE_CHECKING:
    from flask import Flask

    from servers.settings import Settings

FACTS = SchemeFacts(
    name="flask-jwt-extended", uses_store=False, authenticates=True, rank=120, package="flask_jwt_extended"
)

_REALM = 'Bearer realm="authscale"'


def open_scheme(settings: Settings, store: Store | None) -> FlaskJwtExtendedScheme:  # noqa: ARG001 - it needs none
    """HS256 tokens under the topology's key."""
    return FlaskJwtExtendedScheme(settings)


class FlaskJwtExtendedScheme(WithoutSessions):
    """The user is what the extension's verified token says; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings) -> None:
        import flask_jwt_extended  # noqa: PLC0415 - only where it is chosen
        from flask_jwt_extended import exceptions  # noqa: PLC0415
        from jwt import PyJWTError  # noqa: PLC0415

        super().__init__()
        self._settings = settings
        self._extension: Any = flask_jwt_extended
        self._absent = exceptions.NoAuthorizationError
        # PyJWT raises the others on claims of strange types
        self._invalid = (exceptions.JWTExtendedException, PyJWTError, ValueError, TypeError, RecursionError)

    def install(self, app: Flask) -> None:
        """Register the extension; who issues and who is meant is set and checked, as in the token scheme."""
        settings = self._settings
        app.config |= {
            "JWT_SECRET_KEY": settings.keys.token,
            "JWT_ALGORITHM": "HS256",
            "JWT_TOKEN_LOCATION": ["headers"],
            "JWT_ACCESS_TOKEN_EXPIRES": timedelta(seconds=settings.token_ttl_s),
            "JWT_ENCODE_ISSUER": settings.token_issuer,
            "JWT_DECODE_ISSUER": settings.token_issuer,
            "JWT_ENCODE_AUDIENCE": settings.token_audience,
            "JWT_DECODE_AUDIENCE": settings.token_audience,
        }
        self._extension.JWTManager(app)

    def authenticate(self, environ: Environ) -> Identity:  # noqa: ARG002 - the extension reads Flask's request
        """See `Scheme`."""
        try:
            _, claims = self._extension.verify_jwt_in_request()
            return Identity(claims["sub"], claims["role"], claims["name"], claims["serial"], expires=int(claims["exp"]))
        except self._absent as error:
            raise NotAuthenticatedError("no bearer token", _REALM) from error
        except (*self._invalid, KeyError) as error:
            raise NotAuthenticatedError("the token is not valid", f'{_REALM}, error="invalid_token"') from error

    def log_in(self, account: Account, environ: Environ) -> Issued:  # noqa: ARG002 - nothing earlier can be ended
        """See `Scheme`."""
        return self._issue(account.name, account.role, account.name, 0, self._settings.token_ttl_s)

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`. As in the token scheme, the new token ends when the old one would have."""
        changed = Identity(identity.user, identity.role, display_name, identity.serial + 1, expires=identity.expires)
        left_s = max(1, (identity.expires or 0) - int(time.time()))
        return changed, self._issue(identity.user, identity.role, display_name, changed.serial, left_s)

    def _issue(self, user: str, role: str, name: str, serial: int, lifetime_s: int) -> Issued:
        token = self._extension.create_access_token(
            identity=user,
            additional_claims={"role": role, "name": name, "serial": serial},
            expires_delta=timedelta(seconds=lifetime_s),
        )
        return Issued({"kind": "bearer", "access_token": token, "token_type": "Bearer", "expires_in": lifetime_s})
