"""What a sign-in costs, and which part of that is the scheme's: of a run whose load is sign-ins alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from analysis.compare import Comparison
from analysis.estimates import CellResult, Estimate, estimate
from analysis.lines import Drawing, Figure, load_words
from analysis.load import Run
from analysis.palette import scheme_inks
from analysis.report.table import Entry, Table
from analysis.rows import Bar, stacked_panel
from analysis.section import Section
from analysis.wording import joined, number, percent, series, subject
from loadtests import load_words as words

PLACE = 42
CPU = "total_cpu_us_per_request"
HASH_COST, CHEAPEST = "hash_cost", "fast"
_TEXT = (
    "Every request is a sign-in, {load}: the password is checked against its argon2id hash, and a credential is "
    "made. Control checks the password and makes none, so that what others take above it is the scheme's."
)


@dataclass(frozen=True)
class SignIns:
    """A cell's sign-ins: how many a second, CPU of all servers for one (us), and what of it is above control's.

    The last two are made block by block, and None without a control at the same hash cost.
    """

    result: CellResult
    per_second: Estimate
    cpu_us: Estimate
    above_control_us: Estimate | None
    share: Estimate | None

    @property
    def hash_cost(self) -> str:
        """Return the cost of the passwords' hash."""
        return self.result.cell.options.get(HASH_COST, CHEAPEST)

    @property
    def name(self) -> str:
        """Return the cell's name without the hash cost."""
        cell = self.result.cell
        options = {name: value for name, value in cell.options.items() if name != HASH_COST}
        return f"{series(replace(cell, options=options))} ×{cell.replicas}"  # noqa: RUF001 - a times sign


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the part, of a run of sign-ins."""
    if run.load.get("scenario") != "login":
        return None
    by_id = {each.cell.id: each for each in results}
    controls = {each.cell: by_id[each.baseline] for each in comparisons if each.question == "floor"}
    shown = [each for each in results if each.measurable and each.cell.duplicate_of is None]
    found = [_sign_ins(each, controls.get(each.cell.id)) for each in shown]
    if not found:
        return None
    costs = list(dict.fromkeys(each.hash_cost for each in found))
    found.sort(key=lambda each: costs.index(each.hash_cost))
    closed = words.is_closed(run.load)
    return Section(
        id="login",
        title="A login storm",
        text=(_TEXT.format(load=load_words(run)),),
        answer=tuple(_answer(found, closed=closed)),
        tables=(_table(found, closed=closed),),
        figures=(_figure(run, found),),
        document={"sign_ins": [_document(each, closed=closed) for each in found]},
    )


def _sign_ins(result: CellResult, control: CellResult | None) -> SignIns:
    above = share = None
    if control is not None:
        ours, floor = result.by_block(CPU), control.by_block(CPU)
        blocks = sorted(ours.keys() & floor.keys())
        above = estimate([ours[each] - floor[each] for each in blocks], positive=False)
        share = estimate([(ours[each] - floor[each]) / ours[each] for each in blocks], positive=False)
    return SignIns(result, result.estimates["throughput_rps"], result.estimates[CPU], above, share)


def _answer(found: Sequence[SignIns], *, closed: bool) -> Iterable[str]:
    for cost in dict.fromkeys(each.hash_cost for each in found):
        here = [each for each in found if each.hash_cost == cost]
        rate = ", {} sign-ins a second" if closed else ""
        told = joined(f"{each.name} {number(each.cpu_us.value)} us{rate.format(_value(each))}" for each in here)
        parts = [each for each in here if each.share is not None and each.share.value is not None]
        of = joined(f"{subject_of(each)} {_spanned(each.share)}" for each in parts if each.share)
        yield f"At hash cost {cost}, CPU of all servers for a sign-in: {told}." + (
            f" The scheme's part of it: {of}." if of else ""
        )


def _spanned(part: Estimate) -> str:
    if part.low is None or part.high is None:
        return f"{percent(part.value)} (one block, so no interval)"
    return f"{percent(part.value)} (95 % interval {percent(part.low)} to {percent(part.high)})"


def _value(each: SignIns) -> str:
    return number(each.per_second.value)


def subject_of(each: SignIns) -> str:
    """Return who it is, in a sentence."""
    options = {name: value for name, value in each.result.cell.options.items() if name != HASH_COST}
    return subject(replace(each.result.cell, options=options))


def _table(found: Sequence[SignIns], *, closed: bool) -> Table:
    rate = ("sign-ins a second",) if closed else ()
    return Table(
        title="Sign-ins by hash cost and scheme",
        columns=("cell", "hash cost", *rate, "CPU for one (us)", "above control (us)", "the scheme's part"),
        rows=tuple(
            (
                Entry(each.name),
                Entry(each.hash_cost),
                *((_entry(each.per_second),) if closed else ()),
                _entry(each.cpu_us),
                _entry(each.above_control_us),
                _entry(each.share, share=True),
            )
            for each in found
        ),
        note="CPU of replicas, balancer and store. The last two are differences to control in the same block, with "
        "their t intervals; an interval that holds 0 says that no part of the scheme's could be told from noise.",
    )


def _entry(figure: Estimate | None, *, share: bool = False) -> Entry:
    if figure is None or figure.value is None:
        return Entry("–")  # noqa: RUF001 - a dash
    text = percent if share else number
    span = "" if figure.low is None or figure.high is None else f"{text(figure.low)} to {text(figure.high)}"
    return Entry(text(figure.value), span)


def _figure(run: Run, found: Sequence[SignIns]) -> Figure:
    inks = scheme_inks(run.cells)
    panels = []
    for place, cost in enumerate(dict.fromkeys(each.hash_cost for each in found)):
        here = [each for each in found if each.hash_cost == cost]
        bars = [
            Bar(each.name, (each.cpu_us.value or 0.0,), _span(each.cpu_us), ink=inks[each.result.cell.scheme])
            for each in here
        ]
        told = joined(f"{each.name} {number(each.cpu_us.value)}" for each in here)
        alt = f"CPU for a sign-in in us, hash cost {cost}: {told}."
        panels.append(Drawing(f"hash cost {cost} (us)", alt, stacked_panel(f"login-{place}", alt, bars)))
    return Figure(
        id="login-cpu",
        title="CPU for a sign-in",
        caption=f"All servers together, {load_words(run)}.",
        reading="What a bar is longer than control's is the scheme's; the line is the 95 % interval over blocks.",
        key=(),
        panels=tuple(panels),
    )


def _span(figure: Estimate) -> tuple[float, float] | None:
    return None if figure.low is None or figure.high is None else (figure.low, figure.high)


def _document(each: SignIns, *, closed: bool) -> dict[str, Any]:
    return {
        "cell": each.result.cell.id,
        HASH_COST: each.hash_cost,
        "per_second": asdict(each.per_second) if closed else None,
        "cpu_us": asdict(each.cpu_us),
        "above_control_us": asdict(each.above_control_us) if each.above_control_us else None,
        "share": asdict(each.share) if each.share else None,
    }
