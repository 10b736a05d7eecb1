"""How one user talks to a target: signs in, sends requests with what it was given, and knows which answers count.

Free of I/O: whoever holds the connection sends what is `Asked` and hands back the answer, whether that is a virtual
user under load or the check before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode

from loadtests import samples
from loadtests.client import Answer
from loadtests.targets.cookies import Jar
from loadtests.targets.messages import PASSWORD, TOKEN, USERNAME
from loadtests.targets.page import hidden_value, redirected_to, text_at
from loadtests.targets.people import Person
from loadtests.targets.spec import BEARER, CSRF_PAGE, LOGIN_PAGE, Expect, Hidden, Refusal, Request, Target

NOBODY: Person = ("", "")


class Asked(NamedTuple):
    """One request, ready for the socket: header lines each with its CRLF, that of the credential apart.

    `find` reads from the answer what the next request needs; an answer without it is not a right one.
    """

    operation: str
    method: bytes
    path: bytes
    lines: bytes
    credential: bytes
    body: bytes
    expect: Expect
    find: Callable[[Answer], str] | None = None


Exchange = Callable[[Asked], Answer]
"""Sends a request and returns its answer, which `Conversation.judge` and `heard` have been told of."""


class Conversation:
    """Of one user with one target. Not for use by two greenlets at once."""

    def __init__(self, target: Target, person: Person = NOBODY) -> None:
        self._target = target
        self._person = person
        self._jar = Jar()
        self._token = ""
        self._csrf = ""
        self._prepared: dict[str, Asked] = {}

    def sign_in(self, exchange: Exchange) -> str:
        """Do all that a browser does to be signed in; returns what went wrong, empty for nothing."""
        login = self._target.login
        if login is None:
            return ""
        page_token = ""
        if login.page_token:
            page_token, wrong = self._fetch(LOGIN_PAGE, login.page_token, exchange)
            if wrong:
                return wrong
        asked = self._with_token(self._made(login.request), login.request, login.page_token, page_token)
        if login.credential == BEARER:
            asked = asked._replace(find=lambda answer: text_at(answer.body, login.token) or "")
        answer = exchange(asked)
        if self.judge(asked, answer) != samples.OK:
            # the body may hold a credential, and this ends up in a log
            lacks = asked.find is not None and answer.status in asked.expect.status
            what = f"{answer.status} without a text at {login.token}" if lacks else told(answer)
            return f"{login.request.title}: {what}"
        self._token = asked.find(answer) if asked.find else ""
        if self._target.csrf:
            self._csrf, wrong = self._fetch(CSRF_PAGE, self._target.csrf, exchange)
            return wrong
        return ""

    def asked(self, request: Request) -> Asked:
        """A request with the credential of this user at present."""
        known = self._prepared.get(request.name)
        if known is None:
            known = self._made(request)
            if request.changes:
                known = self._with_token(known, request, self._target.csrf, self._csrf)
            self._prepared[request.name] = known
        credential = self._credential(known.path)
        if credential != known.credential:
            known = self._prepared[request.name] = known._replace(credential=credential)
        return known

    def asked_by_nobody(self, request: Request) -> Asked:
        """The same without any credential."""
        return self.asked(request)._replace(credential=b"")

    def asked_by_a_forger(self, request: Request) -> Asked:
        """The same with a credential of which one letter was changed: of a signature, or of an id that is nobody's."""
        known = self.asked(request)
        if self._token:
            return known._replace(credential=self._line(garbled(self._token)))
        pairs = known.credential.removeprefix(b"Cookie: ").removesuffix(b"\r\n").split(b"; ")
        changed = [name + b"=" + garbled(value.decode("latin-1")).encode("latin-1")
                   for name, _, value in (pair.partition(b"=") for pair in pairs)]  # fmt: skip
        return known._replace(credential=b"Cookie: " + b"; ".join(changed) + b"\r\n")

    def heard(self, answer: Answer) -> None:
        """Keep what an answer sets."""
        self._jar.follow(answer)

    def judge(self, asked: Asked, answer: Answer) -> str:
        """The sample's outcome. Who is sent to the page for signing in is refused, whatever the status."""
        if answer.failure is not None:
            return samples.TIMEOUT if isinstance(answer.failure, TimeoutError) else samples.FAILED
        refused = self._target.refused
        if _is_sent_away(refused, answer):
            return samples.REFUSED
        if self._is_right(asked, answer):
            return samples.OK
        return samples.REFUSED if answer.status in refused.status else samples.ERROR

    def _is_right(self, asked: Asked, answer: Answer) -> bool:
        expect = asked.expect
        if answer.status not in expect.status or expect.body_contains.encode() not in answer.body:
            return False
        if any(text_at(answer.body, path) != text for path, text in expect.json.items()):
            return False
        return asked.find is None or bool(asked.find(answer))

    def _fetch(self, operation: str, hidden: Hidden, exchange: Exchange) -> tuple[str, str]:
        """A CSRF token, and what went wrong."""
        if not hidden.path:
            found = unquote(self._jar.value(hidden.cookie))  # as a page's script reads it
            return found, "" if found else f"no cookie {hidden.cookie} was set"
        page = self.asked(Request(operation, hidden.path))
        if hidden.field:
            page = page._replace(find=lambda answer: hidden_value(answer.body, hidden.field))
        answer = exchange(page)
        if self.judge(page, answer) != samples.OK:
            without = f" without a field {hidden.field}" if answer.status in page.expect.status else ""
            return "", f"GET {hidden.path}: {told(answer)}{without}"
        found = page.find(answer) if page.find else unquote(self._jar.value(hidden.cookie))
        return found, "" if found else f"GET {hidden.path} set no cookie {hidden.cookie}"

    def _credential(self, path: bytes) -> bytes:
        login = self._target.login
        if login and login.credential == BEARER and self._token:
            return self._line(self._token)
        return self._jar.line(path)

    def _line(self, token: str) -> bytes:
        login = self._target.login
        return f"{login.header}\r\n".replace(TOKEN, token).encode() if login else b""

    def _made(self, request: Request) -> Asked:
        name, password = self._person

        def said(text: str, escape: Callable[[str], str] = str) -> str:
            return text.replace(USERNAME, escape(name)).replace(PASSWORD, escape(password))

        def in_json(text: str) -> str:
            return json.dumps(text)[1:-1]

        headers = {key: said(value) for key, value in request.headers.items()}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        body = said(request.body, in_json if "json" in request.content_type else str)
        if request.form is not None:
            body = urlencode({key: said(value) for key, value in request.form.items()})
        expect = Expect(
            request.expect.status,
            said(request.expect.body_contains),
            {path: said(text) for path, text in request.expect.json.items()},
        )
        return Asked(
            request.name,
            request.method.encode(),
            said(request.path, lambda text: quote(text, safe="")).encode(),
            "".join(f"{key}: {value}\r\n" for key, value in headers.items()).encode(),
            b"",
            body.encode(),
            expect,
        )

    def _with_token(self, asked: Asked, request: Request, hidden: Hidden | None, token: str) -> Asked:
        """The request with a CSRF token where `hidden` says that it goes; the credential is laid on it later."""
        asked = asked._replace(credential=self._credential(asked.path))
        if hidden is None:
            return asked
        if hidden.header:
            return asked._replace(lines=asked.lines + f"{hidden.header}: {token}\r\n".encode())
        if request.form is None:
            return asked
        body = b"&".join(part for part in (asked.body, urlencode({hidden.field: token}).encode()) if part)
        return asked._replace(body=body)


def garbled(value: str) -> str:
    """A credential with one letter changed: the first of the last part, a signature where there is one."""
    start = value.rfind(".") + 1
    start = start if start < len(value) else 0
    if value[start : start + 1] == '"':
        start += 1
    other = "A" if value[start : start + 1] != "A" else "B"
    return value[:start] + other + value[start + 1 :]


def told(answer: Answer) -> str:
    """An answer in a few words."""
    if answer.failure is not None:
        return str(answer.failure) or type(answer.failure).__name__
    where = redirected_to(answer)
    return f"{answer.status}" + (f" to {where}" if where else f" {_beginning(answer.body)}".rstrip())


def _beginning(body: bytes) -> str:
    return " ".join(body[:120].decode(errors="replace").split())


def _is_sent_away(refused: Refusal, answer: Answer) -> bool:
    return bool(refused.redirect_to) and redirected_to(answer).startswith(refused.redirect_to)
