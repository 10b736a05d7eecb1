"""cookie-csrf: what pages of other origins can change with the credential that a browser has, by how it travels.

Each attempt is made by a script of the attacking page, and judged by the server: the state is read from it before and
after with a client that is no browser, and the balancer tells which requests came, with a cookie or without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from loadtests.chromium import BrowserError
from loadtests.lab_site import BANK, OTHER, SIBLING, Server, Site

OWN, CROSS_SITE, SAME_SITE = "own page", "another site", "sibling host"
ATTEMPTS = ("form", "no-cors fetch", "cors fetch", "JSON fetch", "image", "navigation")
SAME_SITES = ("None", "absent", "Lax", "Strict")
_HOSTS = {CROSS_SITE: OTHER, SAME_SITE: SIBLING}
_OK = 200


@dataclass(frozen=True)
class Attempt:
    """One row of the table.

    Attributes:
        transport: `session cookie`, `token cookie` or `bearer header`.
        same_site: of the cookie; None where there is none.
        csrf_check: `on` where the server asks for the CSRF token and looks at the origin, `token` where it is blind to
            that, or `off`.
        form_bodies: whether it takes what a plain form sends.
        third_party_cookies: whether the browser sends a site's cookies with requests from another site's page.
        origin: where the page stood that tried.
        attempt: how.
        arrived: method and status of each request that reached the balancer.
        credential_sent: whether one of them carried a cookie or an Authorization field.
        serial_before, serial_after: of the user's state as the server tells it; None for a bearer.
        state_changed: the server accepted a change.
        attacker_told: what the attacking page itself got to know.

    """

    transport: str
    same_site: str | None
    csrf_check: str
    form_bodies: bool
    third_party_cookies: bool
    origin: str
    attempt: str
    arrived: list[str]
    credential_sent: bool
    serial_before: int | None
    serial_after: int | None
    state_changed: bool
    attacker_told: str

    def as_dict(self) -> dict[str, Any]:
        """For lab.json."""
        return asdict(self)


def servers(*, quick: bool) -> tuple[Server, ...]:
    """Every server that is attacked. `quick` leaves those whose outcome must hold whatever else does."""
    checks = ("off", "on")
    if quick:
        sessions = [_session("None", "off"), _session("Strict", "off"), _session("None", "token")]
        return (*sessions, _bearer())
    sessions = [_session(same_site, check) for same_site in SAME_SITES for check in checks]
    tokens = [_token("None", "off"), _token("Strict", "on")]
    blocked = replace(sessions[0], name=f"{sessions[0].name}, third-party cookies blocked", third_party_cookies=False)
    return (*sessions, _session("None", "token"), _session("None", "off", forms="off"), blocked, *tokens, _bearer())


def attack(site: Site, *, quick: bool) -> Iterator[Attempt]:
    """Every attempt on one server. Raises BrowserError, also when the application's own page cannot change the state.

    Without that a "no" would say nothing.
    """
    keep = "" if site.server.cookie else "localStorage"
    origins = {CROSS_SITE: OTHER} if quick else _HOSTS
    for origin, host in origins.items():
        for kind in ATTEMPTS:
            site.sign_in(keep)
            before = site.serial()
            number = site.attack_from(host)
            told = site.browser.evaluate(f"attack({kind!r}, '{site.url(BANK)}/profile?attempt={number}')")
            yield _judged(site, number, origin, kind, before, str(told))
    number = site.sign_in(keep)
    before = site.serial()
    own = _judged(site, number, OWN, "JSON fetch", before, f"read: {site.click('save')}")
    if not own.state_changed:
        raise BrowserError(f"{site.server.name}: not even the application's own page could change the state: {own}")
    yield own


def _judged(site: Site, number: str, origin: str, kind: str, before: int | None, told: str) -> Attempt:
    seen = site.seen(number)
    after = site.serial()
    accepted = any(each.method == "POST" and each.status == _OK for each in seen)
    if site.server.scheme == "session" and accepted != (before != after):
        raise BrowserError(
            f"{site.server.name}, {origin}, {kind}: answered {seen}, but the state went {before} to {after}"
        )
    unsafe = site.server.unsafe
    return Attempt(
        transport=site.server.name.partition(",")[0],
        same_site=unsafe["UNSAFE_COOKIE_SAMESITE"] if site.server.cookie else None,
        csrf_check=unsafe["UNSAFE_CSRF_CHECK"],
        form_bodies=unsafe["UNSAFE_FORM_BODIES"] == "on",
        third_party_cookies=site.server.third_party_cookies,
        origin=origin,
        attempt=kind,
        arrived=[f"{each.method} {each.status}" for each in seen],
        credential_sent=any(each.cookie_bytes or each.authorization_bytes for each in seen),
        serial_before=before,
        serial_after=after,
        state_changed=accepted,
        attacker_told=told,
    )


def _session(same_site: str, check: str, forms: str = "on") -> Server:
    name = f"session cookie, SameSite {same_site}, CSRF check {check}" + ("" if forms == "on" else ", JSON only")
    return Server(name, "session", unsafe=_unsafe(same_site, check, forms))


def _token(same_site: str, check: str) -> Server:
    name = f"token cookie, SameSite {same_site}, CSRF check {check}"
    return Server(name, "token", {"carrier": "cookie"}, _unsafe(same_site, check, "on"))


def _bearer() -> Server:
    return Server("bearer header, CSRF check off", "token", {}, _unsafe("None", "off", "on"))


def _unsafe(same_site: str, check: str, forms: str) -> dict[str, str]:
    return {"UNSAFE_COOKIE_SAMESITE": same_site, "UNSAFE_CSRF_CHECK": check, "UNSAFE_FORM_BODIES": forms}
