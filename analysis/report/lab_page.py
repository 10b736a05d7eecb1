"""The page of `make browser-lab`: what happened, row by row, and the sentences that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.palette import INKS
from analysis.report import markdown as md
from analysis.report.html import page as in_template
from analysis.report.table import Entry, Table
from analysis.wording import capital, count, joined

Row = Mapping[str, Any]
_ORIGINS = {"another site": "attacker.test", "sibling host": "blog.bank.test"}
_WHO = {"another site": "another site", "sibling host": "a sibling host"}
_ABOUT_STORAGE = (
    "A page of the application's own origin has a hole, and a script of another site comes in through it. It looks "
    "into every place that a script can name, listens to what the application sends and is answered, and sends what it "
    "found home. Read means that what arrived there was accepted from a client outside the browser."
)
_ABOUT_CSRF = (
    "The user is signed in at bank.test. A page of {host} then tries to change the user's state. Small print: whether "
    "the balancer saw a cookie, and the answer's status. Changed is the server's own word: it accepted the change, and "
    "for sessions its state, read before and after, moved. On every server the application's own page could change it."
)


@dataclass(frozen=True)
class Part:
    """A heading, what was done, and its table."""

    id: str
    title: str
    about: str
    table: Table
    figures: tuple[()] = ()


@dataclass(frozen=True)
class Page:
    """The whole page as values."""

    title: str
    subtitle: str
    answer: tuple[str, ...]
    sections: tuple[Part, ...]
    machine: tuple[tuple[str, str], ...]


def page_of(document: Row) -> Page:
    """Return the page of a lab.json. Raises KeyError for one that lacks something."""
    storage, csrf = document["storage"], document["csrf"]
    theirs = {origin: [each for each in csrf if each["origin"] == origin] for origin in _ORIGINS}
    parts = [Part("storage", "What an injected script gets", _ABOUT_STORAGE, _storage_table(storage))]
    for origin, host in _ORIGINS.items():
        if theirs[origin]:
            title = f"What {_WHO[origin]} can do"
            table = _csrf_table(theirs[origin])
            parts.append(Part(origin.replace(" ", "-"), title, _ABOUT_CSRF.format(host=host), table))
    return Page(
        title="What a browser does with a credential",
        subtitle=f"authscale · make browser-lab · {document['id']}{' · quick' if document['quick'] else ''} · "
        f"{document['chromium']}",
        answer=tuple(_answer(storage, csrf)),
        sections=tuple(parts),
        machine=tuple(_machine(document)),
    )


def html(page: Page) -> str:
    """Return the text of lab.html."""
    return in_template(
        "validate.html.j2", title=page.title, subtitle=page.subtitle, answer=page.answer, sections=page.sections,
        machine=page.machine, inks=INKS,
    )  # fmt: skip


def markdown(page: Page) -> str:
    """Return the text of lab.md."""
    parts = [f"# {page.title}", md.escaped(page.subtitle)]
    parts.append("\n".join(f"{place}. {md.escaped(each)}" for place, each in enumerate(page.answer, 1)))
    for part in page.sections:
        parts += [f"## {part.title}", md.escaped(part.about), md.table(part.table)]
    parts += ["## Machine", "\n".join(f"- **{name}:** {md.escaped(text)}" for name, text in page.machine)]
    return "\n\n".join(parts) + "\n"


def _answer(storage: Sequence[Row], csrf: Sequence[Row]) -> Iterable[str]:
    yield from _storage_answer(storage)
    others = [each for each in csrf if each["origin"] == "another site" and each["same_site"] is not None]
    siblings = [each for each in csrf if each["origin"] == "sibling host" and each["same_site"] is not None]
    yield capital(_told("another site", [each for each in others if not _protected(each)]))
    if siblings:
        yield capital(_told("a sibling host", [each for each in siblings if not _protected(each)]))
    checked = [each for each in (*others, *siblings) if each["csrf_check"] != "off"]
    yield f"With the CSRF check {_of(checked)} changed it, whatever the cookie's SameSite."
    bearer = [each for each in csrf if each["origin"] in _ORIGINS and each["same_site"] is None]
    sent = sum(each["credential_sent"] for each in bearer)
    yield f"With a bearer header {_of(bearer)} changed it: {sent or 'none'} of them carried the credential."


def _storage_answer(storage: Sequence[Row]) -> Iterable[str]:
    looked = [each["place"] for each in storage if each["read_at_rest"]]
    heard = [each["place"] for each in storage if each["read_in_use"] and not each["read_at_rest"]]
    neither = dict.fromkeys(each["place"] for each in storage if not each["read_at_rest"] and not each["read_in_use"])
    if looked:
        also = f", and by listening from {joined(map(_place, heard))}" if heard else ""
        places = joined(map(_place, dict.fromkeys(looked)))
        yield f"An injected script took a working credential from {places} by looking{also}."
    if neither:
        used = [each for each in storage if each["place"] in neither and each["used_in_page"]]
        all_ = [each for each in storage if each["place"] in neither]
        yield (
            f"It could not read one from {joined(map(_place, neither))}, yet in {len(used)} of {len(all_)} cases it "
            "used it all the same: a request from the page changed the user's state, with the CSRF token that it had "
            "overheard."
        )


def _place(name: str) -> str:
    if name.endswith("Storage"):
        return name
    return f"{'an' if name[0] in 'aeioH' else 'a'} {name}"


def _protected(row: Row) -> bool:
    return bool(row["csrf_check"] != "off" or not row["form_bodies"])


def _told(who: str, rows: Sequence[Row]) -> str:
    by_same_site: dict[str, list[Row]] = {}
    for each in rows:
        by_same_site.setdefault(each["same_site"], []).append(each)
    by_ways: dict[tuple[str, ...], list[str]] = {}
    for name, here in by_same_site.items():
        ways = tuple(dict.fromkeys(each["attempt"] for each in here if each["state_changed"]))
        by_ways.setdefault(ways, []).append(_same_site(name))
    told = [f"with {joined(names)} by {joined(ways) if ways else 'nothing'}" for ways, names in by_ways.items()]
    return f"{who} changed the state of a server without a CSRF check: {'; '.join(told)}."


def _same_site(value: str) -> str:
    return "no SameSite attribute" if value == "absent" else f"SameSite={value}"


def _of(rows: Sequence[Row]) -> str:
    return f"{sum(each['state_changed'] for each in rows)} of {count(len(rows), 'attempt')}"


def _storage_table(storage: Sequence[Row]) -> Table:
    return Table(
        title=f"{count(len(storage), 'place')} of a credential",
        columns=("kept in", "credential", "read by looking", "read by listening", "used from the page"),
        rows=tuple(
            (
                Entry(each["place"]),
                Entry(each["credential"]),
                *(_bad(each[name], "read", "not read") for name in ("read_at_rest", "read_in_use")),
                _bad(each["used_in_page"], "used", "not used"),
            )
            for each in storage
        ),
        note="Listening: the script replaced fetch and Response.json before the user signed in. Script cookie: one "
        "that the page itself wrote, which no script can make HttpOnly.",
    )


def _bad(happened: bool, yes: str, no: str) -> Entry:  # noqa: FBT001 - it is the fact itself
    return Entry(yes if happened else no, verdict="failed" if happened else "passed")


def _csrf_table(rows: Sequence[Row]) -> Table:
    kinds = list(dict.fromkeys(each["attempt"] for each in rows))
    servers: dict[tuple[str, str], list[Row]] = {}
    for each in rows:
        servers.setdefault(_server(each), []).append(each)
    return Table(
        title=f"{count(len(rows), 'attempt')} on {count(len(servers), 'server')}",
        columns=("credential", *kinds),
        rows=tuple((Entry(*name), *(_attempt(each) for each in here)) for name, here in servers.items()),
        note="Form and fetch: POST /profile; a JSON fetch needs a preflight. Image and navigation: GET of the same "
        "path, which changes nothing here. A cookie without SameSite goes with another site's form for two minutes "
        "after it was set (Chromium's Lax+POST); these were seconds old.",
    )


def _server(row: Row) -> tuple[str, str]:
    if row["same_site"] is None:
        return row["transport"], _check(row)
    same_site = "no SameSite" if row["same_site"] == "absent" else f"SameSite {row['same_site']}"
    told = [_check(row)]
    told += [] if row["form_bodies"] else ["takes JSON alone"]
    told += [] if row["third_party_cookies"] else ["third-party cookies blocked"]
    return f"{row['transport']}, {same_site}", ", ".join(told)


def _check(row: Row) -> str:
    return "CSRF token alone" if row["csrf_check"] == "token" else f"CSRF check {row['csrf_check']}"


def _attempt(row: Row) -> Entry:
    sent = "cookie" if row["credential_sent"] else "none"
    small = f"{sent} · {', '.join(row['arrived'])}"
    return Entry("changed" if row["state_changed"] else "no", small, "failed" if row["state_changed"] else "passed")


def _machine(document: Row) -> Iterable[tuple[str, str]]:
    yield "browser", str(document["chromium"])
    for name in ("cpu", "cores", "kernel", "os", "python"):
        yield name, str(document["machine"].get(name))
    for name, binary in document["software"]["binaries"].items():
        yield name, f"{binary['version']} ({binary['source']})"
    yield "authscale revision", str(document["software"].get("git_revision"))
    yield "seconds", f"{document['seconds']:.0f}"
