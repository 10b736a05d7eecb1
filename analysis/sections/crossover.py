"""Where a session check costs more than a token check: by the store's round trip, the algorithm and the threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from analysis.compare import OF_CLOSED, Comparison, compare, judge, noise_floor
from analysis.drawing import panel
from analysis.estimates import CellResult
from analysis.lines import Drawing, Figure, load_words
from analysis.load import Cell, Run
from analysis.metrics import BY_NAME
from analysis.palette import MUTED, SCHEMES, TEXT, Ink
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.wording import count, interval, joined, number, percent
from loadtests import load_words as words

PLACE = 43
RTT, ALGORITHM = "store_rtt_ms", "algorithm"
_USUAL_ALGORITHM = "HS256"
METRICS = ("auth_p50_us", "response_p50_ms")
WAITING = "auth_store_share"
_TEXT = (
    "Each figure is a session's over a token's, {load}: the time to recognise the user, which the replica tells, "
    "and the median response time end to end. Above 1 the session takes more, and where it is called dearer it "
    "does so beyond what the noise of this run could make. The round trip is added between each replica and its "
    "store; a token meets none."
)
_CLOSED_TEXT = (
    "In a closed loop without think time every thread or the processor is busy: throughput is what it is for, and auth "
    "time holds the wait for the interpreter's lock, too. Times at ease are those of an open loop."
)


@dataclass(frozen=True)
class Crossing:
    """A session at a round trip (ms) against a token of an algorithm, on one metric: the session over the token."""

    session: Cell
    token: Cell
    comparison: Comparison

    @property
    def rtt_ms(self) -> float:
        """Return the round trip that was added before the session's store."""
        return _rtt_ms(self.session)

    @property
    def algorithm(self) -> str:
        """Return what the token is signed with."""
        return self.token.options.get(ALGORITHM, _USUAL_ALGORITHM)

    @property
    def place(self) -> tuple[str, int, int]:
        """Return what a map is made for: the session's store, threads, replicas."""
        return self.session.store, self.session.threads, self.session.replicas

    @property
    def dearer(self) -> str:
        """Return which of the two takes more, as far as this run can tell."""
        found = self.comparison
        return {"slower": "session", "faster": "token", "equivalent": "equal"}.get(found.verdict, "not told")


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:  # noqa: ARG001 - the same for every part
    """Return the part, of a run with sessions at several round trips, and tokens."""
    fit = [each for each in results if each.measurable and not each.refused and not each.cell.duplicate_of]
    sessions = [each for each in fit if each.cell.scheme == "session" and not each.cell.options.keys() - {RTT}]
    tokens = [each for each in fit if each.cell.scheme == "token" and not each.cell.options.keys() - {ALGORITHM}]
    if not tokens or len({_rtt_ms(each.cell) for each in sessions}) < 2:  # noqa: PLR2004 - one is no axis
        return None
    found = list(_crossings(sessions, tokens, results, closed=words.is_closed(run.load)))
    if not found:
        return None
    return Section(
        id="crossover",
        title="Where sessions cost more than tokens",
        text=(_TEXT.format(load=load_words(run)), *((_CLOSED_TEXT,) if words.is_closed(run.load) else ())),
        answer=tuple(_answer(found)) if str(run.document.get("experiment")).startswith("crossover") else (),
        tables=(*_tables(found), _waiting_table(sessions, tokens)),
        figures=(_figure(run, found),),
        document={
            "ratios": [_document(each) for each in found],
            "waiting": [_waiting(each) for each in (*sessions, *tokens)],
        },
    )


def _rtt_ms(cell: Cell) -> float:
    return float(cell.options.get(RTT, 0))


def _crossings(
    sessions: Sequence[CellResult], tokens: Sequence[CellResult], results: Sequence[CellResult], *, closed: bool
) -> Iterable[Crossing]:
    floor = noise_floor(results)
    pairs = [
        (session, token)
        for session in sorted(sessions, key=lambda each: (each.cell.store, each.cell.threads, _rtt_ms(each.cell)))
        for token in tokens
        if _beside(session.cell) == _beside(token.cell)
    ]
    for metric in (*METRICS, *(OF_CLOSED if closed else ())):
        made = [(session, token, compare(metric, session, token)) for session, token in pairs]
        known = [(session, token, each) for session, token, each in made if each]
        judged = judge([replace(each, question="scheme") for _, _, each in known], floor.get(metric))
        for (session, token, _), each in zip(known, judged, strict=True):
            yield Crossing(session.cell, token.cell, each)


def _beside(cell: Cell) -> tuple[int, int, str]:
    return cell.threads, cell.replicas, cell.policy


def _by_map(found: Sequence[Crossing], metric: str) -> Mapping[tuple[str, int, int], list[Crossing]]:
    maps: dict[tuple[str, int, int], list[Crossing]] = {}
    for each in found:
        if each.comparison.metric == metric:
            maps.setdefault(each.place, []).append(each)
    return maps


def _metrics(found: Sequence[Crossing]) -> list[str]:
    return list(dict.fromkeys(each.comparison.metric for each in found))


def _named(place: tuple[str, int, int]) -> str:
    store, threads, replicas = place
    return f"sessions on {store}, {count(threads, 'thread')}, {count(replicas, 'replica')}"


def _answer(found: Sequence[Crossing]) -> Iterable[str]:
    for metric in _metrics(found):
        told = []
        for rtt_ms in sorted({each.rtt_ms for each in found}):
            here = [each for each in found if each.comparison.metric == metric and each.rtt_ms == rtt_ms]
            ratios = [each.comparison.ratio for each in here]
            dearer = sum(each.dearer == "session" for each in here)
            span = f"{number(min(ratios))} to {number(max(ratios))}"
            told.append(
                f"at {rtt_ms:g} ms {span} times a token's, and more for certain in {dearer} of {len(here)} pairs"
            )
        yield f"{BY_NAME[metric].title} of sessions, by the round trip to the store: {'; '.join(told)}."


