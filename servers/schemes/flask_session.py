"""Flask-Session, as its documentation sets it up: somebody else's server-side sessions, on the same interface.

It opens its backend by itself: redis-py, cachelib, Flask-SQLAlchemy or pymemcache. What it lacks (absolute timeout,
CSRF, a list of a user's sessions) it lacks here too, but for CSRF, which is ours: no one should go without.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from servers import csrf
from servers.scheme import (
    Environ,
    Identity,
    Issued,
    NotAuthenticatedError,
    SchemeFacts,
    WithoutSessions,
)
from servers.session_store import Store
from servers.timing import clock, server_timing
from servers.users import Account

if TYPE_CHECKING:
    from flask import Flask, Response

    from servers.settings import Settings

FACTS = SchemeFacts(
    name="flask-session",
    uses_store=True,
    authenticates=True,
    rank=110,
    recognises_by_store=True,
    stores=("redis", "file", "sqlite", "memcached"),
    package="flask_session",
)

_COOKIE = "session"  # Flask's default name
_CHALLENGE = 'Session realm="authscale"'
_CLEANUP_EVERY = 1000  # requests, on average, between sweeps of expired rows; the documentation's example


def open_scheme(settings: Settings, store: Store | None) -> FlaskSessionScheme:  # noqa: ARG001 - it opens its own
    """Flask-Session on the server that STORE_URL names."""
    return FlaskSessionScheme(settings)


class FlaskSessionScheme(WithoutSessions):
    """The user is what `flask.session` says; see `servers.scheme.Scheme`."""

    def __init__(self, settings: Settings) -> None:
        from flask import session  # noqa: PLC0415 - see servers.registry on start-up

        super().__init__()
        self._session: Any = session  # of whichever request this thread handles
        self._settings = settings
        self._csrf_key = settings.keys.csrf
        self._interface: Any = None

    def install(self, app: Flask) -> None:
        """Put Flask-Session's interface in place, with a clock around it."""
        from flask_session import Session  # type: ignore[import-untyped]  # noqa: PLC0415 - only where it is chosen

        app.config |= {
            "PERMANENT_SESSION_LIFETIME": timedelta(seconds=self._settings.session_idle_s),
            "SESSION_COOKIE_NAME": _COOKIE,
            "SESSION_COOKIE_SECURE": True,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Strict",
            **_backend(app, self._settings),
        }
        Session(app)
        self._interface = app.session_interface
        timed: Any = _Timed(self._interface, self._settings.replica_name)
        app.session_interface = timed

    def authenticate(self, environ: Environ) -> Identity:  # noqa: ARG002 - Flask-Session has read the cookie by now
        """See `Scheme`."""
        user = self._session.get("user")
        if user is None:
            raise NotAuthenticatedError("no session, or it has ended", _CHALLENGE)
        return Identity(user, self._session["role"], self._session["display_name"], self._session["serial"])

    def guard_change(self, environ: Environ, identity: Identity) -> None:  # noqa: ARG002 - the session is Flask's
        """See `Scheme`."""
        csrf.guard(self._csrf_key, self._session.sid, environ)

    def log_in(self, account: Account, environ: Environ) -> Issued:  # noqa: ARG002
        """See `Scheme`. A session that came along gets a new id, as the documentation asks."""
        self._interface.regenerate(self._session)
        self._session.clear()
        self._session.update(user=account.name, role=account.role, display_name=account.name, serial=0)
        return Issued(csrf.cookie_credential(_COOKIE, self._csrf_key, self._session.sid))

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`. The last of two writers wins: Flask-Session does not look whether somebody wrote meanwhile."""
        self._session["display_name"] = display_name
        self._session["serial"] += 1
        return Identity(identity.user, identity.role, display_name, self._session["serial"]), None

    def log_out(self, identity: Identity) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 - the session is Flask's
        """See `Scheme`. Flask-Session deletes an emptied session and its cookie when it saves."""
        self._session.clear()
        return ()


class _Timed:
    """Flask-Session's interface, as Flask calls one; its work before and after the view counts as authentication."""

    def __init__(self, interface: Any, replica: str) -> None:
        self._interface = interface
        self._replica = replica

    def is_null_session(self, obj: object) -> bool:
        """Also what is there when the store could not be read: there is nothing to save then."""
        return obj is None or bool(self._interface.is_null_session(obj))

    def make_null_session(self, app: Flask) -> Any:
        """As Flask's own does."""
        return self._interface.make_null_session(app)

    def open_session(self, app: Flask, request: Any) -> Any:
        """Read the session: the first thing that a request calls."""
        clock.start(request.environ)
        began = time.perf_counter_ns()
        try:
            return self._interface.open_session(app, request)
        finally:
            clock.auth_ns += time.perf_counter_ns() - began

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Write the session: after the answer was given its Server-Timing, so that it is given another."""
        began = time.perf_counter_ns()
        try:
            self._interface.save_session(app, session, response)
        finally:
            clock.auth_ns += time.perf_counter_ns() - began
            response.headers["Server-Timing"] = server_timing(self._replica)


def _backend(app: Flask, settings: Settings) -> dict[str, Any]:
    """The settings of Flask-Session for the store that STORE_URL names. Raises ValueError for another one."""
    url = settings.store_url or ""
    opened = {"redis": _redis, "file": _file, "sqlite": _sqlite, "memcached": _memcached}.get(urlsplit(url).scheme)
    if opened is None:
        raise ValueError(f"STORE_URL={url!r}: {FACTS.name} takes {', '.join(FACTS.stores)}")
    return opened(app, url, settings.store_timeout_ms / 1000)


def _redis(_app: Flask, url: str, timeout_s: float) -> dict[str, Any]:
    import redis  # noqa: PLC0415 - only where it is chosen

    client = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    return {"SESSION_TYPE": "redis", "SESSION_REDIS": _clocked(client)}


def _file(_app: Flask, url: str, _timeout_s: float) -> dict[str, Any]:
    from cachelib.file import FileSystemCache  # noqa: PLC0415 - only where it is chosen

    # the default threshold of 500 files would evict sessions that live
    cache = FileSystemCache(unquote(urlsplit(url).path), threshold=0, mode=0o600)
    return {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": _clocked(cache)}


def _memcached(_app: Flask, url: str, timeout_s: float) -> dict[str, Any]:
    from pymemcache.client.base import PooledClient  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    at = urlsplit(url)
    # by default a `set` does not wait for its reply, and would be cheaper than what every other client does
    client = PooledClient(
        (at.hostname, at.port or 11211),
        default_noreply=False,
        no_delay=True,
        timeout=timeout_s,
        connect_timeout=timeout_s,
    )
    return {"SESSION_TYPE": "memcached", "SESSION_MEMCACHED": _clocked(client)}


def _sqlite(app: Flask, url: str, timeout_s: float) -> dict[str, Any]:
    from flask_sqlalchemy import SQLAlchemy  # noqa: PLC0415 - only where it is chosen
    from sqlalchemy import event  # noqa: PLC0415

    path = unquote(urlsplit(url).path)  # absolute, which SQLAlchemy writes with one more slash
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": {"timeout": timeout_s}}
    database = SQLAlchemy(app)

    def begin(*arguments: Any) -> None:
        arguments[4].began_ns = time.perf_counter_ns()

    def end(*arguments: Any) -> None:
        clock.store_ns += time.perf_counter_ns() - arguments[4].began_ns

    with app.app_context():
        event.listen(database.engine, "before_cursor_execute", begin)
        event.listen(database.engine, "after_cursor_execute", end)
    return {
        "SESSION_TYPE": "sqlalchemy",
        "SESSION_SQLALCHEMY": database,
        "SESSION_CLEANUP_N_REQUESTS": _CLEANUP_EVERY,
    }


def _clocked(client: Any) -> Any:
    """A client whose three operations add their time to the request's clock."""

    def timed(operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter_ns()
            try:
                return operation(*arguments, **named)
            finally:
                clock.store_ns += time.perf_counter_ns() - began

        return run

    for name in ("get", "set", "delete"):
        setattr(client, name, timed(getattr(client, name)))
    return client
