"""What the lab's rows say of the two claims, as facts that a verdict can rest on; each is None where nobody tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from loadtests.lab_csrf import CROSS_SITE, OWN, SAME_SITE, Attempt
from loadtests.lab_storage import HTTP_ONLY, Theft

Facts = dict[str, dict[str, bool | None]]


def claims(thefts: Sequence[Theft], attempts: Sequence[Attempt]) -> Facts:
    """By id of a claim."""
    theirs = [each for each in attempts if each.origin != OWN]
    cookies = [each for each in theirs if each.same_site is not None]
    unchecked = [each for each in cookies if each.csrf_check == "off" and each.form_bodies]

    def changed(rows: Iterable[Attempt], of: Callable[[Attempt], bool]) -> bool | None:
        return _any(each.state_changed for each in rows if of(each))

    def read(of: Callable[[Theft], bool]) -> bool | None:
        return _any(each.read_at_rest or each.read_in_use for each in thefts if of(each))

    return {
        "header-storage": {
            "browser_storage_read": read(lambda each: each.place.endswith("Storage")),
            "variable_read": read(lambda each: each.place.endswith("variable")),
            "closure_read_at_rest": _any(each.read_at_rest for each in thefts if each.place == "closure variable"),
            "http_only_cookie_read": read(lambda each: each.place == HTTP_ONLY),
            "http_only_cookie_used_in_page": _any(each.used_in_page for each in thefts if each.place == HTTP_ONLY),
        },
        "cookie-csrf": {
            "cookie_sent_by_itself": _any(each.credential_sent for each in cookies),
            "bearer_sent_by_itself": _any(each.credential_sent for each in theirs if each.same_site is None),
            "unprotected_cookie_changed": changed(
                unchecked, lambda each: each.same_site == "None" and each.origin == CROSS_SITE
            ),
            "absent_same_site_changed": changed(
                unchecked, lambda each: each.same_site == "absent" and each.origin == CROSS_SITE
            ),
            "lax_cookie_changed_by_another_site": changed(
                unchecked, lambda each: each.same_site == "Lax" and each.origin == CROSS_SITE
            ),
            "strict_cookie_changed_by_another_site": changed(
                unchecked, lambda each: each.same_site == "Strict" and each.origin == CROSS_SITE
            ),
            "strict_cookie_changed_by_a_sibling": changed(
                unchecked, lambda each: each.same_site == "Strict" and each.origin == SAME_SITE
            ),
            "checked_cookie_changed": changed(cookies, lambda each: each.csrf_check != "off"),
            "bearer_changed": changed(theirs, lambda each: each.same_site is None),
        },
    }


def _any(values: Iterable[bool]) -> bool | None:
    known = list(values)
    return any(known) if known else None