def _tables(found: Sequence[Crossing]) -> Iterable[Table]:
    for metric in _metrics(found):
        for place, here in _by_map(found, metric).items():
            at = {(each.algorithm, each.rtt_ms): each for each in here}
            rtts = sorted({each.rtt_ms for each in here})
            yield Table(
                title=f"{BY_NAME[metric].title}: session over token ({_named(place)})",
                columns=("token", *(f"{rtt:g} ms to the store" for rtt in rtts)),
                rows=tuple(
                    (Entry(name), *(_entry(at.get((name, rtt))) for rtt in rtts))
                    for name in dict.fromkeys(each.algorithm for each in here)
                ),
                note="Under each ratio its 95 % interval and who takes more, with p corrected for all pairs of this "
                "metric." + (" Of throughput more is better." if metric in OF_CLOSED else ""),
            )


def _entry(found: Crossing | None) -> Entry:
    if found is None:
        return Entry("–", "not measured")  # noqa: RUF001 - a dash
    each = found.comparison
    word = {"session": "session dearer", "token": "token dearer"}.get(found.dearer, found.dearer)
    return Entry(number(each.ratio), f"{interval(each.low, each.high)}, {word}", each.verdict)


def _waiting_table(sessions: Sequence[CellResult], tokens: Sequence[CellResult]) -> Table:
    return Table(
        title="Of the time to recognise a user, the part spent on the store",
        columns=("cell", "auth p50 (us)", "on the store"),
        rows=tuple(
            (
                Entry(f"{_scheme(each.cell)}, {count(each.cell.threads, 'thread')}"),
                Entry(number(each.value("auth_p50_us"))),
                Entry(percent(each.value(WAITING)), _span(each)),
            )
            for each in (*sessions, *tokens)
        ),
        note="Median over requests of store time over auth time, as the replica tells them. Store time holds the wait "
        "and the little that the store's client computes; what a round trip adds to it is the wait alone.",
    )


def _scheme(cell: Cell) -> str:
    if cell.scheme == "token":
        return f"token {cell.options.get(ALGORITHM, _USUAL_ALGORITHM)}"
    return f"session on {cell.store}, {_rtt_ms(cell):g} ms"


def _span(result: CellResult) -> str:
    found = result.estimates[WAITING]
    return "" if found.low is None or found.high is None else f"{percent(found.low)} to {percent(found.high)}"


def _waiting(result: CellResult) -> dict[str, Any]:
    found = result.estimates[WAITING]
    return {"cell": result.cell.id, WAITING: {"value": found.value, "low": found.low, "high": found.high}}


def _figure(run: Run, found: Sequence[Crossing]) -> Figure:
    panels = []
    for metric in _metrics(found):
        for number_of, (place, here) in enumerate(_by_map(found, metric).items()):
            heading = f"{BY_NAME[metric].title}: {_named(place)}"
            told = joined(
                f"{each.algorithm} at {each.rtt_ms:g} ms {number(each.comparison.ratio)} ({each.dearer})"
                for each in here
            )
            alt = f"Session over token, {heading}: {told}."
            height = 60 + 34 * len({each.algorithm for each in here})
            with panel(f"crossover-{metric}-{number_of}", alt, height=height, left=60, bottom=40) as made:
                _map(made.axes, here)
            panels.append(Drawing(heading, alt, made.svg))
    return Figure(
        id="crossover-map",
        title="Session over token, by round trip and algorithm",
        caption=f"Ratios of the cells of this run, {load_words(run)}.",
        reading="Each field has the ratio and who takes more; its colour is that of who takes less, and none where "
        "this run cannot tell.",
        key=((SCHEMES["token"].name, "token takes less"), (SCHEMES["session"].name, "session takes less")),
        panels=tuple(panels),
    )


def _map(axes: Axes, here: Sequence[Crossing]) -> None:
    algorithms = list(dict.fromkeys(each.algorithm for each in here))
    rtts = sorted({each.rtt_ms for each in here})
    for each in here:
        x, y = rtts.index(each.rtt_ms), algorithms.index(each.algorithm)
        ink = _winner(each)
        if ink:
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=ink.light, alpha=0.3, linewidth=0))
        axes.text(x, y - 0.14, number(each.comparison.ratio), ha="center", va="center", color=TEXT.light)
        word = f"{each.dearer} dearer" if ink else each.dearer
        axes.text(x, y + 0.24, word, ha="center", va="center", color=MUTED.light, fontsize=9)
    axes.set_xticks(range(len(rtts)), [f"{rtt:g} ms" for rtt in rtts])
    axes.set_yticks(range(len(algorithms)), algorithms)
    axes.set_xlim(-0.5, len(rtts) - 0.5)
    axes.set_ylim(len(algorithms) - 0.5, -0.5)
    axes.set_xlabel("round trip to the store")
    axes.grid(visible=False)
    axes.tick_params(length=0)


def _winner(each: Crossing) -> Ink | None:
    return {"session": SCHEMES["token"], "token": SCHEMES["session"]}.get(each.dearer)


def _document(each: Crossing) -> dict[str, Any]:
    found = each.comparison
    return {
        "metric": found.metric,
        "session": each.session.id,
        "token": each.token.id,
        "store": each.session.store,
        RTT: each.rtt_ms,
        ALGORITHM: each.algorithm,
        "threads": each.session.threads,
        "ratio": {"value": found.ratio, "low": found.low, "high": found.high},
        "verdict": found.verdict,
        "dearer": each.dearer,
    }
