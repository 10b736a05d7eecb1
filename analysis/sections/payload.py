"""What a credential adds to a request in octets: HTTP/1.1 and HTTP/2, first and repeated (study `payload`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.compare import Comparison
from analysis.drawing import note, panel, rows
from analysis.estimates import CellResult, Estimate, estimate
from analysis.finding import Finding
from analysis.lines import Drawing, Figure
from analysis.load import NO_STORE, Cell, Run
from analysis.palette import Ink, scheme_inks
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.wording import capital, count, interval, joined, number, series

PLACE = 40
CONNECTION = 100
"""Requests on one connection, for the octets of a million requests: the first is dear, the others are not."""
_INDEXING, _NEVER = "indexing", "never-indexed"
_MEASURES = {
    "http1": "HTTP/1.1, every request",
    "first": "HTTP/2, first on a connection",
    "repeated": "HTTP/2, repeated, all indexed",
    "repeated_never_indexed": "HTTP/2, repeated, bearer never indexed",
}
_ROW, _LEFT = 27, 128


@dataclass(frozen=True)
class Payload:
    """A cell and what its credential adds to a request, octets by measure; `table` is what HPACK may remember."""

    cell: Cell
    line: Estimate
    value: Estimate
    added: Mapping[str, Estimate]
    frame: Estimate  # of the first HEADERS frame, whole, with its head of 9 octets
    table_bytes: int

    def of_a_million(self, measure: str) -> float:
        """MB that credentials add to a million requests: over HTTP/1.1, or on connections of `CONNECTION` requests."""
        if measure == "http1":
            return self.added["http1"].value or 0.0
        first, repeated = self.added["first"].value or 0.0, self.added[measure].value or 0.0
        return (first + (CONNECTION - 1) * repeated) / CONNECTION

    def as_dict(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "cell": self.cell.id,
            "line_bytes": _record(self.line),
            "value_bytes": _record(self.value),
            "added_bytes": {name: _record(each) for name, each in self.added.items()},
            "first_headers_frame_bytes": _record(self.frame),
            "hpack_table_bytes": self.table_bytes,
            "mb_per_million_requests": {name: self.of_a_million(name) for name in _MEASURES if name != "first"},
            "sign_ins": self.line.blocks,
        }


def section(run: Run, _results: Sequence[CellResult], _comparisons: Sequence[Comparison]) -> Section | None:
    """Return the part, if this run counted octets."""
    if run.study["kind"] != "payload":
        return None
    found = tuple(made for cell in run.cells if (made := _payload(run, cell)))
    if not found:
        return None
    return Section(
        id="payload",
        title="What a credential costs on the wire",
        text=_text(found),
        answer=tuple(_answer(found)),
        findings=tuple(_findings(found)),
        tables=(_table(found), _million(found)),
        figures=(_figure(found),),
        document={"requests_per_connection": CONNECTION, "cells": [each.as_dict() for each in found]},
    )


def _payload(run: Run, cell: Cell) -> Payload | None:
    counted = [trial.study for trial in run.trials if trial.cell == cell.id and trial.valid]
    if not counted:
        return None
    pairs = [(study, each) for study in counted for each in study["sign_ins"]]

    def over(of: Callable[[Mapping[str, Any], Mapping[str, Any]], float]) -> Estimate:
        return estimate([of(study, each) for study, each in pairs], positive=False)

    def http2(encoder: str, place: int) -> Estimate:
        return over(
            lambda study, each: (
                each["http2"][encoder][place]["block_bytes"] - study["http2_without"][encoder][place]["block_bytes"]
            )
        )

    return Payload(
        cell,
        line=over(lambda _, each: each["line_bytes"]),
        value=over(lambda _, each: each["value_bytes"]),
        added={
            "http1": over(lambda study, each: each["http1"][0] - study["http1_without_bytes"]),
            "first": http2(_INDEXING, 0),
            "repeated": http2(_INDEXING, -1),
            "repeated_never_indexed": http2(_NEVER, -1),
        },
        frame=over(lambda _, each: each["http2"][_INDEXING][0]["frame_bytes"]),
        table_bytes=counted[0]["peer_table_bytes"],
    )


def _text(found: Sequence[Payload]) -> tuple[str, ...]:
    counted = (
        "Octets counted on real requests through the balancer: GET /me with the credential, less the same request "
        "without it. Over HTTP/2 they are those of the header block; the HEADERS frame has a head of 9 more. Means "
        f"over {count(found[0].line.blocks, 'sign-in')}, as how long a text is in Huffman code depends on its letters."
    )
    remembered = (
        "HPACK remembers fields that were sent before, and a repeated one is an index. Clients differ: one that never "
        "indexes Authorization (RFC 7541, 7.1.3, and the default of the library used here) sends a bearer whole with "
        "every request, but a cookie of 20 octets or more as an index. The table holds "
        f"{number(found[0].table_bytes, 4)} octets: a field that is larger, its name and 32 octets counted, is never "
        "remembered, and empties it."
    )
    return counted, remembered


def _answer(found: Sequence[Payload]) -> list[str]:
    told = [each for each in found if _plain(each.cell) in ({}, {"algorithm": "RS256"}) and each.value.value]
    sentences = [
        f"{capital(_name(each.cell))}: {_bytes(each.added['http1'])} with every request over HTTP/1.1; over HTTP/2 "
        f"{_bytes(each.added['first'])} at first and {_bytes(each.added['repeated'])} when repeated, "
        f"{_bytes(each.added['repeated_never_indexed'])} from a client that never indexes Authorization."
        for each in told
        if each.cell.scheme in {"session", "token"}
    ]
    forgotten = [each for each in found if _forgotten(each)]
    if forgotten:
        named = min(forgotten, key=lambda each: (each.cell.scheme != "token", each.value.value or 0.0))
        sentences.append(
            f"HTTP/2 does not help a credential that is larger than its table: {_name(named.cell)} adds "
            f"{_bytes(named.added['repeated'])} to every request."
        )
    return sentences


def _findings(found: Sequence[Payload]) -> Iterator[Finding]:
    """Say what decides the octets of a repeated request where it is not the credential's length."""
    by_options = {(each.cell.scheme, tuple(sorted(_plain(each.cell).items()))): each for each in found}
    bearer, cookie = by_options.get(("token", ())), by_options.get(("token", (("carrier", "cookie"),)))
    if bearer and cookie:
        never = "repeated_never_indexed"
        text = (
            f"From a client that never indexes Authorization a repeated {_name(bearer.cell)} adds "
            f"{_bytes(bearer.added[never])} as a bearer and {_bytes(cookie.added[never])} in a cookie; from one that "
            f"indexes all, {_bytes(bearer.added['repeated'])} and {_bytes(cookie.added['repeated'])}."
        )
        yield Finding("payload-carrier", "finding", "Over HTTP/2 the carrier decides, not the length", text, ())
    forgotten = [_name(each.cell) for each in found if _forgotten(each)]
    if forgotten:
        text = f"A field that does not fit into the table is sent whole every time: {joined(forgotten)}."
        yield Finding("payload-table", "caution", "Too large for HPACK to remember", text, ())


