"""What the notebooks show: one run, or the part of a suite that answers a question, as ready pieces.

Where the run has nothing for a piece, the piece is one sentence that says so; no notebook fails for want of data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.estimates import CellResult
from analysis.figures import figures
from analysis.lines import Figure
from analysis.load import RunError, load_run
from analysis.metrics import BY_NAME
from analysis.plan_question import question
from analysis.planner import plan
from analysis.report import html, plan_page
from analysis.report.table import Table
from analysis.run_names import experiment_of, find_run
from analysis.session_memory import bytes_per_session
from analysis.suite import SUITE, load_suite
from analysis.summary import Analysis, analyse
from analysis.wording import joined


@dataclass(frozen=True)
class Shown:
    """A run as a notebook shows it: `told` says which it is, the methods give its pieces."""

    analysis: Analysis
    named: Path
    """The run or the suite that was asked for."""
    told: str
    all_figures: tuple[Figure, ...]

    @property
    def answer(self) -> str:
        """The sentences that open the report, as a Markdown list."""
        return "\n".join(f"{place}. {sentence}" for place, sentence in enumerate(self.analysis.answer, 1))

    def figures(self, *ids: str) -> str:
        """Return the figures with these ids as HTML; an id that ends with `*` stands for all that begin so."""
        found = [each for each in self.all_figures if any(_is(each.id, wanted) for wanted in ids)]
        return html.figures_alone(found) if found else _lacks(f"figure of {joined(each.rstrip('*-') for each in ids)}")

    def tables(self, *sections: str) -> str:
        """Return the tables of the parts of the report with these ids as HTML."""
        parts = [each for each in self.analysis.sections if each.id in sections]
        made: list[Table] = [table for each in parts for table in each.tables]
        return html.tables_alone(made) if made else _lacks(f"study of {joined(sections)}")

    def metrics(self, *names: str) -> pd.DataFrame:
        """Return value and interval of metrics, a row a cell; no row of a run without an ordinary load."""
        records = [
            {"cell": result.cell.id} | {column: value for name in names for column, value in _figure(result, name)}
            for result in self.analysis.results
        ]
        return pd.DataFrame(records).set_index("cell").astype(float) if records else _none()

    def plan(self, *, rps: int, users: int = 0, slo: str = "") -> str:
        """Return what a load needs, by series, as HTML; `slo` as `p99<50ms`, which is simulated and takes its time."""
        asked = question(str(rps), str(users), slo, "", "")
        memory = bytes_per_session(_folder(self.named, ("sessions",)))
        made = plan(self.analysis.run, self.analysis.results, asked, memory)
        sentences = (plan_page.asked(made), *plan_page.answers(made), plan_page.HOW)
        return html.paragraphs(sentences) + html.tables_alone(plan_page.tables(made))

    def comparisons(self, metric: str) -> pd.DataFrame:
        """Return the comparisons on a metric."""
        kept = ("cell", "baseline", "ratio", "low", "high", "p_holm", "verdict", "blocks")
        made = [each for each in self.analysis.comparisons if each.metric == metric]
        records = [
            {name: _rounded(found) if isinstance(found := getattr(each, name), float) else found for name in kept}
            for each in made
        ]
        return pd.DataFrame(records) if records else _none()


def of(name: str, experiments: Sequence[str]) -> Shown:
    """Return the run called `name`, of a suite its part of the first of these experiments that it has, else its first.

    Raises RunError where there is no run.
    """
    folder = _folder(Path(name), experiments)
    analysis = analyse(load_run(folder))
    found = experiment_of(folder)
    told = f"Run `{analysis.run.document['id']}`, experiment `{found}`."
    if found not in experiments:
        told += f" It was not made for this question (`make bench EXPERIMENT={experiments[0]}` is)."
    drawn = (*figures(analysis), *(figure for section in analysis.sections for figure in section.figures))
    return Shown(analysis, Path(name), told, drawn)


def _folder(named: Path, experiments: Sequence[str]) -> Path:
    if not (named / SUITE).is_file():
        return find_run(str(named), named.parent)
    parts = [part.experiment for part in load_suite(named).runs if (part.folder / "run.json").is_file()]
    if not parts:
        raise RunError("the suite has no run", where=named, hint="`make bench RESUME=latest` goes on with it")
    wanted = next((each for each in experiments if each in parts), parts[0])
    return find_run(str(named), named.parent, wanted)


def _is(name: str, wanted: str) -> bool:
    return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted


def _lacks(what: str) -> str:
    return f"<p>This run has no {what}.</p>"


def _none() -> pd.DataFrame:
    return pd.DataFrame({"": ["This run has none."]})


def _figure(result: CellResult, name: str) -> Iterable[tuple[str, float | None]]:
    estimate = result.estimates[name]
    unit = f" ({BY_NAME[name].unit})" if BY_NAME[name].unit else ""
    yield f"{BY_NAME[name].title}{unit}", _rounded(estimate.value)
    yield f"{BY_NAME[name].title} low", _rounded(estimate.low)
    yield f"{BY_NAME[name].title} high", _rounded(estimate.high)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
