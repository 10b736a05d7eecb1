"""How a test says which line of the checklists it is for, and by which a table of all is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.security.systems import Kind, kinds
from tests.security.traits import Traits, traits

# What correct authentication needs, line by line.
CHECKLISTS: dict[str, tuple[str, ...]] = {
    "Session": (
        "id of 128 random bits or more",
        "new id at login and the old one dead",
        "an id that the server did not issue is never adopted",
        "idle and absolute timeout",
        "logout works on every replica at once",
        "disabling a user, changing a password and an administrator's kill end sessions",
        "`__Host-` cookie, Secure, HttpOnly, SameSite, at most 4096 bytes",
        "id never in a body or URL",
        "CSRF token on state changes",
        "no state change on GET",
        "`Cache-Control: no-store`",
        "Clear-Site-Data on logout",
    ),
    "Token": (
        "signature required",
        "checked against an allow-list of algorithms",
        "`none` in any spelling refused",
        "no HMAC with a public key",
        "`jwk`, `jku`, `x5u` in a header ignored",
        "`kid` never a path or a query",
        "unknown `crit` refused",
        "exp, nbf, iss, aud, sub, jti required and checked",
        "a refresh token is no access token and the reverse",
        "RFC 6750 errors",
        "no token in a query string",
        "keys of full strength",
        "rotation by kid with overlap",
    ),
    "Hybrid": (
        "a refresh token works once",
        "its second use kills the family",
        "N parallel refreshes have one winner",
        "absolute expiry",
        "revocation by user",
    ),
}


@dataclass(frozen=True)
class Check:
    """One test of one line."""

    checklist: str
    line: str
    standard: str
    kinds: tuple[Kind, ...]
    test: Callable[[Any], None]

    @property
    def name(self) -> str:
        """Of the test."""
        return self.test.__name__


CHECKS: dict[str, Check] = {}


def any_scheme(_: Traits) -> bool:
    """For lines that hold whatever the scheme."""
    return True


def line(
    checklist: str, text: str, standard: str, applies: Callable[[Traits], bool]
) -> Callable[[Callable[[Any], None]], Any]:
    """Run the test for every system to which the line applies."""
    assert text in CHECKLISTS[checklist], text

    def decorate(test: Callable[[Any], None]) -> Any:
        found = tuple(kind for kind in kinds() if applies(traits(kind)))
        check = Check(checklist, text, standard, found, test)
        assert CHECKS.setdefault(test.__name__, check).test.__module__ == test.__module__, test.__name__
        return pytest.mark.parametrize("system", found, ids=_ids(found), indirect=True)(test)

    return decorate


def checks() -> dict[str, Check]:
    """Every check by its name."""
    for name in CHECKLISTS:
        importlib.import_module(f"tests.security.test_security_checklist_{name.lower()}")
    return CHECKS


def _ids(found: Iterable[Kind]) -> list[str]:
    return [kind.id for kind in found]
