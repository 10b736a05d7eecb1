"""From tables of an experiment's file to what is sent to a target and which answers count; part of `reading`.

Each raises SpecError with `where` the table stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from loadtests.keys import Kinds, check_keys
from loadtests.samples import MUST_REFUSE
from loadtests.targets.spec import (
    BEARER,
    COOKIE,
    CSRF_PAGE,
    LOGIN,
    LOGIN_PAGE,
    Expect,
    Hidden,
    Login,
    Refusal,
    Request,
)
from topology.spec import SpecError, one_of

USERNAME, PASSWORD, TOKEN = "{username}", "{password}", "{token}"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""Of a target, which is a folder's name, too, and of a request."""

_MESSAGE: Kinds = {
    "method": str, "json": dict, "form": dict, "body": str, "content_type": str, "headers": dict, "expect": dict,
}  # fmt: skip
_LOGIN: Kinds = {**_MESSAGE, "credential": str, "token": str, "header": str, "page_token": dict}
_REQUEST: Kinds = {**_MESSAGE, "weight": int, "public": bool}
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BODIES = ("json", "form", "body")
_HEADER = re.compile(r"[A-Za-z0-9-]+: [^\r\n]+")
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]+\}")
_SECRET_HEADERS = ("authorization", "cookie", "x-api-key")
_RESERVED = (LOGIN, LOGIN_PAGE, CSRF_PAGE, *MUST_REFUSE)
_SIGNED_IN = (200, 201, 204, 302, 303)
_MOST_WEIGHT = 1000
_STATUSES = range(200, 600)


def login(where: str, given: Mapping[str, Any]) -> Login:
    """How to sign in, and what to send from then on."""
    check_keys(where, given, {"path": str}, _LOGIN)
    credential = one_of(f"{where}: credential", given.get("credential", COOKIE), (COOKIE, BEARER))
    for key in () if credential == BEARER else ("token", "header"):
        if key in given:
            raise SpecError(f"{where}: {key} does nothing with cookies; it is of credential = {BEARER!r}")
    sent_as = _message(where, LOGIN, {"method": "POST", **given}, _SIGNED_IN)
    sent = " ".join((sent_as.path, sent_as.body, *(sent_as.form or {}).values(), *sent_as.headers.values()))
    if PASSWORD not in sent:
        raise SpecError(
            f"{where}: {PASSWORD} stands nowhere in it: a password belongs into the file of credentials, not here"
        )
    made = Login(sent_as, credential, page_token=_page_token(where, given))
    header = given.get("header", made.header)
    if not _HEADER.fullmatch(header) or header.count(TOKEN) != 1:
        raise SpecError(f"{where}: header {header!r} is no line with one {TOKEN}, such as {made.header!r}")
    return Login(sent_as, credential, given.get("token", made.token), header, made.page_token)


def _page_token(where: str, given: Mapping[str, Any]) -> Hidden | None:
    if "page_token" not in given:
        return None
    found = hidden(f"{where} page_token", given["page_token"])
    if not found.path:
        raise SpecError(f"{where} page_token: 'path' is missing: the page that a browser loads before it signs in")
    if not found.header and "form" not in given:
        raise SpecError(f"{where} page_token: it goes back in a form, and the sign-in has none; name its header")
    return found


def hidden(where: str, given: Mapping[str, Any]) -> Hidden:
    """Where a CSRF token is, and where it goes back."""
    check_keys(where, given, {}, dict.fromkeys(("path", "field", "cookie", "header"), str))
    found = Hidden(**given)
    if bool(found.field) == bool(found.cookie):
        raise SpecError(f"{where}: either field (of an input or a meta on the page at path), or cookie")
    if found.field and not found.path:
        raise SpecError(f"{where}: 'path' is missing: the page that has the field {found.field}")
    if found.cookie and not found.header:
        raise SpecError(f"{where}: 'header' is missing: where the value of the cookie {found.cookie} goes back")
    return found


