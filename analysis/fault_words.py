"""Faults in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.estimates import Estimate
from analysis.fault_results import FaultResult
from analysis.finding import Finding
from analysis.report.table import Entry, Table
from analysis.wording import NOTHING, capital, count, interval, joined, number, percent, series
from loadtests.fault_cases import FAULTS

TITLES = {
    "kill-replica": "A replica dies",
    "restart-replica": "A replica dies and is started again",
    "rolling-restart": "Every replica is restarted in turn",
    "restart-store": "The store's server dies and is started again",
    "freeze-store": "The store's server stands still",
    "partition": "A replica is cut from the store",
    "kill-primary": "A primary of the cluster dies",
}
_COLUMNS = (
    "cell", "failed", "refused", "signed out", "most", "lost changes", "nobody served (s)", "degraded (s)",
    "recovered after (s)", "blocks",
)  # fmt: skip
_NOTE = (
    "Means over blocks with 95 % intervals, from the fault to the end of the load. Failed: requests without a good "
    "answer, refusals apart; in small print error (such as 503), timeout, no answer, never sent. Refused: 401 to a "
    "signed-in user. Signed out: users who had to sign in again; most: how often one of them. Lost changes: "
    "acknowledged, and missing in a sign-in that is still there; what a lost sign-in held is signed out. "
    "Degraded: time outside the band of before. Recovered: the first of four windows of 0.25 s in a row in it."
)


def faults_of(results: Sequence[FaultResult]) -> tuple[str, ...]:
    """Return the faults of a run, in the order of `TITLES`."""
    found = {each.cell.case for each in results}
    return (*(fault for fault in TITLES if fault in found), *sorted(found - set(TITLES)))


def name(result: FaultResult) -> str:
    """Return a cell without its fault: `session · redis, sticky`."""
    cell = result.cell
    return f"{series(cell)}, {cell.policy}, {count(cell.replicas, 'replica')}"


def table(fault: str, results: Sequence[FaultResult]) -> Table:
    """Return the figures of one fault, a row for each cell; the first of a run says what its columns are."""
    rows = tuple(_row(each) for each in results if each.cell.case == fault)
    meaning = f"{capital(FAULTS[fault].meaning)}." if fault in FAULTS else ""
    columns = _NOTE if fault == faults_of(results)[0] else ""
    return Table(TITLES.get(fault, fault), _COLUMNS, rows, f"{meaning} {columns}".strip())


def _row(result: FaultResult) -> tuple[Entry, ...]:
    figures = result.figures
    if not result.trials:
        return Entry(name(result), "no valid block"), *(Entry(NOTHING) for _ in _COLUMNS[2:]), Entry("0")
    kinds = " / ".join(number(result.value(each)) for each in ("errors", "timeouts", "unanswered", "dropped"))
    worst = "; NOT healthy again" if result.unhealthy else ""
    stale = result.value("stale_reads")
    return (
        Entry(name(result), worst.removeprefix("; ")),
        Entry(number(result.value("failed")), "; ".join(filter(None, (_span(figures["failed"]), kinds)))),
        _entry(figures["refused"]),
        _share(figures["users_signed_out_share"]),
        _entry(figures["most_sign_outs"]),
        Entry(number(result.value("lost_writes")), f"{number(stale)} came back" if stale else ""),
        _entry(figures["unavailable_s"]),
        _entry(figures["degraded_s"]),
        _recovered(result),
        Entry(str(len(result.trials)), f"{sum(result.invalid.values())} invalid" if result.invalid else ""),
    )


def _entry(found: Estimate) -> Entry:
    return Entry(number(found.value), _span(found))


def _span(found: Estimate) -> str:
    return "" if found.low is None else interval(found.low, found.high)


def _share(found: Estimate) -> Entry:
    if found.low is None or found.high is None:
        return Entry(percent(found.value))
    exact = found.low == found.high
    return Entry(percent(found.value), "exact" if exact else f"{percent(found.low)} to {percent(found.high)}")


def _recovered(result: FaultResult) -> Entry:
    if result.not_recovered:
        return Entry("not by the end", f"in {result.not_recovered} of {count(len(result.trials), 'block')}")
    return _entry(result.figures["recovered_s"])


def findings(results: Sequence[FaultResult]) -> tuple[Finding, ...]:
    """Return a finding for each fault, one for what was lost, and cautions for what did not end well."""
    made = [_finding(fault, [each for each in results if each.cell.case == fault]) for fault in faults_of(results)]
    return tuple(each for each in (*made, *_lost(results), *_unwell(results)) if each is not None)


def _finding(fault: str, results: Sequence[FaultResult]) -> Finding | None:
    told = [f"{capital(name(each))}: {sentence(each)}." for each in results if each.trials]
    if not told:
        return None
    cells = tuple(each.cell.id for each in results if each.trials)
    return Finding(f"fault-{fault}", "finding", TITLES.get(fault, fault), " ".join(told), cells)


def sentence(result: FaultResult) -> str:
    """Return what users noticed, without a full stop: `126 requests failed, nobody was signed out, ...`."""
    return ", ".join((_requests(result), _users(result), _end(result)))


def _requests(result: FaultResult) -> str:
    failed, unserved = result.value("failed") or 0, result.value("unavailable_s")
    told = f"{number(failed)} requests failed" if failed else "no request failed"
    return told + (f" and nobody was served for {number(unserved)} s" if unserved else "")


def _users(result: FaultResult) -> str:
    share, before = result.figures["users_signed_out_share"], result.value("users_signed_out_before_share")
    if before:
        return f"{percent(share.value)} of the users were signed out, as {percent(before)} had been before the fault"
    if not share.value:
        return "nobody was signed out"
    spread = "" if share.low in (None, share.high) else f" ({percent(share.low)} to {percent(share.high)})"
    most = max(trial.figures["most_sign_outs"] or 0 for trial in result.trials)
    times = "once" if most == 1 else f"up to {count(round(most), 'time')}"
    struck = result.value("users_on_struck_share")
    alone = result.cell.policy == "sticky" and result.cell.case in ("kill-replica", "restart-replica") and struck
    whose = f" ({percent(struck)} were with the replica that was struck, and nobody had been before)" if alone else ""
    return f"{percent(share.value)} of the users{spread} were signed out, {times}{whose}"


def _end(result: FaultResult) -> str:
    if result.not_recovered:
        return f"not itself again by the end in {result.not_recovered} of {count(len(result.trials), 'block')}"
    seconds = result.value("recovered_s")
    return f"itself again after {number(seconds)} s" if seconds else "no window outside the band of before"


def _lost(results: Sequence[FaultResult]) -> Iterable[Finding]:
    counted = [each for each in results if each.trials]
    lossy = [each for each in counted if each.value("lost_writes")]
    if lossy:
        told = joined(
            f"{name(each)} under {each.cell.case} ({number(each.value('lost_writes'))} per trial)" for each in lossy
        )
        text = f"Changes that had been acknowledged were missing in sign-ins that were still there: {told}."
        yield Finding("lost-writes", "finding", "Acknowledged changes were lost", text, tuple(e.cell.id for e in lossy))
    elif counted:
        written = sum((each.value("acknowledged_writes") or 0) * len(each.trials) for each in counted)
        text = (
            f"No answer lacked any of {number(written)} changes that had been acknowledged in the same sign-in. "
            "A sign-in that is gone takes its state with it: that is counted as signed out."
        )
        yield Finding("lost-writes", "finding", "No acknowledged change was lost", text, ())


def _unwell(results: Sequence[FaultResult]) -> Iterable[Finding]:
    for each in results:
        if each.unhealthy:
            why = "; ".join(dict.fromkeys(reason.splitlines()[0] for reason in each.unhealthy))
            text = f"{capital(name(each))} was not healthy again after {each.cell.case}: {why}."
            yield Finding(f"unhealthy-{each.cell.id}", "caution", "Not put right", text, (each.cell.id,))
    empty = [each for each in results if not each.trials]
    if empty:
        told = "; ".join(f"{name(each)}, {each.cell.case}: {joined(each.invalid)}" for each in empty)
        ids = tuple(each.cell.id for each in empty)
        yield Finding("faults-unmeasured", "caution", "No valid block", f"No trial counts of {told}.", ids)
