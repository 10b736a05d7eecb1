"""The answer in three sentences: which is faster and by how much, how sure that is, and what it costs.

Every word that depends on the data is chosen by a verdict of `analysis.compare`; no sentence is written by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.compare import Comparison, find
from analysis.estimates import CellResult
from analysis.load import Run
from analysis.unmeasurable import not_measured, nothing_measured
from analysis.wording import capital, change, count, joined, number, options_text, setting, signed_percent, subject
from loadtests import load_words
from loadtests.pairs import BASELINE_STORE

LATENCY = "response_p50_ms"


@dataclass(frozen=True)
class Contest:
    """Two cells of equal replicas and policy that answer the question: `cell` (token) against `baseline` (session)."""

    cell: CellResult
    baseline: CellResult
    comparison: Comparison


def contests(results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> tuple[Contest, ...]:
    """Return the contests at the fewest and at the most replicas, of the session store that reaches furthest.

    Token against session where both ran; otherwise whatever was compared with control. Empty if nothing was.
    """
    by_id = {each.cell.id: each for each in results}
    every = [Contest(by_id[each.cell], by_id[each.baseline], each) for each in comparisons if each.metric == LATENCY]
    asked = [each for each in every if each.comparison.question in ("scheme", "floor")]
    direct = [each for each in asked if each.baseline.cell.scheme == "session"] or asked
    if not direct:
        return ()
    most = max(direct, key=_reach)
    same = [each for each in direct if _pairing(each) == _pairing(most)]
    fewest = min(same, key=lambda each: each.cell.cell.replicas)
    return (fewest,) if fewest is most else (fewest, most)


def _reach(contest: Contest) -> tuple[bool, int, bool, bool]:
    """Rank a contest by how much it tells: tokens before other schemes, many replicas, a store that they share."""
    ours, theirs = contest.cell.cell, contest.baseline.cell
    return ours.scheme == "token", ours.replicas, theirs.shared, theirs.store == BASELINE_STORE


def _pairing(contest: Contest) -> tuple[str, ...]:
    ours, theirs = contest.cell.cell, contest.baseline.cell
    told = str(ours.threads), options_text(ours.options), options_text(theirs.options)
    return ours.scheme, ours.store, theirs.store, ours.policy, *told


def answer(
    run: Run,
    results: Sequence[CellResult],
    comparisons: Sequence[Comparison],
    floor: Comparison | None,
) -> tuple[str, ...]:
    """Return the three sentences, of whatever the run was able to compare; one, where nothing could be measured."""
    if not any(each.measurable for each in results):
        return (nothing_measured(results),)
    found, gaps = contests(results, comparisons), not_measured(results)
    if not found:
        return (
            (
                "This run compares nothing: no two cells of different schemes, equal replicas and valid blocks "
                "answered every request."
            )
            + gaps,
            how_sure(run, (), noise(results, floor)),
            "What each cell costs on its own is in the table of metrics.",
        )
    return _which(found) + gaps, how_sure(run, found, noise(results, floor)), _costs(found[-1])


def _which(found: Sequence[Contest]) -> str:
    return capital("; ".join(_outcome(contest) for contest in found)) + "."


def _outcome(contest: Contest) -> str:
    """Return `at 1 replica, tokens are faster than sessions on redis: median response time 1.2 ms against ...`."""
    ours, theirs = subject(contest.cell.cell), subject(contest.baseline.cell)
    comparison = contest.comparison
    said = {
        "faster": f"{ours} are faster than {theirs}",
        "slower": f"{ours} are slower than {theirs}",
        "equivalent": f"{ours} and {theirs} are equally fast for practical purposes",
        "inconclusive": f"no difference in speed between {ours} and {theirs} could be shown",
        "unstable": f"the machine was too unstable to tell {ours} from {theirs}",
    }[comparison.verdict]
    return (
        f"at {count(contest.cell.cell.replicas, 'replica')}, {said}: median response time "
        f"{number(contest.cell.value(LATENCY))} ms against {number(contest.baseline.value(LATENCY))} ms, "
        f"{change(comparison.ratio)} ({span(comparison)})"
    )


def span(comparison: Comparison) -> str:
    """Return the interval of a ratio as signed changes, in words."""
    if comparison.low is None:
        return "one block, so no interval"
    return f"95 % interval {signed_percent(comparison.low)} to {signed_percent(comparison.high)}"


def how_sure(run: Run, found: Sequence[Contest], noise: str) -> str:
    """Return what the answer rests on: blocks, load, corrected p, and the run's own `noise` in words."""
    blocks = min((each.comparison.blocks for each in found), default=0)
    basis = f"{count(blocks, 'paired block')} of " if found else ""
    load = run.load
    rest = f"this rests on {basis}{setting(load.get('duration_s'))} s ({load_words.of(load)})"
    chances = [each.comparison.p_holm for each in found if each.comparison.p_holm is not None]
    tested = f"; Holm-corrected p {joined(f'{p:.2g}' for p in chances)}" if chances else ""
    return capital(rest) + tested + noise + "."


def noise(results: Sequence[CellResult], floor: Comparison | None) -> str:
    """Return how far two identical cells differed, for the end of a sentence."""
    if floor is None and any(each.cell.duplicate_of for each in results):
        return "; the two identical cells could not be measured in the same blocks, so the run's own noise is unknown"
    if floor is None:
        return "; the run holds no duplicate cell, so its own noise is unknown"
    return (
        f"; two identical cells differed by {signed_percent(floor.ratio)} ({span(floor)}), "
        "which is the noise of this run"
    )


def _costs(contest: Contest) -> str:
    """Return what each side sends and asks of the store, per request, at the most replicas."""
    ours = capital(_cost(contest.cell))
    cpu = (contest.cell.value("total_cpu_us_per_request"), contest.baseline.value("total_cpu_us_per_request"))
    spent = "" if None in cpu else f"; servers spend {number(cpu[0])} against {number(cpu[1])} us of CPU"
    return f"{ours}, and {_cost(contest.baseline)}{spent}."


def _cost(result: CellResult) -> str:
    commands = result.value("store_commands_per_request")
    asked = f"{number(commands)} store command{'' if commands == 1 else 's'}"
    asked = "no command of a shared store" if result.in_process else asked
    return (
        f"each request of {subject(result.cell)} carries {number(result.value('credential_bytes'))} bytes of "
        f"credential ({number(result.value('request_bytes'))} bytes in all) and takes {asked}"
    )


def comparison_of(contest: Contest, comparisons: Sequence[Comparison], metric: str) -> Comparison | None:
    """Return the comparison of the same two cells on another metric."""
    return find(comparisons, metric, contest.cell.cell.id, contest.baseline.cell.id)
