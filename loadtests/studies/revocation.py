"""How long a credential is accepted after its user has signed out, here and everywhere, on every replica.

In trial.json, `study`: `replicas`; `observe_s`; `ways`, by name, each either the columns of `loadtests.revoking.LogOut`
or, where the scheme has no such way to sign out, `status` and `reason`; `told`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from loadtests.experiment import Cell
from loadtests.revoking import LOG_OUT, WAYS, LogOut, Plan, Unable, watch
from loadtests.stage import Surroundings, fresh_folder, serving, unloaded_record
from loadtests.study import Setting, Study
from loadtests.trial import finish
from loadtests.verify import verify
from servers import schemes, stores
from topology.spec import NO_STORE, Topology

LOADS = False
_MOST_GAP_MS = 40.0
_ANY = "all"


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is not a number above 0")
    return value


def _counted(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number above 0")
    return int(text)


def _stores(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in names if name not in stores.facts() and name != _ANY]
    if unknown or not names:
        raise ValueError(
            f"{', '.join(unknown) or 'nothing'} is no store; there are: {', '.join(stores.facts())}, {_ANY}"
        )
    return names


SETTINGS = (
    Setting("log_outs", "130", "log-outs of a trial at most; a quarter as many users sign out everywhere", _counted),
    Setting("log_out_rate", "50", "log-outs begun in a second at most", _above_zero),
    Setting("at_once", "12", "log-outs watched at once at most", _counted),
    Setting("log_outs_within_s", "4", "seconds within which a trial's log-outs begin", _above_zero),
    Setting("observe_s", "5", "seconds for which a credential is watched at most", _above_zero),
    Setting("others_on", _ANY, f"stores on which schemes other than session are asked, or {_ANY}", _stores),
)


def cases(study: Study, topology: Topology) -> tuple[str, ...]:
    """One trial has every way to sign out. Left out: who recognises nobody, and stores by `others_on`."""
    if not schemes.facts()[topology.scheme].authenticates:
        return ()
    asked = (*_stores(study["others_on"]), NO_STORE)
    return ("",) if topology.scheme == "session" or topology.store in asked or _ANY in asked else ()


def run_trial(
    around: Surroundings, cell: Cell, block: int, position: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    """Run one; see `loadtests.trial.run_trial`."""
    study, accounts = around.experiment.study, around.experiment.settings["accounts"]
    folder, earlier = fresh_folder(around, cell, block)
    began = time.monotonic()
    doing("starting")
    found: dict[str, tuple[LogOut, ...] | Unable] = {}
    with serving(around, cell, folder) as servers:
        doing("verifying")
        verified = verify(servers, accounts)
        for way in WAYS:
            doing(f"watching {way}")
            plan = _plan(study, way, around.experiment.seed + block)
            everywhere = cell.topology.accepts_everywhere
            found[way] = watch(servers.replica_urls, accounts, way, plan, everywhere=everywhere)
        servers.check()
    reasons = _reasons_against([each for way in found.values() if not isinstance(way, Unable) for each in way])
    record = unloaded_record() | {"valid": not reasons, "invalid_reasons": reasons, "verified": verified}
    record["study"] = {
        "replicas": cell.topology.replicas,
        "observe_s": float(study["observe_s"]),
        "ways": {way: _columns(each) for way, each in found.items()},
        "told": _told(found[LOG_OUT]),
    }
    return finish(around, cell, block, position, earlier, record | {"seconds": {"total": time.monotonic() - began}})


def _plan(study: Study, way: str, seed: int) -> Plan:
    log_outs = int(study["log_outs"])
    return Plan(
        log_outs=log_outs if way == LOG_OUT else -(-log_outs // 4),
        rate=float(study["log_out_rate"]),
        at_once=int(study["at_once"]),
        begin_within_s=float(study["log_outs_within_s"]),
        observe_s=float(study["observe_s"]),
        seed=seed,
    )


def _columns(found: tuple[LogOut, ...] | Unable) -> dict[str, Any]:
    if isinstance(found, Unable):
        return asdict(found)
    rows = [asdict(each) for each in found]
    return {name: [_rounded(row[name]) for row in rows] for name in rows[0]}


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if isinstance(value, float) else value


def _reasons_against(log_outs: Sequence[LogOut]) -> list[str]:
    """Why the figures would say more of the asking than of the servers."""
    gaps = [each.revoked_ms - max(each.accepted_ms or 0.0, 0.0) for each in log_outs if each.revoked_ms is not None]
    gap_ms = statistics.median(gaps) if gaps else 0.0
    if gap_ms <= _MOST_GAP_MS:
        return []
    return [f"asked too seldom: {gap_ms:.0f} ms between acceptance and refusal, at most {_MOST_GAP_MS:.0f} ms"]


def _told(found: tuple[LogOut, ...] | Unable) -> str:
    if isinstance(found, Unable):
        return f"no log-out: {found.status}"
    times = [each.revoked_ms for each in found if each.revoked_ms is not None]
    if not times:
        return f"accepted to the end of the watch ({len(found)} log-outs)"
    alive = f", {len(found) - len(times)} accepted to the end" if len(times) < len(found) else ""
    return f"revoked in {statistics.median(times):.1f} ms (median of {len(times)}), at most {max(times):.1f}{alive}"
