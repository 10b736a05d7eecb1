"""What a run shows while it goes: a live table on a terminal, plain lines elsewhere.

The live table is drawn between the steps of a trial, never on a timer: a redraw in the middle of a measured phase
would take a core from it.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtests.experiment import Experiment
from loadtests.precision import LOOKS, Look

_FIRST_GUESS_S = 5.0  # of a trial beside its load, until one has been timed


class Progress(Protocol):
    """Told what happens; a context manager."""

    def doing(self, block: int, cell: str, step: str) -> None:
        """A step of a trial begins."""

    def done(self, record: dict[str, Any]) -> None:
        """A trial ended; `record` is its trial.json."""

    def looked(self, look: Look) -> None:
        """The intervals are not narrow enough yet, and another block follows."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress(experiment: Experiment, console: Console) -> Progress:
    """The live table where there is a terminal, plain lines elsewhere."""
    return _Live(experiment, console) if console.is_terminal else _Plain(experiment, console)


class _Clock:
    """Trials done, and the time left by what the finished ones took."""

    def __init__(self, experiment: Experiment) -> None:
        self.total = len(experiment.cells) * experiment.most_blocks
        self._most = "at most " if experiment.precision else ""
        self.done = 0
        self._guess_s = experiment.load.warm_up_s + experiment.load.duration_s + _FIRST_GUESS_S
        self._began = time.monotonic()

    def left(self) -> str:
        each_s = (time.monotonic() - self._began) / self.done if self.done else self._guess_s
        minutes, seconds = divmod(round(each_s * max(self.total - self.done, 0)), 60)
        return f"{self._most}{minutes}:{seconds:02d} left"


def open_comparisons(look: Look) -> str:
    """What the adaptive stop waits for, in one line."""
    widths = [each.half_width for each in look.unresolved if each.half_width is not None]
    widest = f"; the widest is ±{100 * max(widths):.1f} %" if widths else ""
    return f"{len(look.unresolved)} of {look.compared} intervals not narrow for {LOOKS} blocks in a row yet{widest}"


def verdict(record: dict[str, Any]) -> str:
    """One trial in a few words."""
    if not record["valid"]:
        dropped = record.get("dropped", 0)
        told = any("dropped" in reason for reason in record["invalid_reasons"][:1]) or not dropped
        return f"invalid: {record['invalid_reasons'][0]}" + ("" if told else f", {dropped} dropped")
    if "told" in record.get("study", {}):
        return str(record["study"]["told"])
    refused = record["outcomes"].get("refused", 0) / record["sent"]
    return f"{refused:.0%} refused" if refused else "ok"


def _median(record: dict[str, Any]) -> str:
    return f"p50 {record['response_p50_ms']:.2f} ms, " if record["response_p50_ms"] else ""


class _Plain:
    def __init__(self, experiment: Experiment, console: Console) -> None:
        self._clock = _Clock(experiment)
        self._blocks = experiment.most_blocks
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def doing(self, block: int, cell: str, step: str) -> None:  # noqa: ARG002 - plain lines tell of ends alone
        return

    def done(self, record: dict[str, Any]) -> None:
        self._clock.done += 1
        self._console.print(
            f"[{self._clock.done}/{self._clock.total}] block {record['block']}/{self._blocks} {record['cell']}: "
            f"{_median(record)}{verdict(record)}; {self._clock.left()}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def looked(self, look: Look) -> None:
        self._console.print(open_comparisons(look), markup=False, highlight=False, soft_wrap=True)


class _Live:
    def __init__(self, experiment: Experiment, console: Console) -> None:
        self._clock = _Clock(experiment)
        self._experiment = experiment
        self._latest: dict[str, dict[str, Any]] = {}
        self._wait = ""
        self._valid = {cell.id: 0 for cell in experiment.cells}
        self._now = Text()
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._now = Text(f"{self._clock.done} of {self._clock.total} trials done")
        self._live.update(self._draw(), refresh=True)
        self._live.__exit__(kind, error, trace)

    def doing(self, block: int, cell: str, step: str) -> None:
        self._now = Text.assemble(f"block {block}/{self._experiment.most_blocks}  ", (cell, "bold"), f"  {step}")
        self._live.update(self._draw(), refresh=True)

    def done(self, record: dict[str, Any]) -> None:
        self._clock.done += 1
        self._latest[record["cell"]] = record
        self._valid[record["cell"]] += record["valid"]

    def looked(self, look: Look) -> None:
        self._wait = open_comparisons(look)

    def _draw(self) -> Group:
        table = Table(box=None, padding=(0, 1), expand=False)
        table.add_column("cell", no_wrap=True)
        table.add_column("valid", justify="right")
        table.add_column("p50 ms", justify="right")
        table.add_column("latest", no_wrap=True, overflow="ellipsis")
        for cell, valid in self._valid.items():
            record = self._latest.get(cell)
            p50 = f"{record['response_p50_ms']:.2f}" if record and record["response_p50_ms"] else ""
            table.add_row(cell, f"{valid}/{self._experiment.most_blocks}", p50, verdict(record) if record else "")
        # in a grid, because a bar on its own ends no line
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=self._clock.total, completed=self._clock.done, width=40),
            f"{self._clock.done}/{self._clock.total} trials, {self._clock.left()}",
        )
        return Group(table, bar, *([Text(self._wait)] if self._wait else []), self._now)
