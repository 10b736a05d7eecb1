"""How long a credential is accepted after its user has signed out: table, distributions, findings."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.compare import Comparison
from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.lines import Drawing, Figure
from analysis.load import Run
from analysis.order_statistics import Quantile, quantile
from analysis.palette import scheme_inks
from analysis.report.table import Entry, Table
from analysis.revocation import WAYS, Watched, document, watched
from analysis.rows import Mark, spread_panel
from analysis.section import Section
from analysis.wording import NOTHING, capital, count, interval, joined, number, percent, series, subject

PLACE = 40
_DECILES = tuple(place / 10 for place in range(1, 10) if place != 5)  # noqa: PLR2004 - the median stands by itself
_LEAST_MS = 0.1  # a logarithmic axis has no zero
_SAYS = {"logout": "one sign-in", "logout-all": "all of a user's sign-ins"}
_NOTE = (
    "Milliseconds from the acknowledgement of the log-out until the answer to the first refusal of the last replica "
    "that came to refuse: an upper end, as one question's round trip is in it. Each replica is asked past the "
    "balancer, 50 times a second or more. Interval of the median: t over blocks, on logarithms; with one block, or "
    "where some were accepted to the end, of order statistics. Interval of p99: exact, of order statistics over all "
    "log-outs, taken as independent; its upper end needs 368. Accepted after: log-outs after whose acknowledgement "
    "some replica still accepted, with the exact binomial interval. Past its end: revocation minus what was left, at "
    "the log-out, until the end that the credential itself names (exp); the mean with a t interval over log-outs, and "
    "the largest."
)
_TEXT = (
    "Users sign in at one replica, are known to all that share what it knows, and sign out there. With logout-all it "
    "is another sign-in of the same user, at the next replica, that is asked about."
)


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:  # noqa: ARG001 - of every section
    """Return the part on revocation, where the run watched log-outs."""
    found = watched(run)
    if not found:
        return None
    findings = tuple(_findings(found))
    return Section(
        id="revocation",
        title="From the log-out until every replica refuses",
        text=(_TEXT,),
        answer=tuple(each.text for each in findings),
        findings=findings,
        tables=tuple(_table([each for each in found if each.way == way], way) for way in WAYS),
        figures=(_figure(run, found),),
        document={"observe_s": run.study.get("observe_s"), "cells": [document(each) for each in found]},
    )


def _table(found: Sequence[Watched], way: str) -> Table:
    rows = tuple(_row(each) for each in found)
    columns = ("ms", "log-outs", "accepted after", "p50", "p99", "longest", "past its end")
    return Table(f"POST /{way}: {_SAYS[way]}", columns, rows, note=_NOTE)


def _row(found: Watched) -> tuple[Entry, ...]:
    name = Entry(f"{series(found.cell)} ×{found.cell.replicas}")  # noqa: RUF001 - a times sign
    if found.unable:
        status, reason = found.unable
        return (name, Entry(NOTHING, f"{status}: {reason}"), *[Entry(NOTHING)] * 5)
    after, over = found.still_accepted, found.over_remaining
    least, most = found.known_by
    known = "" if least == most == found.cell.replicas else f"known to {least} of {found.cell.replicas} replicas"
    return (
        name,
        Entry(str(found.log_outs), known),
        Entry(percent(after.value), f"{percent(after.low)} to {percent(after.high)}"),
        _quantile(found.median),
        _quantile(found.quantile(0.99)),
        Entry(("at least " if found.beyond_ms else "") + number(found.largest_ms)),
        Entry(number(over.value), f"{interval(over.low, over.high)}; at most {number(max(found.over_remaining_ms))}")
        if over
        else Entry(NOTHING),
    )


def _quantile(each: Quantile) -> Entry:
    ends = f"{number(each.low)} to {'?' if each.high is None else number(each.high)}"
    return Entry(("at least " if each.at_least else "") + number(each.value), ends)


def _figure(run: Run, found: Sequence[Watched]) -> Figure:
    inks = scheme_inks(run.cells)
    panels = []
    for way in WAYS:
        here = [each for each in found if each.way == way and not each.unable]
        if not here:
            continue
        told = joined(f"{series(each.cell)} {_plainly(each.quantile(0.5))}" for each in here)
        alt = f"Median time from POST /{way} until every replica refused, in ms: {told}."
        marks = [_mark(each, inks[each.cell.scheme]) for each in here]
        panels.append(Drawing(f"POST /{way} (ms, log scale)", alt, spread_panel(f"revocation-{way}", alt, marks)))
    return Figure(
        id="revocation",
        title="Revocation time",
        caption="From the acknowledgement of the log-out until the last replica refused.",
        reading="The filled mark is the median, the thick line its 95 % interval; the strokes are the deciles and the "
        "longest. Further left is better. What was accepted to the end of the watch stands where that was.",
        key=tuple((ink.name, scheme) for scheme, ink in inks.items()),
        panels=tuple(panels),
    )


def _mark(found: Watched, ink: object) -> Mark:
    every = (*found.revoked_ms, *found.beyond_ms)
    deciles = [quantile(every, (), q).value or 0.0 for q in _DECILES]
    median = found.median
    values = (median.value or 0.0, *deciles, found.largest_ms)
    span = (median.low, median.high) if median.low and median.high else None
    name = series(found.cell) + (" (accepted to the end)" if found.beyond_ms else "")
    return Mark(name, tuple(max(_LEAST_MS, each) for each in values), ink, span)  # type: ignore[arg-type]


def _plainly(each: Quantile) -> str:
    return ("at least " if each.at_least else "") + number(each.value)


def _findings(found: Sequence[Watched]) -> list[Finding]:
    watched_out = [each for each in found if not each.unable]
    made = []
    at_once = [each for each in watched_out if not each.accepted]
    if at_once:
        made.append(_finding("at-once", "A log-out holds at once", _at_once(at_once), at_once))
    lives = [each for each in watched_out if each.ends_with_its_life]
    if lives:
        made.append(_finding("to-its-end", "A log-out does not end a token", _to_its_end(lives), lives))
    endless = [each for each in watched_out if each.beyond_ms]
    if endless:
        made.append(_finding("endless", "Accepted to the end of the watch", _endless(endless), endless))
    unable = [each for each in found if each.unable]
    if unable:
        who = joined(dict.fromkeys(subject(each.cell) for each in unable))
        status = joined(dict.fromkeys(str(each.unable[0]) for each in unable if each.unable))
        text = f"{capital(who)} cannot be signed out everywhere: POST /{unable[0].way} is answered {status}."
        made.append(_finding("unable", "No signing out everywhere", text, unable))
    return made


def _finding(name: str, title: str, text: str, about: Sequence[Watched]) -> Finding:
    cells = tuple(dict.fromkeys(each.cell.id for each in about))
    return Finding(f"revocation-{name}", "finding", title, text, cells)


def _at_once(about: Sequence[Watched]) -> str:
    total = sum(each.log_outs for each in about)
    slowest = max(about, key=lambda each: each.quantile(0.99).value or 0.0)
    p99 = slowest.quantile(0.99)
    reach = "" if p99.high is None else f" (at most {number(p99.high)} with 95 % confidence)"
    who = joined(dict.fromkeys(subject(each.cell) for each in about))
    return (
        f"{capital(who)}: after {total:,} log-outs no replica accepted a credential once the log-out was acknowledged. "
        f"In the slowest of these cells 99 % were refused by all within {number(p99.value)} ms{reach}, which is the "
        "time that asking takes."
    )


def _to_its_end(about: Sequence[Watched]) -> str:
    most: dict[str, float] = {}
    for each in about:
        who = subject(each.cell)
        most[who] = max(most.get(who, 0.0), each.largest_ms)
    share = min(each.still_accepted.value for each in about)
    over = max(abs(value) for each in about for value in each.over_remaining_ms)
    total = sum(each.log_outs for each in about)
    longest = joined(f"{who} {number(ms)} ms" for who, ms in most.items())
    every = f"all {total:,}" if share == 1 else f"{percent(share)} or more of {total:,}"
    return (
        f"After {every} log-outs the token was still accepted, and each was until the end that it names, give or take "
        f"{number(over)} ms. The longest: {longest}."
    )


def _endless(about: Sequence[Watched]) -> str:
    said = [
        f"{subject(each.cell)} after {len(each.beyond_ms)} of {count(each.log_outs, 'log-out')} by POST /{each.way}, "
        f"for at least {number(min(each.beyond_ms))} ms"
        for each in about
    ]
    lost = [each for each in about if each.known_by[1] < each.cell.replicas]
    why = " What a replica keeps to itself another replica's log-out does not reach." if lost else ""
    return f"{capital('; '.join(said))}: accepted to the end of the watch.{why}"
