"""What one trial with a fault shows: who failed, who was signed out, what was lost, and when it was over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.load import Trial, read_samples
from analysis.recovery import WINDOW_S, recovery
from loadtests import samples as contract

BREAKING = ("kill", "stop", "freeze", "cut")
_COLUMNS = ("due_ns", "started_ns", "ended_ns", "user_was_busy", "user", "operation", "phase", "outcome", "replica")
_KINDS = (contract.ERROR, contract.TIMEOUT, contract.FAILED, contract.DROPPED)

Numbers = NDArray[Any]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Bins:
    """By window of `WINDOW_S`, `at_s` where each begins since the fault: counts, and response times of good answers."""

    at_s: Numbers
    answered: Numbers
    failed: Numbers
    refused: Numbers
    times_ms: tuple[Numbers, ...]


@dataclass(frozen=True)
class Struck:
    """One trial. `figures` by name; None where there is none. Seconds since the fault began."""

    block: int
    figures: Mapping[str, float | None]
    bins: Bins
    fault_over_s: float
    healthy: bool
    why: str


FIGURES: Mapping[str, str] = {
    "failed": "requests without a good answer, 401 apart, from the fault to the end",
    "errors": "of these: another answer than expected, such as 503",
    "timeouts": "of these: no answer in 10 s",
    "unanswered": "of these: connection refused, reset or closed",
    "dropped": "of these: never sent, because their user waited for something until the end",
    "refused": "401 to a signed-in user",
    "users_signed_out_share": "users who had to sign in again, of all",
    "most_sign_outs": "how often the user who was hit most had to sign in again",
    "users_signed_out_before_share": "users who had to sign in again before the fault, of all",
    "users_on_struck_share": "users whose last answer before the fault was the struck replica's",
    "acknowledged_writes": "changes that were acknowledged, of the whole measured phase",
    "lost_writes": "changes that were acknowledged and are not there, in a sign-in that is",
    "stale_reads": "answers without an acknowledged change that came back later",
    "recovered_s": "from the fault until good answers and latency are back within the band of before",
    "degraded_s": "time outside that band",
    "unavailable_s": "time in which nobody got a good answer",
}


def struck(trial: Trial) -> Struck:
    """Read a trial's samples and what its study wrote down. Raises RunError, and ValueError for what cannot be judged.

    A trial whose fault did not begin has no figures to give: ValueError says so.
    """
    study = trial.study
    steps = study["steps"]
    if not steps:
        raise ValueError(f"the fault did not begin: {study['failure']}")
    table = read_samples(trial, _COLUMNS)
    fault_ns = int(steps[0]["began_ns"])
    broken_s = max((step["began_ns"] - fault_ns) / 1e9 for step in steps if step["verb"] in BREAKING)
    measured = contract.among(table["phase"], contract.MEASURED)
    since_s = (_column(table, "due_ns") - fault_ns) / 1e9
    good = measured & contract.among(table["outcome"], contract.OK)
    ended_s = (_column(table, "ended_ns") - fault_ns) / 1e9
    response_ms = (_column(table, "ended_ns") - _since_ns(table)) / 1e6
    until_s = ((trial.measured_from_ns or 0) - fault_ns) / 1e9 + trial.duration_s
    found = recovery(
        since_s[measured],
        ended_s[measured],
        good[measured],
        contract.among(table["outcome"], *_KINDS)[measured],
        response_ms[measured],
        until_s=until_s,
        last_broken_s=broken_s,
    )
    after = measured & (since_s >= 0)
    return Struck(
        block=trial.block,
        figures={
            **_failures(table, after),
            **_sign_outs(table, fault_ns, measured, int(trial.generator["users"])),
            "users_on_struck_share": _on_struck(table, fault_ns, measured, str(steps[0]["component"])),
            "acknowledged_writes": int((good & contract.among(table["operation"], "profile")).sum()),
            **_losses(study["losses"]),
            "recovered_s": found.recovered_s,
            "degraded_s": found.degraded_s,
            "unavailable_s": found.unavailable_s,
        },
        bins=_bins(table, (since_s, ended_s, response_ms), measured, good, until_s),
        fault_over_s=max((step["done_ns"] - fault_ns) / 1e9 for step in steps),
        healthy=bool(study["ended"]["healthy"]),
        why=str(study["ended"]["why"]),
    )


def _column(table: pa.Table, name: str) -> Numbers:
    return np.asarray(table[name].to_numpy())


def _since_ns(table: pa.Table) -> Numbers:
    """From when a response time counts: due, if the user was still waiting for an earlier answer then."""
    return np.where(_column(table, "user_was_busy"), _column(table, "due_ns"), _column(table, "started_ns"))


def _failures(table: pa.Table, after: Flags) -> dict[str, float]:
    counted = contract.counts(table["outcome"], after)
    kinds = dict(zip(("errors", "timeouts", "unanswered", "dropped"), (counted.get(k, 0) for k in _KINDS), strict=True))
    return {"failed": sum(kinds.values()), **kinds, "refused": counted.get(contract.REFUSED, 0)}


def _sign_outs(table: pa.Table, fault_ns: int, measured: Flags, users: int) -> dict[str, float]:
    """Count who was refused and signed in with the next request, or had none left.

    A refused access token whose refresh was then answered is no sign-out.
    """
    sent = np.flatnonzero(~contract.among(table["outcome"], contract.DROPPED))
    who, started = _column(table, "user")[sent], _column(table, "started_ns")[sent]
    order = sent[np.lexsort((started, who))]
    who = _column(table, "user")[order]
    login = contract.among(table["operation"], "login")[order]
    refused = contract.among(table["outcome"], contract.REFUSED)[order] & ~login
    last_of_user = np.append(who[1:] != who[:-1], True)
    out = refused & measured[order] & (last_of_user | np.append(login[1:], True))
    late = _column(table, "ended_ns")[order] >= fault_ns
    after, before = who[out & late], who[out & ~late]
    return {
        "users_signed_out_share": len(np.unique(after)) / users,
        "most_sign_outs": int(np.bincount(after).max(initial=0)),
        "users_signed_out_before_share": len(np.unique(before)) / users,
    }


def _on_struck(table: pa.Table, fault_ns: int, measured: Flags, component: str) -> float | None:
    """Share of the users whose last answer before the fault came from the struck replica; None of another component."""
    if not component.startswith("replica"):
        return None
    early = np.flatnonzero(measured & (_column(table, "ended_ns") < fault_ns))
    early = early[np.argsort(_column(table, "ended_ns")[early], kind="stable")]
    by_it = contract.among(table["replica"], component)[early]
    last = dict(zip(_column(table, "user")[early].tolist(), by_it.tolist(), strict=True))
    return sum(last.values()) / len(last) if last else None


def _losses(losses: list[dict[str, Any]]) -> dict[str, float]:
    gone = [each for each in losses if each["came_back_ns"] is None]
    return {
        "lost_writes": sum(each["acknowledged"] - each["shown"] for each in gone),
        "stale_reads": len(losses) - len(gone),
    }


def _bins(
    table: pa.Table, times: tuple[Numbers, Numbers, Numbers], measured: Flags, good: Flags, until_s: float
) -> Bins:
    """Count by when the answer or the failure came, and keep response times by when the request fell due."""
    since_s, ended_s, response_ms = times
    first, end = int(np.floor(since_s[measured].min() / WINDOW_S)), int(until_s / WINDOW_S)
    unsent = contract.among(table["outcome"], contract.DROPPED)
    came = np.floor(np.where(unsent, since_s, ended_s) / WINDOW_S).astype(int) - first
    due = np.floor(since_s / WINDOW_S).astype(int) - first

    def counted(which: Flags) -> Numbers:
        return np.bincount(came[measured & which & (came < end - first)], minlength=end - first)

    return Bins(
        at_s=np.arange(first, end) * WINDOW_S,
        answered=counted(good),
        failed=counted(contract.among(table["outcome"], *_KINDS)),
        refused=counted(contract.among(table["outcome"], contract.REFUSED)),
        times_ms=tuple(response_ms[good & (due == each)] for each in range(end - first)),
    )
