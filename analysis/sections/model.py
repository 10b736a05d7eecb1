"""The queueing model beside what was measured: cells that it was not fitted on, with its errors and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from analysis.compare import Comparison
from analysis.demands import SHARED, processors
from analysis.estimates import CellResult, Estimate, estimate
from analysis.finding import Finding
from analysis.lines import Drawing, Figure, load_words
from analysis.load import Run
from analysis.model import NOT_VALID, RESPONSE_LIMIT, THROUGHPUT_LIMIT, UNDECIDED, HeldOut, SeriesModel, models
from analysis.palette import inks
from analysis.percentiles import Checked, check
from analysis.report.table import Entry, Table
from analysis.rows import Mark, marks_panel
from analysis.section import Section
from analysis.wording import count, interval, joined, label, number, percent, series, signed_percent
from loadtests import load_words as words

PLACE = 90
_COMPONENTS = (("replica_s", "replica"), ("balancer_s", "balancer"), ("store_s", "store"), ("delay_s", "delay"))


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the section; None where no series has a cell to be checked on."""
    del comparisons  # of the contract; a model compares cells with itself
    made = [each for each in models(run, results) if each.held_out]
    if not made:
        return None
    checked = [each for model in made for each in check(run, model, int(run.document.get("seed") or 0))]
    return Section(
        id="model",
        title="The model, checked on cells it did not see",
        text=(_about(made), _assumes(run), *_contention(run, made)),
        findings=(_finding(made),),
        tables=(_held_out(made), _percentiles(checked), _demands(made)),
        figures=(_figure(run, made),),
        document={
            "limits": {"response": RESPONSE_LIMIT, "throughput": THROUGHPUT_LIMIT},
            "series": [_document(each, checked) for each in made],
        },
    )


def _about(made: Sequence[SeriesModel]) -> str:
    fitted = sorted({each.cell.replicas for model in made for each in model.fitted})
    held = sorted({each.result.cell.replicas for model in made for each in model.held_out})
    return (
        f"Demands (CPU per request, by component) and one delay were taken from the cells with "
        f"{joined(map(str, fitted))} replicas, and the cells with {joined(map(str, held))} predicted. The model is "
        f"valid here where its mean response is within {percent(RESPONSE_LIMIT)} and its throughput within "
        f"{percent(THROUGHPUT_LIMIT)} of what was measured with the whole interval of its error, and undecided where "
        "without."
    )


def _assumes(run: Run) -> str:
    if words.is_closed(run.load):
        return "Closed loop: exact mean value analysis. Throughput and response are both predicted."
    return (
        "Open loop: an open product-form network. Below saturation the throughput of an open loop is its rate, so that "
        "a right throughput proves little; the response time is what is tested."
    )


def _contention(run: Run, made: Sequence[SeriesModel]) -> tuple[str, ...]:
    shared = [each for model in made for each in model.held_out if each.saturates == SHARED]
    if not shared:
        return ()
    cores = processors(run, shared[0].result.cell).cores
    said = (
        f"Without a CPU quota all components of a cell share {count(cores, 'core')}: there more replicas add work and "
        "no capacity. This tests the model under contention, not scaling; REPLICA_CPUS sets a quota."
    )
    return (said,)


def _finding(made: Sequence[SeriesModel]) -> Finding:
    held = [each for model in made for each in model.held_out]
    bad = [each for each in held if each.verdict == NOT_VALID]
    open_ = [each for each in held if each.verdict == UNDECIDED]
    cells = tuple(each.result.cell.id for each in held)
    if not bad and open_:
        text = (
            f"Its errors are within the limits on every held-out cell, but their intervals are not on "
            f"{joined(label(each.result.cell) for each in open_)}: more blocks would decide it."
        )
        return Finding("model", "caution", "Whether the queueing model is valid here is undecided", text, cells)
    if not bad:
        worst = max(abs(each.response_error.value or 0.0) for each in held)
        text = f"On {count(len(held), 'held-out cell')} its mean response is off by {percent(worst)} at most."
        return Finding("model", "finding", "The queueing model is valid here", text, cells)
    told = joined(f"{label(each.result.cell)} ({_error(each)})" for each in bad)
    text = f"It is off by more than its limits on {told}: do not extrapolate response times of these from this run."
    return Finding("model", "caution", "The queueing model is not valid here", text, cells)


def _error(held: HeldOut) -> str:
    if held.response_error.value is None:
        return f"it has {held.saturates} saturated, which was not so"
    said = f"response {signed_percent(1 + held.response_error.value)}"
    off = held.throughput_error.value or 0.0
    return f"{said}, throughput {signed_percent(1 + off)}" if abs(off) > THROUGHPUT_LIMIT else said


def _held_out(made: Sequence[SeriesModel]) -> Table:
    return Table(
        title="Measured and modelled, cells held out of the fit",
        columns=("cell", "verdict", "mean response (ms)", "modelled (ms)", "error", "throughput (1/s)",
                 "modelled (1/s)", "error", "busiest"),
        rows=tuple(_row(each) for model in made for each in model.held_out),
        note="Error: modelled over measured, by block; the interval is over blocks. Busiest: the station that "
        "saturates first, and its utilisation. Under a modelled throughput of a closed loop "
        "stand its bounds (asymptotic; balanced-job where every station is one whole core).",
    )  # fmt: skip


