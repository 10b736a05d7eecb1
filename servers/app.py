"""The Flask application: the routes, the same for every scheme (servers/openapi.yaml)."""

from __future__ import annotations

import json
import time
from typing import Any

from flask import Flask, Response, request
from flask.sessions import SessionInterface
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from servers import csrf, problems, schemes, stores, unsafe
from servers.scheme import (
    ConflictError,
    FlaskExtension,
    ForbiddenError,
    Identity,
    Issued,
    NoSessionsError,
    NotAuthenticatedError,
    Scheme,
)
from servers.session_store import Session, StoreUnavailableError
from servers.settings import Settings
from servers.timing import TimedStore, burn, clock, server_timing
from servers.users import ADMINISTRATOR, Account, UserTable

_MAX_BODY_BYTES = 16 * 1024
_MAX_DISPLAY_NAME = 64
_LOGIN = 'Login realm="authscale"'


class _NoFlaskSession(SessionInterface):
    """Flask's own session would be a second one: ours is what is measured."""

    def open_session(self, app: Flask, request: Any) -> None:  # noqa: ARG002 - the signature is Flask's
        """None: Flask then uses its null session and saves nothing. It is the first thing that a request calls."""
        clock.start(request.environ)


def create_app(settings: Settings) -> Flask:
    """The application of one replica. Raises ValueError when the store's URL or the user table is wrong."""
    store = None
    if settings.store_url is not None and schemes.facts()[settings.scheme].package is None:
        store = TimedStore(stores.open_store(settings.store_url, settings.store_timeout_ms))
    scheme = schemes.open_scheme(settings, store)
    twin = _Twin(scheme, UserTable(settings.users_db), settings)
    app = Flask("servers", static_folder=None)
    app.session_interface = _NoFlaskSession()
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # a path that is none of ours is a 404, not a redirect to one that is
    for rule, method, view in (
        ("/healthz", "GET", twin.healthz),
        ("/login", "POST", twin.login),
        ("/me", "GET", twin.me),
        ("/profile", "POST", twin.profile),
        ("/refresh", "POST", twin.refresh),
        ("/password", "POST", twin.password),
        ("/logout", "POST", twin.logout),
        ("/logout-all", "POST", twin.logout_all),
        ("/sessions", "GET", twin.sessions),
        ("/sessions/<id_>", "DELETE", twin.end_session),
        ("/users/<name>/sessions", "DELETE", twin.end_sessions_of),
        ("/users/<name>/disable", "POST", twin.disable),
        ("/.well-known/jwks.json", "GET", twin.jwks),
    ):
        app.add_url_rule(rule, view_func=view, methods=[method])
    problems.register(app)
    app.before_request(_take_body)
    if isinstance(scheme, FlaskExtension):
        scheme.install(app)

    unsafe.install(app, settings.unsafe)

    @app.after_request
    def _tell(response: Response) -> Response:
        response.headers["Server-Timing"] = server_timing(settings.replica_name)
        return response

    return app


def _take_body() -> None:
    # one that is refused unread closes the connection behind the answer, and the balancer's next request on it is lost
    if request.method != "GET":
        request.get_data()