def _forgotten(each: Payload) -> bool:
    """Whether a repetition cost as much as the first time, though all fields may be indexed."""
    return 0 < (each.added["first"].value or 0.0) <= 2 * (each.added["repeated"].value or 0.0)


def _bytes(found: Estimate) -> str:
    return f"{number(found.value)} {'byte' if found.value == 1 else 'bytes'}"


def _plain(cell: Cell) -> dict[str, str]:
    return {name: value for name, value in cell.options.items() if name != "tls"}


def _name(cell: Cell) -> str:
    options = _plain(cell)
    if cell.scheme in {"token", "hybrid"}:
        options = {"algorithm": "HS256", **options}
    return series(replace(cell, store=NO_STORE, options=options))


def _table(found: Sequence[Payload]) -> Table:
    return Table(
        title="Octets that a credential adds to one request",
        columns=("credential", "its line", *_MEASURES.values(), "first HEADERS frame"),
        rows=tuple(
            (
                Entry(_name(each.cell)),
                _entry(each.line),
                *(_entry(each.added[name]) for name in _MEASURES),
                _entry(each.frame),
            )
            for each in found
        ),
        note="The line is the Cookie or Authorization line of HTTP/1.1 with its CRLF. The frame is whole: its head, "
        "the pseudo-fields and the credential. Under a value its 95 % interval over sign-ins.",
    )


