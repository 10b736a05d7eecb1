"""Loaded by schemathesis: each case signs in anew, as any client would, because some cases sign out."""

from __future__ import annotations

import os
from typing import Any

import schemathesis

from servers import users
from tests.security.client import Login, ask

USER = "SCHEMATHESIS_USER"


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """The credential that the login's reply asks for, with the token against forgery where there is one."""

    def get(self, case: Any, context: Any) -> Login:  # noqa: ARG002 - the protocol of schemathesis
        """Sign in."""
        url = case.operation.base_url
        return Login.of(ask(url, "POST", "/login", body={"username": os.environ[USER], "password": users.PASSWORD}))

    def set(self, case: Any, data: Login, context: Any) -> None:  # noqa: ARG002 - the protocol of schemathesis
        """Put it into the request."""
        for name, value in data.change.items():
            if name == "Cookie":
                cookie, _, secret = value.partition("=")
                case.cookies = {**(case.cookies or {}), cookie: secret}
            else:
                case.headers[name] = value