def _row(held: HeldOut) -> tuple[Entry, ...]:
    estimates = held.result.estimates
    return (
        Entry(label(held.result.cell)),
        Entry(held.verdict),
        _entry(estimates["response_mean_ms"]),
        _entry(held.response_ms),
        _share(held.response_error),
        _entry(estimates["throughput_rps"]),
        Entry(number(held.throughput_rps.value), _between(held)),
        _share(held.throughput_error),
        Entry(held.saturates, percent(held.utilisation)),
    )


def _between(held: HeldOut) -> str:
    if held.bounds is None:
        return interval(held.throughput_rps.low, held.throughput_rps.high)
    return f"bounds {number(held.bounds.least_rps)} to {number(held.bounds.most_rps)}"


def _percentiles(checked: Sequence[Checked]) -> Table:
    return Table(
        title="Percentiles by simulation, the same cells",
        columns=(
            "cell",
            "p50, measured (ms)",
            "simulated (ms)",
            "error",
            "p99, measured (ms)",
            "simulated (ms)",
            "error",
        ),
        rows=tuple(
            (
                Entry(label(each.result.cell)),
                _entry(each.result.estimates["response_p50_ms"]),
                _entry(each.p50_ms),
                Entry(signed_percent(1 + each.p50_error)),
                _entry(each.result.estimates["response_p99_ms"]),
                _entry(each.p99_ms),
                Entry(signed_percent(1 + each.p99_error)),
            )
            for each in checked
        ),
        note="The interval of a simulated figure is its own scatter, not that of the demands. No verdict rests on "
        "these: a tail has what a model does not (the machine's pauses).",
    )


def _demands(made: Sequence[SeriesModel]) -> Table:
    return Table(
        title="Demands that the model rests on (us per request)",
        columns=("series", "fitted at replicas", *(name for _, name in _COMPONENTS)),
        rows=tuple(
            (
                Entry(series(each.fitted[0].cell)),
                Entry(joined(str(one.cell.replicas) for one in each.fitted)),
                *(_entry(_over(each, name, 1e6)) for name, _ in _COMPONENTS),
            )
            for each in made
        ),
        note="CPU by the scheduler's clock; the delay is fitted: what of the mean response no queue explains.",
    )


def _figure(run: Run, made: Sequence[SeriesModel]) -> Figure:
    held = [each for model in made for each in model.held_out]
    colours = inks([each.result.cell for each in held])
    marks = [
        Mark(label(each.result.cell), (1 + (each.response_error.value or 0.0),),
             colours[each.result.cell.scheme, each.result.cell.store], _span(each.response_error))
        for each in held if each.response_error.value is not None
    ]  # fmt: skip
    told = joined(f"{mark.name} {signed_percent(mark.values[0])}" for mark in marks)
    alt = f"Modelled over measured mean response: {told}."
    drawn = marks_panel("model-error", alt, marks, line=1.0, shaded=RESPONSE_LIMIT)
    return Figure(
        id="model-figure",
        title="Modelled over measured mean response",
        caption=f"Cells held out of the fit, {load_words(run)}.",
        reading=f"1 is a right prediction; the model is valid here within the band of ±{100 * RESPONSE_LIMIT:g} %.",
        key=(),
        panels=(Drawing("modelled / measured", alt, drawn),) if marks else (),
    )


def _span(figure: Estimate) -> tuple[float, float] | None:
    return None if figure.low is None or figure.high is None else (1 + figure.low, 1 + figure.high)


def _entry(figure: Estimate) -> Entry:
    return Entry(number(figure.value), interval(figure.low, figure.high))


def _share(figure: Estimate) -> Entry:
    if figure.value is None:
        return Entry("–")  # noqa: RUF001 - a dash, as in a printed table
    span = _span(figure)
    return Entry(
        signed_percent(1 + figure.value), f"{signed_percent(span[0])} to {signed_percent(span[1])}" if span else ""
    )


def _over(model: SeriesModel, name: str, unit: float) -> Estimate:
    return estimate([unit * getattr(each, name) for each in model.by_block.values()], positive=True)


def _document(model: SeriesModel, checked: Sequence[Checked]) -> dict[str, Any]:
    by_cell = {each.result.cell.id: each for each in checked}
    return {
        "fitted": [each.cell.id for each in model.fitted],
        "verdict": model.verdict,
        "demands_us": {name: _plain(_over(model, field, 1e6)) for field, name in _COMPONENTS},
        "held_out": [_document_of(each, by_cell.get(each.result.cell.id)) for each in model.held_out],
    }


def _document_of(held: HeldOut, checked: Checked | None) -> dict[str, Any]:
    found = {
        "cell": held.result.cell.id,
        "verdict": held.verdict,
        "response_mean_ms": _plain(held.result.estimates["response_mean_ms"]),
        "modelled_response_ms": _plain(held.response_ms),
        "response_error": _plain(held.response_error),
        "throughput_rps": _plain(held.result.estimates["throughput_rps"]),
        "modelled_throughput_rps": _plain(held.throughput_rps),
        "throughput_error": _plain(held.throughput_error),
        "bounds": asdict(held.bounds) if held.bounds else None,
        "busiest": held.saturates,
        "utilisation": held.utilisation,
    }
    if checked:
        found["simulated"] = {
            "response_p50_ms": _plain(checked.p50_ms),
            "response_p99_ms": _plain(checked.p99_ms),
            "p50_error": checked.p50_error,
            "p99_error": checked.p99_error,
        }
    return found


def _plain(figure: Estimate) -> dict[str, Any]:
    return {name: value for name, value in asdict(figure).items() if name != "blocks"}