def _million(found: Sequence[Payload]) -> Table:
    measures = [name for name in _MEASURES if name != "first"]
    return Table(
        title="MB that credentials add to a million requests",
        columns=("credential", *(_MEASURES[name].replace("repeated, ", "").split(", every")[0] for name in measures)),
        rows=tuple(
            (Entry(_name(each.cell)), *(Entry(number(each.of_a_million(name))) for name in measures)) for each in found
        ),
        note=f"10⁶ octets to the MB; HTTP/2 with {CONNECTION} requests on a connection, whose first one pays in full.",
    )


def _entry(found: Estimate) -> Entry:
    return Entry(number(found.value), "" if found.low is None else interval(found.low, found.high))


def _figure(found: Sequence[Payload]) -> Figure:
    shown = [each for each in found if each.cell.scheme in {"session", "token"} and _drawn(each.cell)]
    inks = scheme_inks([each.cell for each in found])
    reach = max((each.added[name].value or 0.0 for each in shown for name in _MEASURES), default=1.0)
    panels = tuple(_panel(name, title, shown, inks, reach) for name, title in _MEASURES.items())
    schemes = dict.fromkeys(each.cell.scheme for each in shown)
    return Figure(
        id="payload-bytes",
        title="Octets of a credential, first and repeated",
        caption="Octets that a credential adds to a request; the scale is the same in every panel.",
        reading="HTTP/1.1 pays every time. HTTP/2 pays once a connection, unless the client does not index the field "
        "or the field is larger than the table.",
        key=tuple((inks[scheme].name, scheme) for scheme in schemes),
        panels=panels,
    )


def _drawn(cell: Cell) -> bool:
    """One change at a time; a cookie differs from a bearer in the last panel, so one of each algorithm is enough."""
    options = _plain(cell)
    return len(options) <= 1 or options == {"carrier": "cookie", "algorithm": "RS256"}


def _panel(measure: str, title: str, shown: Sequence[Payload], inks: Mapping[str, Ink], reach: float) -> Drawing:
    told = "; ".join(f"{_name(each.cell)} {_bytes(each.added[measure])}" for each in shown)
    alt = f"{title}: {told}."
    with panel(f"payload-{measure}", alt, height=42 + _ROW * len(shown), left=_LEFT, bottom=28) as made:
        for row, each in enumerate(shown):
            value = each.added[measure].value or 0.0
            made.axes.barh(row, value, height=0.6, color=inks[each.cell.scheme].light, linewidth=0)
            note(made.axes, value, row, number(value))
        rows(made.axes, [_short(each.cell) for each in shown])
        made.axes.set_xlim(0, reach * 1.24)
        made.axes.locator_params(axis="x", nbins=4)
    return Drawing(title, alt, made.svg)


def _short(cell: Cell) -> str:
    options = _plain(cell)
    if cell.scheme == "session":
        return "session cookie"
    if "claims_bytes" in options:
        return f"HS256 + {int(options['claims_bytes']):,} B"
    return f"{options.get('algorithm', 'HS256')}{' cookie' if options.get('carrier') == 'cookie' else ''}"


def _record(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high}
