"""Policies and balancers beside each other: who is refused on per-process stores, how evenly requests are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from analysis.compare import Comparison
from analysis.drawing import panel
from analysis.estimates import CellResult, Estimate
from analysis.finding import Finding
from analysis.imbalance import STICKY, Balance, balances, expected_refusals
from analysis.lines import Drawing, Figure
from analysis.load import Run
from analysis.palette import MUTED, SPARE, Ink
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.wording import NOTHING, capital, count, interval, joined, number, percent, series, setting

PLACE = 40
AGREES = 0.02
"""A refused share this close to the expected one is as expected, or one whose interval holds it."""
MOST_PANELS = 4
_ABOUT = (
    "A policy says which replica serves a request. By turns (roundrobin) or to whoever has least under way "
    "(leastconn), a store in each replica's own process refuses (N-1)/N of the requests, because one replica in N "
    "knows the session. Sticky routing keeps a user with one replica by a cookie: nobody is refused while all "
    "replicas serve, and the users of one that dies are signed out."
)
_INKS = {"roundrobin": SPARE[0], STICKY: SPARE[3], "leastconn": SPARE[4]}


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the part on balancing, of a run that has several policies or balancers; None of another."""
    del comparisons
    made = balances(run, results)
    if len({(each.cell.policy, each.cell.balancer) for each in made}) < 2:  # noqa: PLR2004 - nothing beside anything
        return None
    kept = tuple(_kept(made))
    return Section(
        id="balancing",
        title="Balancing",
        text=(_ABOUT,),
        answer=tuple(each.text for each in kept[:1]) if run.document.get("experiment") == "policies" else (),
        findings=kept,
        tables=(_refused_table(made), _even_table(made)),
        figures=tuple(each for each in (_refused_figure(made), _even_figure(made)) if each.panels),
        document={"cells": [_record(each) for each in made]},
    )


def agrees(each: Balance) -> bool | None:
    """Whether what was refused is what the topology explains; sticky refuses nobody at all. None where unknown."""
    expected, refused = expected_refusals(each.cell), each.refused
    if expected is None or refused.value is None:
        return None
    if expected == 0:
        return refused.value == 0
    within = refused.low is not None and refused.high is not None and refused.low <= expected <= refused.high
    return within or abs(refused.value - expected) <= AGREES


def _kept(made: Iterable[Balance]) -> Iterable[Finding]:
    """Yield what sticky routing does for sessions that one replica knows."""
    sticky = [each for each in made if each.cell.policy == STICKY and not each.cell.shared]
    for name in dict.fromkeys(series(each.cell) for each in sticky):
        here = [each for each in sticky if series(each.cell) == name]
        lost = [each for each in here if each.refused.value]
        replicas = joined(str(each.cell.replicas) for each in here)
        if lost:
            told = joined(f"{percent(each.refused.value)} at {count(each.cell.replicas, 'replica')}" for each in lost)
            text = f"{capital(name)} behind a sticky balancer: {told} were refused, and none should have been."
            yield Finding("sticky-lost", "caution", "Sticky routing lost users", text, tuple(e.cell.id for e in lost))
            continue
        requests = sum(each.requests for each in here)
        text = (
            f"{capital(name)} behind a sticky balancer: none of {requests:,} requests was refused at {replicas} "
            f"replicas (at most {percent(3 / requests)}, at 95 %), as long as every replica serves."
        )
        yield Finding("sticky-kept", "finding", "Sticky routing keeps users signed in", text, _ids(here))


def _ids(made: Iterable[Balance]) -> tuple[str, ...]:
    return tuple(each.cell.id for each in made)


def _refused_table(made: Sequence[Balance]) -> Table:
    return Table(
        title="Refused by policy",
        columns=("cell", "policy", "replicas", "refused", "expected", "as expected"),
        rows=tuple(
            (
                *_name(each),
                Entry(_share(each.refused.value), _share_interval(each)),
                Entry(_share(expected_refusals(each.cell))),
                Entry({True: "yes", False: "no", None: NOTHING}[agrees(each)]),
            )
            for each in made
        ),
        note=f"Expected: (N-1)/N where the replica that signed a user in is the only one to know it, and the policy "
        f"does not keep the user there; else 0. As expected: within {percent(AGREES)} or the 95 % interval; a 0 "
        "exactly. Where none was refused, the bound is 3/n.",
    )


def _even_table(made: Sequence[Balance]) -> Table:
    return Table(
        title="How evenly requests were shared out",
        columns=("cell", "policy", "replicas", "busiest over mean", "variation", "by chance"),
        rows=tuple(
            (*_name(each), _entry(each.most), _entry(each.variation), Entry(number(each.by_chance))) for each in made
        ),
        note="From the balancer's own counts of the measured phase, by block. Variation: standard deviation of the "
        "replicas' counts over their mean; by chance: what it would be if each request fell on any replica alike. "
        "Sticky shares out users, not requests: with few users a replica has one more than another.",
    )


def _name(each: Balance) -> tuple[Entry, Entry, Entry]:
    return Entry(series(each.cell)), Entry(each.cell.policy), Entry(setting(each.cell.replicas))


def _entry(made: Estimate) -> Entry:
    return Entry(number(made.value), interval(made.low, made.high))


