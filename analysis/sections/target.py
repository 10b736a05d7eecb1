"""Services that others started, side by side: what each is, how it was asked, and which is faster by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from analysis.answer import LATENCY, Contest, how_sure, noise, span
from analysis.compare import Comparison, find, noise_floor
from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.findings import judged
from analysis.load import Run
from analysis.report.table import Entry, Table
from analysis.section import Section
from analysis.unmeasurable import not_measured, nothing_measured
from analysis.wording import NOTHING, capital, change, joined, number

PLACE = 5
OF_TARGETS = True
_TOLD = ("response_p50_ms", "response_p99_ms", "replica_cpu_us_per_request")
_TEXT = (
    "Services that ran already: nothing of them was started or stopped, and no counter of theirs was read but the CPU "
    "time of a process that the experiment's file names. The first is what the others are compared with."
)
_VERDICTS = {
    "faster": "{ours} is faster than {theirs}",
    "slower": "{ours} is slower than {theirs}",
    "equivalent": "{ours} and {theirs} are equally fast for practical purposes",
    "inconclusive": "no difference in speed between {ours} and {theirs} could be shown",
    "unstable": "this run was too unstable to tell {ours} from {theirs}",
}


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:
    """Return the part, of a run whose cells are targets; it answers in place of the usual three sentences."""
    documents = {cell["id"]: cell["target"] for cell in run.document["cells"] if not cell["duplicate_of"]}
    by_id = {each.cell.id: each for each in results}
    contests = [Contest(by_id[each.cell], by_id[each.baseline], each) for each in comparisons if each.metric == LATENCY]
    return Section(
        id="target",
        title="The systems",
        text=(_TEXT,),
        answer=_answer(run, results, contests),
        findings=tuple(_finding(each, comparisons) for each in contests),
        tables=(_table(run, documents),),
        document={
            "systems": [_document(name, each) for name, each in documents.items()],
            "comparisons": [_compared(each) for each in comparisons if each.metric in _TOLD],
        },
    )


def _answer(run: Run, results: Sequence[CellResult], contests: Sequence[Contest]) -> tuple[str, ...]:
    if not any(each.measurable for each in results):
        return (nothing_measured(results),)
    shown = [each for each in results if each.measurable and not each.cell.duplicate_of]
    told = "; ".join(_outcome(each) for each in contests) or joined(_alone(each) for each in shown)
    carried = joined(f"{number(each.value('credential_bytes'))} bytes to {each.cell.scheme}" for each in shown)
    sure = how_sure(run, contests, noise(results, noise_floor(results).get(LATENCY)))
    return capital(told) + "." + not_measured(results), sure, f"With each request goes a credential of {carried}."


def _outcome(contest: Contest) -> str:
    """Return `b is faster than a: median response time 1.2 ms against ...`."""
    ours, theirs, found = contest.cell, contest.baseline, contest.comparison
    said = _VERDICTS[found.verdict].format(ours=ours.cell.scheme, theirs=theirs.cell.scheme)
    times = f"{number(ours.value(LATENCY))} ms against {number(theirs.value(LATENCY))} ms"
    return f"{said}: median response time {times}, {change(found.ratio)} ({span(found)})"


def _alone(result: CellResult) -> str:
    median, tail = result.value(LATENCY), result.value("response_p99_ms")
    return f"the median response time of {result.cell.scheme} is {number(median)} ms, its p99 {number(tail)} ms"


def _finding(contest: Contest, comparisons: Sequence[Comparison]) -> Finding:
    ours, theirs = contest.cell.cell, contest.baseline.cell
    made = [find(comparisons, name, ours.id, theirs.id) for name in _TOLD]
    return Finding(
        f"target-{ours.id}",
        "finding",
        f"{ours.scheme} against {theirs.scheme}",
        " ".join(judged(contest, each) for each in made if each),
        (ours.id, theirs.id),
    )


def _table(run: Run, documents: Mapping[str, Mapping[str, Any]]) -> Table:
    return Table(
        title="How each was asked",
        columns=("system", "where", "sign-in", "requests, by weight", "answers that show the user"),
        rows=tuple(_row(run, name, each) for name, each in documents.items()),
        note="A request counts when its answer is the expected one. Where no answer shows the user, that it was "
        "answered for the right one is not known.",
    )


def _row(run: Run, name: str, document: Mapping[str, Any]) -> tuple[Entry, ...]:
    trial = next((each for each in run.trials if each.cell == name and each.valid), None)
    shown = _document(name, document)
    asked = joined(f"{each['weight']} × {each['method']} {each['path']}" for each in shown["requests"])  # noqa: RUF001
    users = joined(each["name"] for each in shown["requests"] if each["shows_the_user"]) or NOTHING
    sign_in = f"{shown['sign_in']}, {shown['credential']}" if shown["sign_in"] else "none"
    told = f"{len(trial.components)} process read" if trial and trial.components else ""
    return Entry(name, told), Entry(shown["url"]), Entry(sign_in), Entry(asked), Entry(users)


def _document(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    login = document.get("login")
    return {
        "name": name,
        "url": document["url"],
        "tls": urlsplit(document["url"]).scheme == "https",
        "sign_in": f"{login.get('method', 'POST')} {login['path']}" if login else None,
        "credential": login.get("credential", "cookie") if login else None,
        "requests": [
            {
                "name": each["name"],
                "method": each.get("method", "GET"),
                "path": each["path"],
                "weight": each.get("weight", 1),
                "shows_the_user": "{username}" in str(each.get("expect", {})),
            }
            for each in document["requests"]
        ],
    }


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "metric": comparison.metric,
        "cell": comparison.cell,
        "baseline": comparison.baseline,
        "verdict": comparison.verdict,
        "ratio": {"value": comparison.ratio, "low": comparison.low, "high": comparison.high},
    }
