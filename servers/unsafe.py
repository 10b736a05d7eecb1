"""Protections taken away on purpose, for the browser lab: what a server without them would let happen.

Each is on unless its variable says otherwise; a server that lacks one says so on stderr at its start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from flask import Flask, Response

SAME_SITE = "SameSite=Strict"
_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 16 * 1024
_VALUES = {
    "UNSAFE_COOKIE_SAMESITE": ("Strict", "Lax", "None", "absent"),
    "UNSAFE_CSRF_CHECK": ("on", "token", "off"),
    "UNSAFE_FORM_BODIES": ("off", "on"),
}
"""Variable to its values, the safe one first."""


@dataclass(frozen=True)
class Unsafe:
    """What a replica does less safely than it could; by default nothing.

    Attributes:
        cookie_samesite: the attribute of every cookie; `absent` leaves it out, and the browser decides.
        csrf_check: whether changes of state need the CSRF token and must not come from another origin; `token` is
            blind to what the browser says of the origin, so that the token alone protects.
        form_bodies: whether what a plain HTML form sends is taken as well as JSON.

    """

    cookie_samesite: str = "Strict"
    csrf_check: str = "on"
    form_bodies: str = "off"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Unsafe:
        """Read UNSAFE_COOKIE_SAMESITE, UNSAFE_CSRF_CHECK and UNSAFE_FORM_BODIES. Raises ValueError."""
        found = {}
        for variable, values in _VALUES.items():
            value = environ.get(variable, values[0])
            if value not in values:
                raise ValueError(f"{variable}={value!r} is unknown; there are: {', '.join(values)}")
            found[variable.removeprefix("UNSAFE_").lower()] = value
        return cls(**found)

    @property
    def checks_changes(self) -> bool:
        """Whether the scheme's own guard against other sites is asked."""
        return self.csrf_check != "off"


def install(app: Flask, unsafe: Unsafe) -> None:
    """Take away from `app` what `unsafe` says; a safe server is left as it is, with nothing on its path."""
    if unsafe == Unsafe():
        return
    told = ", ".join(f"{each.name}={getattr(unsafe, each.name)}" for each in fields(unsafe))
    sys.stderr.write(f"authscale: UNSAFE, for the browser lab only: {told}\n")
    if unsafe.cookie_samesite != "Strict":
        app.after_request(lambda response: _relax(response, unsafe.cookie_samesite))
    if unsafe.csrf_check == "token":
        app.wsgi_app = _BlindToOrigins(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way to wrap it
    if unsafe.form_bodies == "on":
        app.wsgi_app = _TakingForms(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way to wrap it


def _relax(response: Response, same_site: str) -> Response:
    cookies = response.headers.getlist("Set-Cookie")
    response.headers.remove("Set-Cookie")
    for cookie in cookies:
        given = f"SameSite={same_site}"
        changed = cookie.replace(f"; {SAME_SITE}", "") if same_site == "absent" else cookie.replace(SAME_SITE, given)
        response.headers.add("Set-Cookie", changed)
    return response


class _BlindToOrigins:
    """Keeps from the application what a browser says of where a request comes from."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        told = ("HTTP_SEC_FETCH_SITE", "HTTP_ORIGIN")
        return self._application({name: each for name, each in environ.items() if name not in told}, start_response)


class _TakingForms:
    """Hands the fields of a plain form to the application as the JSON that it takes."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or "0"
        if environ.get("CONTENT_TYPE", "").partition(";")[0] == _FORM and int(length) <= _MOST_BYTES:
            text = environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")
            body = json.dumps(dict(parse_qsl(text))).encode()
            environ |= {
                "CONTENT_TYPE": "application/json",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": BytesIO(body),
            }
        return self._application(environ, start_response)
