"""A fault in time: what came back each second, and how long it took, around the moment of the fault."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.drawing import WIDTH, band, panel
from analysis.fault_results import FaultResult
from analysis.fault_trials import Struck
from analysis.fault_words import TITLES, name, sentence
from analysis.lines import Drawing, Figure
from analysis.palette import KNOWN, MUTED, SPARE
from analysis.recovery import WINDOW_S

_ANSWERED, _FAILED, _REFUSED = KNOWN["token", "none"], SPARE[1], SPARE[0]
_HEIGHT, _BOTTOM, _GAP, _LOWER = 300, 44, 16, 84


def timeline(fault: str, results: Sequence[FaultResult]) -> Figure:
    """Return the figure of one fault, a panel for each of its cells that has a block."""
    shown = [each for each in results if each.cell.case == fault and each.trials]
    return Figure(
        id=f"fault-{fault}",
        title=f"{TITLES.get(fault, fault)}, in time",
        caption=f"Requests a second by when the answer or the failure came, and below it p99 in ms of the good answers "
        f"by when they fell due, in windows of {WINDOW_S:g} s, all blocks together. The shade lasts from the fault to "
        "the last step of putting it right that belongs to it.",
        reading="Of some thirty requests a window and block, p99 is nearly the slowest.",
        key=((_ANSWERED.name, "answered"), (_FAILED.name, "failed"), (_REFUSED.name, "refused (401)")),
        panels=tuple(_drawing(each) for each in shown),
    )


def _drawing(result: FaultResult) -> Drawing:
    heading = name(result)
    alt = f"{heading}, {result.cell.case}: {sentence(result)}."
    with panel(f"timeline-{result.cell.id}", alt, height=_HEIGHT, bottom=_BOTTOM + _LOWER + _GAP) as made:
        _counts(made.axes, result.trials)
        right = (WIDTH - 48 - 16) / WIDTH
        below = made.axes.figure.add_axes((48 / WIDTH, _BOTTOM / _HEIGHT, right, _LOWER / _HEIGHT), sharex=made.axes)
        _latency(below, result.trials)
        for axes in (made.axes, below):
            band(axes, 0, max(trial.fault_over_s for trial in result.trials))
            axes.axvline(0, color=MUTED.light, linewidth=1, linestyle=(0, (2, 2)))
        made.axes.tick_params(axis="x", labelbottom=False)
        below.set_xlabel("seconds since the fault")
    return Drawing(heading, alt, made.svg)


def _windows(trials: Sequence[Struck]) -> list[int]:
    """Windows that every trial has, by their number since the fault; the first and the last may be cut and are not."""
    found = [{round(at / WINDOW_S) for at in trial.bins.at_s[1:]} for trial in trials]
    return sorted(set.intersection(*found))


def _counts(axes: Axes, trials: Sequence[Struck]) -> None:
    windows = _windows(trials)
    at_s = np.asarray(windows) * WINDOW_S
    for part, ink in (("answered", _ANSWERED), ("failed", _FAILED), ("refused", _REFUSED)):
        total = np.zeros(len(windows))
        for trial in trials:
            first = round(trial.bins.at_s[0] / WINDOW_S)
            total += getattr(trial.bins, part)[np.asarray(windows) - first]
        axes.step(at_s, total / len(trials) / WINDOW_S, where="post", color=ink.light, linewidth=1.6)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _latency(axes: Axes, trials: Sequence[Struck]) -> None:
    windows = _windows(trials)
    p99_ms = []
    for window in windows:
        times = np.concatenate([trial.bins.times_ms[window - round(trial.bins.at_s[0] / WINDOW_S)] for trial in trials])
        p99_ms.append(float(np.quantile(times, 0.99)) if times.size else np.nan)  # the line has a gap there
    at_s = (np.asarray(windows) + 0.5) * WINDOW_S
    axes.plot(at_s, p99_ms, color=_ANSWERED.light, marker="o", markersize=2.5, linewidth=0.8)
    axes.set_yscale("log")
    axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1 s"])
    axes.minorticks_off()