class _Twin:
    """The routes over one scheme."""

    def __init__(self, scheme: Scheme, users: UserTable, settings: Settings) -> None:
        self._scheme = scheme
        self._checks_changes = settings.unsafe.checks_changes
        self._users = users
        self._spin_us, self._work_s, self._work_cpu_us = (
            settings.spin_us,
            settings.work_ms / 1000,
            settings.work_cpu_ms * 1000,
        )

    def healthz(self) -> Response:
        return _json({"status": "ok"})

    def login(self) -> Response:
        if csrf.is_cross_site(request.environ):
            raise ForbiddenError("a form of another site must not sign anybody in here")
        name, password = _fields("username", "password")
        account = self._users.verify(name, password)
        if account is None:
            raise NotAuthenticatedError("unknown user or wrong password", _LOGIN)
        return _json({"user": account.name, "role": account.role}, self._sign_in(account))

    def me(self) -> Response:
        identity = self._authenticate()
        if self._work_s:
            time.sleep(self._work_s)  # as on an answer from elsewhere: the thread is taken, the processor is not
        if self._work_cpu_us:
            burn(self._work_cpu_us)
        return _json(_told(identity))

    def profile(self) -> Response:
        identity = self._authenticate_change()
        (display_name,) = _fields("display_name")
        if not 0 < len(display_name) <= _MAX_DISPLAY_NAME or not display_name.isprintable():
            raise BadRequest(f"display_name takes 1 to {_MAX_DISPLAY_NAME} printable characters")
        changed, issued = self._scheme.change(identity, display_name)
        return _json(_told(changed), issued)

    def logout(self) -> Response:
        return _gone(*self._scheme.log_out(self._authenticate_change()))

    def logout_all(self) -> Response:
        identity = self._authenticate_change()
        self._scheme.log_out_everywhere(identity.user)
        return _gone(*self._scheme.log_out(identity))

    def sessions(self) -> Response:
        identity = self._authenticate()
        own = identity.session.id if identity.session else identity.sign_in
        return _json({"sessions": [_listed(each, own) for each in self._scheme.sessions(identity)]})

    def end_session(self, id_: str) -> Response:
        identity = self._authenticate_change()
        if not self._scheme.end_session(identity, id_):
            return problems.problem(404, "you have no such session")
        return Response(status=204, headers={"Cache-Control": "no-store"})

    def refresh(self) -> Response:
        if csrf.is_cross_site(request.environ):
            raise ForbiddenError("a request of another site must not change anything here")
        token = _fields("refresh_token")[0] if request.get_data() else None
        return _json({}, self._scheme.refresh(token, request.environ))

    def password(self) -> Response:
        identity = self._authenticate_change()
        current, new = _fields("current_password", "new_password")
        account = self._users.verify(identity.user, current)
        if account is None:
            raise ForbiddenError("the current password is wrong; nothing was changed")
        try:
            changed = self._users.set_password(account, new)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        if changed is None:
            raise ConflictError("the account changed meanwhile; nothing was written")
        try:  # whoever else signed in with the old password is out; this client goes on with a new credential
            self._end_all(account.name)
        except StoreUnavailableError:
            # both or neither: a new password beside sessions of who knew the old one is what nobody expects
            self._users.restore(changed, account)
            raise
        return _json({}, self._sign_in(changed))

    def end_sessions_of(self, name: str) -> Response:
        self._authenticate_administrator()
        if self._users.find(name) is None:
            return problems.problem(404, "there is no such user")
        return _json({"ended": self._scheme.log_out_everywhere(name)})

    def disable(self, name: str) -> Response:
        self._authenticate_administrator()
        if not self._users.disable(name):
            return problems.problem(404, "there is no such user")
        return _json({"ended": self._end_all(name)})

    def jwks(self) -> Response:
        return _json({"keys": self._scheme.jwks()})

    def _sign_in(self, account: Account) -> Issued:
        """A credential. Who is disabled, or whose password changes, while being signed in is out again."""
        issued = self._scheme.log_in(account, request.environ)
        if not self._users.is_current(account):
            # sessions of this user were ended a moment ago, perhaps before this one was there
            self._end_all(account.name)
            raise NotAuthenticatedError("the account changed meanwhile; sign in again", _LOGIN)
        return issued

    def _end_all(self, user: str) -> int | None:
        """How many sessions ended; None in a scheme that keeps none."""
        try:
            return self._scheme.log_out_everywhere(user)
        except NoSessionsError:
            return None

    def _authenticate(self) -> Identity:
        began = time.perf_counter_ns()
        try:
            if self._spin_us:
                burn(self._spin_us)
            return self._scheme.authenticate(request.environ)
        finally:
            clock.auth_ns += time.perf_counter_ns() - began

    def _authenticate_change(self) -> Identity:
        identity = self._authenticate()
        if self._checks_changes:
            self._scheme.guard_change(request.environ, identity)
        return identity

    def _authenticate_administrator(self) -> None:
        if self._authenticate_change().role != ADMINISTRATOR:
            raise ForbiddenError(f"this takes the role {ADMINISTRATOR}")


def _json(document: dict[str, Any], issued: Issued | None = None) -> Response:
    if issued is not None:
        document["credential"] = issued.credential
    body = json.dumps(document, separators=(",", ":")).encode()
    response = Response(body, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    for name, value in issued.headers if issued else ():
        response.headers.add(name, value)
    return response


def _gone(*headers: tuple[str, str]) -> Response:
    response = Response(status=204)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
    for name, value in headers:
        response.headers.add(name, value)
    return response


def _fields(*names: str) -> list[str]:
    if request.mimetype != "application/json":
        # also what keeps a plain form of another site out: it cannot send this type
        raise UnsupportedMediaType("send application/json")
    try:
        document = request.get_json()
    except RecursionError as error:
        raise BadRequest("nested too deeply") from error
    if not isinstance(document, dict) or not all(isinstance(document.get(name), str) for name in names):
        raise BadRequest(f"send a JSON object with text in: {', '.join(names)}")
    return [document[name] for name in names]


def _told(identity: Identity) -> dict[str, Any]:
    return {
        "user": identity.user,
        "role": identity.role,
        "display_name": identity.display_name,
        "serial": identity.serial,
    }


def _listed(session: Session, own: str | None) -> dict[str, Any]:
    return {
        "id": session.id,
        "created": session.created,
        "last_accessed": session.last_accessed,
        "expires": session.expires,
        "address": session.address,
        "user_agent": session.user_agent,
        "current": session.id == own,
    }
