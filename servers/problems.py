"""Errors as problem+json (RFC 9457), whatever raised them."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from servers.scheme import ConflictError, ForbiddenError, NoSessionsError, NotAuthenticatedError
from servers.session_store import StoreUnavailableError
from servers.users import UserTableUnavailableError

_log = logging.getLogger("servers")
_RETRY_AFTER_S = 1


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """One error answer; `detail` tells the client what to do, and nothing about the inside."""
    body = json.dumps({"title": HTTPStatus(status).phrase, "status": status, "detail": detail}).encode()
    response = Response(body, status, content_type="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def register(app: Flask) -> None:
    """Answer every error that leaves a route."""

    @app.errorhandler(NotAuthenticatedError)
    def _unauthorized(error: NotAuthenticatedError) -> Response:
        return problem(401, str(error), {"WWW-Authenticate": error.challenge})

    @app.errorhandler(ForbiddenError)
    def _forbidden(error: ForbiddenError) -> Response:
        return problem(403, str(error))

    @app.errorhandler(NoSessionsError)
    def _no_sessions(error: NoSessionsError) -> Response:
        return problem(404, str(error))

    @app.errorhandler(ConflictError)
    def _conflict(error: ConflictError) -> Response:
        return problem(409, str(error))

    @app.errorhandler(StoreUnavailableError)
    def _store_unavailable(error: StoreUnavailableError) -> Response:
        _log.warning("%s", error)
        return problem(503, "the session store does not answer", {"Retry-After": str(_RETRY_AFTER_S)})

    @app.errorhandler(UserTableUnavailableError)
    def _users_unavailable(error: UserTableUnavailableError) -> Response:
        _log.warning("%s", error)
        return problem(503, "the user table does not answer", {"Retry-After": str(_RETRY_AFTER_S)})

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        # what belongs to the status, such as Allow with a 405
        own = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        return problem(error.code or 500, error.description or "", own)

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        _log.error("unexpected", exc_info=error)
        return problem(500, "an error of the server's own; its log has more")
