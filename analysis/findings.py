"""What the run found, in sentences computed from its data, the most telling first.

A cell that refused its users is a finding about the topology, not an error of the run; a comparison that settles
nothing says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from analysis.answer import Contest, comparison_of, contests
from analysis.common_options import plain
from analysis.compare import Comparison
from analysis.contention import contention
from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.load import Run
from analysis.metrics import BY_NAME
from analysis.refusals import refusals
from analysis.stop import stopped
from analysis.unmeasurable import unmeasurable
from analysis.wording import (
    capital,
    change,
    count,
    count_of,
    joined,
    number,
    percent,
    ratio_text,
    series,
    subject,
)


def findings(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> tuple[Finding, ...]:
    """Return every finding of the run: what was refused, latency, CPU, bytes, commands, then the cautions."""
    if run.of_targets:  # what is found of them is their own part's
        return (*refusals(results), *_cautions(run, results))
    found = contests(results, comparisons)
    return (
        *refusals(results),
        *_latency(found, comparisons),
        *_against_control(results, comparisons),
        *_processor(found, comparisons),
        *_octets(found),
        *_store(results),
        *_cautions(run, results),
    )


def _cautions(run: Run, results: Sequence[CellResult]) -> Iterable[Finding]:
    """Yield what is to be kept in mind with every figure."""
    yield from _errors(results)
    yield from contention(run)
    yield from _invalid(results)
    yield from unmeasurable(results)
    yield from stopped(run)
    yield from _partial(run)


def _latency(found: Sequence[Contest], comparisons: Sequence[Comparison]) -> Iterable[Finding]:
    for contest in found:
        made = [comparison_of(contest, comparisons, name) for name in ("response_p50_ms", "response_p99_ms")]
        sentences = [judged(contest, each) for each in made if each]
        yield Finding(
            f"latency-{contest.cell.cell.replicas}r",
            "finding",
            f"{capital(subject(contest.cell.cell))} against {subject(contest.baseline.cell)} at "
            f"{count(contest.cell.cell.replicas, 'replica')}",
            " ".join(sentences),
            (contest.cell.cell.id, contest.baseline.cell.id),
        )


def judged(contest: Contest, comparison: Comparison) -> str:
    """Return one comparison as a sentence whose strength is its verdict's."""
    title = capital(BY_NAME[comparison.metric].title)
    figures = (
        f"{number(contest.cell.value(comparison.metric))} against "
        f"{number(contest.baseline.value(comparison.metric))} {BY_NAME[comparison.metric].unit} "
        f"({ratio_text(comparison)})"
    )
    if comparison.verdict in ("faster", "slower"):
        return f"{title} is {change(comparison.ratio)}: {figures}."
    if comparison.verdict == "equivalent":
        return f"{title} is the same within the margin: {figures}."
    if comparison.verdict == "unstable":
        return f"{title} cannot be told: identical cells differed as much in this run: {figures}."
    return f"{title}: cannot tell, {figures}{_why_not(comparison)}."


def _why_not(comparison: Comparison) -> str:
    if comparison.low is None or comparison.high is None:
        return "; more blocks give an interval"
    if comparison.low > 1 or comparison.high < 1:
        return (
            "; the interval alone excludes 1, but not after correction for all comparisons; more blocks may settle it"
        )
    return "; the interval includes 1; more blocks may settle it"