def request(where: str, given: Any) -> Request:
    """One of `[[target.requests]]`."""
    check_keys(where, table(where, given), {"name": str, "path": str}, _REQUEST)
    name = given["name"]
    if not NAME.fullmatch(name) or name in _RESERVED:
        raise SpecError(f"{where}: name {name!r}: small letters, digits, - and _, and none of {', '.join(_RESERVED)}")
    weight = given.get("weight", 1)
    if not 1 <= weight <= _MOST_WEIGHT:
        raise SpecError(f"{where}: {name}: weight must lie between 1 and {_MOST_WEIGHT}, not {weight}")
    made = _message(f"{where}: {name}", name, given, (200,))
    if PASSWORD in " ".join((made.path, made.body, *(made.form or {}).values(), *made.headers.values())):
        raise SpecError(f"{where}: {name}: {PASSWORD} is for the sign-in alone")
    return made


def _message(where: str, name: str, given: Mapping[str, Any], status: tuple[int, ...]) -> Request:
    """The part that a sign-in and a request share."""
    if not given["path"].startswith("/") or re.search(r"\s", given["path"]):
        raise SpecError(f"{where}: path {given['path']!r} is none: it begins with / and has no blanks")
    bodies = [key for key in _BODIES if key in given]
    if len(bodies) > 1:
        raise SpecError(f"{where}: {' and '.join(bodies)}: one body alone")
    method = one_of(f"{where}: method", given.get("method", "GET"), _METHODS)
    if bodies and method == "GET":
        raise SpecError(f'{where}: a GET has no body; method = "POST" or another goes with {bodies[0]}')
    form = _texts(f"{where} form", given["form"]) if "form" in given else None
    body = json.dumps(given["json"]) if "json" in given else given.get("body", "")
    usual = "application/json" if form is None else "application/x-www-form-urlencoded"
    made = Request(
        name=name,
        path=given["path"],
        method=method,
        weight=given.get("weight", 1),
        body=body,
        form=form,
        content_type=given.get("content_type", usual if bodies else ""),
        headers=_headers(where, given.get("headers", {})),
        expect=_expect(f"{where} expect", given.get("expect", {}), status),
        public=given.get("public", False),
    )
    texts = (
        *(made.path, body, made.expect.body_contains),
        *(form or {}).values(), *made.expect.json.values(), *made.headers.values(),
    )  # fmt: skip
    _placeholders(where, texts)
    return made


def _placeholders(where: str, texts: Iterable[str]) -> None:
    for text in texts:
        for found in _PLACEHOLDER.findall(text):
            one_of(f"{where}: placeholder", found, (USERNAME, PASSWORD))


def _headers(where: str, given: Mapping[str, Any]) -> dict[str, str]:
    headers = _texts(f"{where} headers", given)
    for name, value in headers.items():
        if name.lower() in _SECRET_HEADERS:
            raise SpecError(f"{where} headers: {name} carries a credential, which [target.login] makes; not here")
        if name.lower() in ("content-type", "content-length", "host") or not _HEADER.fullmatch(f"{name}: {value}"):
            raise SpecError(f"{where} headers: {name!r} cannot be set so; content_type is a key of its own")
    return headers


def _texts(where: str, given: Mapping[str, Any]) -> dict[str, str]:
    for key, value in given.items():
        if not isinstance(value, str):
            raise SpecError(f"{where}: {key} is not a text: {value!r}")
    return dict(given)


def _expect(where: str, given: Mapping[str, Any], status: tuple[int, ...]) -> Expect:
    check_keys(where, given, {}, {"status": list, "body_contains": str, "json": dict})
    texts = _texts(f"{where} json", given.get("json", {}))
    return Expect(_statuses(where, given.get("status", status)), given.get("body_contains", ""), texts)


def _statuses(where: str, given: Iterable[Any]) -> tuple[int, ...]:
    found = tuple(given)
    if not found or any(each not in _STATUSES for each in found):
        raise SpecError(f"{where}: status is a list of HTTP statuses, such as [200], not {list(found)!r}")
    return found


def refusal(where: str, given: Mapping[str, Any]) -> Refusal:
    """What a refusal looks like."""
    check_keys(where, given, {}, {"status": list, "redirect_to": str})
    return Refusal(_statuses(where, given.get("status", Refusal.status)), given.get("redirect_to", ""))


def table(where: str, given: Any) -> dict[str, Any]:
    """`given`, which must be a table."""
    if not isinstance(given, dict):
        raise SpecError(f"{where}: {given!r} is not a table")
    return given
