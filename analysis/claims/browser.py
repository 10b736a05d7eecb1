"""What a real browser lets other people's scripts and pages do (lab.json)."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.claims.conjunction import Part, judged
from analysis.claims.evidence import Claim, Evidence, Judged

PLACE = 90
_COMMAND = "make browser-lab"

Fact = tuple[str, str, bool]
"""A name in lab.json, the claim's part that it decides, and what it must be."""

_STORAGE: tuple[Fact, ...] = (
    ("browser_storage_read", "a token in browser storage is readable", True),
    ("http_only_cookie_read", "an HttpOnly cookie is not", False),
)
_CSRF: tuple[Fact, ...] = (
    ("cookie_sent_by_itself", "a cookie is sent by itself", True),
    ("unprotected_cookie_changed", "it needs protection", True),
    ("bearer_sent_by_itself", "a bearer header is not sent", False),
    ("bearer_changed", "a bearer needs no protection", False),
)
_OUTCOMES: Mapping[str, tuple[str, str]] = {
    "browser_storage_read": ("injected script read localStorage and sessionStorage", "injected script read no storage"),
    "http_only_cookie_read": ("it read an HttpOnly cookie", "it did not read an HttpOnly cookie"),
    "variable_read": ("it read a variable", "it read no variable"),
    "http_only_cookie_used_in_page": (
        "it used an HttpOnly cookie from within the page",
        "it could not use an HttpOnly cookie from within the page",
    ),
    "cookie_sent_by_itself": ("another site's page had the cookie sent", "no other site's page had the cookie sent"),
    "unprotected_cookie_changed": (
        "without SameSite and a check it changed the user's state",
        "it changed nothing even without SameSite and a check",
    ),
    "bearer_sent_by_itself": ("it had a bearer token sent", "it had no bearer token sent"),
    "bearer_changed": ("and changed state by it", "and changed nothing by one"),
    "lax_cookie_changed_by_another_site": ("SameSite=Lax did not stop it", "SameSite=Lax stopped it"),
    "strict_cookie_changed_by_a_sibling": (
        "SameSite=Strict did not stop a sibling host",
        "SameSite=Strict stopped a sibling host",
    ),
    "checked_cookie_changed": ("the CSRF token did not stop it", "the CSRF token stopped it"),
}
_BESIDES = {
    "header-storage": ("variable_read", "http_only_cookie_used_in_page"),
    "cookie-csrf": (
        "lax_cookie_changed_by_another_site",
        "strict_cookie_changed_by_a_sibling",
        "checked_cookie_changed",
    ),
}
"""Facts that the detail tells besides: they decide nothing."""


def _storage(evidence: Evidence) -> Judged | None:
    return _judged(evidence, "header-storage", _STORAGE)


def _csrf(evidence: Evidence) -> Judged | None:
    return _judged(evidence, "cookie-csrf", _CSRF)


def _judged(evidence: Evidence, claim: str, facts: tuple[Fact, ...]) -> Judged | None:
    if evidence.lab is None:
        return None
    found: Mapping[str, bool | None] = evidence.lab["claims"][claim]
    besides = "; ".join(_told(name, found[name]) for name in _BESIDES[claim] if found.get(name) is not None)
    parts = [_part(found.get(name), says, name, wanted=wanted) for name, says, wanted in facts]
    if besides:
        parts.append(Part("besides", holds=True, told=besides))
    return judged(parts)


def _part(seen: bool | None, says: str, name: str, *, wanted: bool) -> Part:  # noqa: FBT001 - a fact of lab.json
    if seen is None:
        return Part(says, missing=_COMMAND)
    return Part(says, seen is wanted, _told(name, seen))


def _told(name: str, seen: bool | None) -> str:  # noqa: FBT001 - a fact of lab.json
    return _OUTCOMES[name][0 if seen else 1]


CLAIMS = (
    Claim(
        "header-storage",
        "A token in browser storage is readable by injected script, an HttpOnly cookie is not.",
        "A real browser: what a script can read of localStorage, sessionStorage, a variable, an HttpOnly cookie",
        "Holds where script read the storages and did not read the HttpOnly cookie; does not hold where either is not "
        "so. What it can do with the cookie from within the page is told besides.",
        _COMMAND,
        _storage,
    ),
    Claim(
        "cookie-csrf",
        "A cookie is sent by itself and needs CSRF protection; a bearer header does not.",
        "A real browser: forms and fetches of another site and of a sibling host, with SameSite and the CSRF token on "
        "and off",
        "Holds where another site's page had the cookie sent and, without SameSite and a check, changed state by it, "
        "and had no bearer token sent and changed nothing by one; does not hold where any of it is not so.",
        _COMMAND,
        _csrf,
    ),
)