def _against_control(results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Iterable[Finding]:
    """Say, at each number of replicas, what recognising the user adds to the median of the control."""
    by_id = {each.cell.id: each for each in results}
    made = [each for each in comparisons if (each.metric, each.question) == ("response_p50_ms", "floor")]
    for replicas in sorted({by_id[each.cell].cell.replicas for each in made}):
        here = [each for each in made if by_id[each.cell].cell.replicas == replicas]
        parts = [f"{_added(by_id[each.cell], by_id[each.baseline])} [{each.verdict}]" for each in here]
        yield Finding(
            f"against-control-{replicas}r",
            "finding",
            f"What recognising the user adds at {count(replicas, 'replica')}",
            f"Median response time against the control's: {joined(parts)}.",
            tuple(each.cell for each in here),
        )


def _added(cell: CellResult, control: CellResult) -> str:
    ours, floor = cell.value("response_p50_ms") or 0.0, control.value("response_p50_ms") or 0.0
    sign = "+" if ours >= floor else "−"  # noqa: RUF001 - a minus sign, not a hyphen
    return f"{series(cell.cell)} {sign}{number(abs(ours - floor), 2)} ms"


def _processor(found: Sequence[Contest], comparisons: Sequence[Comparison]) -> Iterable[Finding]:
    for contest in found[-1:]:
        made = comparison_of(contest, comparisons, "replica_cpu_us_per_request")
        if made is None:
            continue
        totals = [side.value("total_cpu_us_per_request") for side in (contest.cell, contest.baseline)]
        yield Finding(
            "cpu",
            "finding",
            "Processor time per request",
            f"{judged(contest, made)} With balancer and store it is {number(totals[0])} against "
            f"{number(totals[1])} us for {subject(contest.cell.cell)} and {subject(contest.baseline.cell)}, at "
            f"{count(contest.cell.cell.replicas, 'replica')}.",
            (made.cell, made.baseline),
        )


def _octets(found: Sequence[Contest]) -> Iterable[Finding]:
    for contest in found[-1:]:
        ours, theirs = (side.value("credential_bytes") for side in (contest.cell, contest.baseline))
        if ours is None or theirs is None:
            continue
        more = ours - theirs
        yield Finding(
            "bytes",
            "finding",
            "Bytes on the wire",
            f"{capital(subject(contest.cell.cell))} send {number(ours)} bytes of credential with every request and "
            f"{subject(contest.baseline.cell)} {number(theirs)}: {number(abs(more))} bytes "
            f"{'more' if more >= 0 else 'fewer'}, or {number(abs(more))} MB in a million requests.",
            (contest.cell.cell.id, contest.baseline.cell.id),
        )


def _store(results: Sequence[CellResult]) -> Iterable[Finding]:
    shown = [each for each in results if each.cell.duplicate_of is None and each.measurable]
    cells = [each.cell for each in results]
    shown = [replace(each, cell=plain(each.cell, cells)) for each in shown if each.cell.scheme != "control"]
    asked: dict[str, list[str]] = {}
    for each in shown:
        commands = "in process, counted by no server" if each.in_process else _asked(each)
        alike = [other for other in shown if subject(other.cell) == subject(each.cell)]
        differs = len({_asked(other) for other in alike}) > 1
        place = f" at {count(each.cell.replicas, 'replica')}" if differs else ""
        asked.setdefault(commands, []).append(subject(each.cell) + place)
    if asked:
        parts = [f"{commands}: {joined(dict.fromkeys(names))}" for commands, names in sorted(asked.items())]
        yield Finding(
            "store-commands",
            "finding",
            "Store commands per request",
            f"By the counters of the store: {'; '.join(parts)}.{_whole(shown)}",
            (),
        )


def _asked(result: CellResult) -> str:
    return count_of(result.value("store_commands_per_request") or 0.0, "command")


def _whole(results: Sequence[CellResult]) -> str:
    """Say whether every store's commands per request are one whole number in every block, and of which not."""
    counted = [each for each in results if each.whole_commands is not None]
    broken = [each.cell.id for each in counted if not each.whole_commands]
    if not counted:
        return ""
    if not broken:
        return " Each is the same whole number in every block."
    return f" Not one whole number in every block: {joined(broken)}."


def _errors(results: Sequence[CellResult]) -> Iterable[Finding]:
    wrong = [each for each in results if each.value("error_ratio")]
    if wrong:
        parts = joined(f"{each.cell.id} {percent(each.value('error_ratio'))}" for each in wrong)
        text = f"Requests with a wrong, late or missing answer: {parts}."
        yield Finding("errors", "caution", "Errors", text, tuple(each.cell.id for each in wrong))


def _invalid(results: Sequence[CellResult]) -> Iterable[Finding]:
    invalid = [each for each in results if each.invalid_blocks]
    if invalid:
        total = sum(each.invalid_blocks for each in invalid)
        text = f"{count(total, 'trial')} did not count: {'; '.join(_reasons(invalid))}."
        yield Finding("invalid", "caution", "Invalid trials", text, tuple(each.cell.id for each in invalid))


def _reasons(results: Sequence[CellResult]) -> list[str]:
    """Return the reasons against trials; those that differ in their figures alone as one, with how often."""
    times: dict[str, list[str]] = {}
    for each in results:
        for reason, n in each.invalid_reasons.items():
            times.setdefault(reason.partition(":")[0], []).extend([reason] * n)
    return sorted(
        alike[0] if len(set(alike)) == 1 else f"{kind} ({len(alike)} times, such as {alike[0].partition(': ')[2]})"
        for kind, alike in times.items()
    )


def _partial(run: Run) -> Iterable[Finding]:
    if len(run.trials) < run.trials_planned:
        whole = sum(
            len({trial.cell for trial in run.trials if trial.block == block}) == len(run.cells)
            for block in {trial.block for trial in run.trials}
        )
        text = (
            f"{len(run.trials)} of {count(run.trials_planned, 'trial')} are there, {whole} of "
            f"{count(run.blocks_planned, 'block')} whole; the figures are of what is there."
        )
        yield Finding("partial", "caution", "This run did not finish", text, ())