def _share_interval(each: Balance) -> str:
    if each.at_most is not None:
        return f"at most {percent(each.at_most)}"
    low, high = each.refused.low, each.refused.high
    return NOTHING if low is None or high is None else f"{_share(max(0.0, low))} to {_share(min(1.0, high))}"


def _share(share: float | None) -> str:
    """Return it as a percentage that tells two thirds from 66 %."""
    return NOTHING if share is None else f"{number(100 * share)} %"


def _refused_figure(made: Sequence[Balance]) -> Figure:
    return _figure(
        "balancing-refused",
        "Refused users by policy",
        "Share of requests refused although their user was signed in, where one replica alone knows a session. "
        "The grey line is (N-1)/N.",
        "On the grey line, a policy sends users anywhere; on zero, it keeps them with the replica that knows them.",
        [each for each in made if not each.cell.shared],
        lambda each: each.refused,
        "refused share",
        expected=True,
    )


def _even_figure(made: Sequence[Balance]) -> Figure:
    return _figure(
        "balancing-variation",
        "How unevenly requests were shared out",
        "Standard deviation of the replicas' requests over their mean, by the balancer's own counts.",
        "0 is perfectly even; the bar is the 95 % interval over blocks.",
        made,
        lambda each: each.variation,
        "variation between replicas",
        expected=False,
    )


def _figure(
    id_: str,
    title: str,
    caption: str,
    reading: str,
    made: Sequence[Balance],
    of: Callable[[Balance], Estimate],
    what: str,
    *,
    expected: bool,
) -> Figure:
    names = list(dict.fromkeys(series(each.cell) for each in made))
    panels = []
    for place, name in enumerate(names[:MOST_PANELS]):
        here = [each for each in made if series(each.cell) == name]
        alt = f"{name}, {what}: {_told(here, of, percent if expected else _two)}."
        with panel(f"{id_}-{place}", alt, height=230) as drawn:
            _draw(drawn.axes, here, of, expected=expected)
        panels.append(Drawing(f"{name} ({what})", alt, drawn.svg))
    more = f" The first {MOST_PANELS} of {len(names)}; all are in the table." if len(names) > MOST_PANELS else ""
    used = dict.fromkeys(each.cell.policy for each in made)
    key = tuple((_ink(policy).name, policy) for policy in used)
    return Figure(id_, title, caption + more, reading, key, tuple(panels))


def _ink(policy: str) -> Ink:
    return _INKS.get(policy, MUTED)


def _two(value: float | None) -> str:
    return number(value, 2)


def _told(here: Sequence[Balance], of: Callable[[Balance], Estimate], shown: Callable[[float | None], str]) -> str:
    told = []
    for policy in dict.fromkeys(each.cell.policy for each in here):
        ours = [each for each in here if each.cell.policy == policy]
        values = joined(f"{shown(of(each).value)} at {count(each.cell.replicas, 'replica')}" for each in ours)
        told.append(f"{policy} {values}")
    return "; ".join(told)


def _draw(axes: Axes, here: Sequence[Balance], of: Callable[[Balance], Estimate], *, expected: bool) -> None:
    counts = sorted({each.cell.replicas for each in here})
    used = list(dict.fromkeys(each.cell.policy for each in here))
    if expected:
        ends = [(float(place), (n - 1) / n) for place, n in enumerate(counts)]
        ends = ends if len(ends) > 1 else [(place, ends[0][1]) for place in (-0.35, 0.35)]
        axes.plot(*zip(*ends, strict=True), color=MUTED.light, linewidth=1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(float(value))))
    for index, policy in enumerate(used):
        ours = sorted((each for each in here if each.cell.policy == policy), key=lambda each: each.cell.replicas)
        shift = (index - (len(used) - 1) / 2) * 0.09  # so that bars stand side by side
        places = [counts.index(each.cell.replicas) + shift for each in ours]
        found = [of(each) for each in ours]
        values = [each.value or 0.0 for each in found]
        lows = [value if each.low is None else each.low for each, value in zip(found, values, strict=True)]
        highs = [value if each.high is None else each.high for each, value in zip(found, values, strict=True)]
        ink = _ink(policy)
        axes.vlines(places, lows, highs, color=ink.light, linewidth=2)
        axes.plot(places, values, color=ink.light, marker=ink.marker, markersize=6, linewidth=1.2, clip_on=False)
    axes.set_xticks(range(len(counts)), [str(each) for each in counts])
    axes.set_xlim(-0.4, len(counts) - 0.6)
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("replicas")


def _record(each: Balance) -> dict[str, Any]:
    cell = each.cell
    return {
        "cell": cell.id,
        "policy": cell.policy,
        "balancer": cell.balancer,
        "replicas": cell.replicas,
        "requests": each.requests,
        "refused_ratio": _figure_of(each.refused),
        "refused_at_most": each.at_most,
        "expected_refused_ratio": expected_refusals(cell),
        "as_expected": agrees(each),
        "busiest_over_mean": _figure_of(each.most),
        "variation": _figure_of(each.variation),
        "variation_by_chance": each.by_chance,
    }


def _figure_of(made: Estimate) -> dict[str, float | None]:
    return {"value": made.value, "low": made.low, "high": made.high}
