"""What the faults offer for judging claims: figures by claim, with the cells that they are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from analysis.fault_results import FaultResult, spanned

_STORELESS = "none"
_RESTARTS = ("restart-replica", "rolling-restart")
_REPLICA_ENDS = ("kill-replica", *_RESTARTS)
_STORE_FAULTS = ("restart-store", "freeze-store", "partition", "kill-primary")
_ON_DISK = ("file", "sqlite")
_OWN = ("memory", *_ON_DISK)


def claims(results: Sequence[FaultResult]) -> dict[str, list[dict[str, Any]]]:
    """Return for each claim what was measured; an empty list where this run has nothing on it."""
    chosen: dict[str, tuple[Callable[[FaultResult], bool], tuple[str, ...]]] = {
        "memory-store": (
            lambda each: each.cell.store == "memory" and each.cell.case in _RESTARTS,
            ("users_signed_out_share", "users_on_struck_share"),
        ),
        "file-store": (
            lambda each: each.cell.store in _ON_DISK and each.cell.case in _RESTARTS,
            ("users_signed_out_share", "lost_writes"),
        ),
        "sticky": (
            lambda each: each.cell.policy == "sticky" and each.cell.store in _OWN and each.cell.case in _REPLICA_ENDS,
            ("users_signed_out_before_share", "users_signed_out_share", "most_sign_outs", "users_on_struck_share"),
        ),
        "central-store": (
            lambda each: each.cell.shared and each.cell.store != _STORELESS and each.cell.case in _REPLICA_ENDS,
            ("users_signed_out_share", "lost_writes", "failed", "recovered_s"),
        ),
        "central-store-down": (
            lambda each: each.cell.store != _STORELESS and each.cell.case in _STORE_FAULTS,
            ("failed", "unavailable_s", "recovered_s", "users_signed_out_share", "lost_writes"),
        ),
        "no-store": (
            lambda each: each.cell.store == _STORELESS,
            ("failed", "users_signed_out_share", "lost_writes", "recovered_s"),
        ),
    }
    return {
        claim: [_told(each, figures) for each in results if each.trials and fits(each)]
        for claim, (fits, figures) in chosen.items()
    }


def _told(result: FaultResult, figures: Sequence[str]) -> dict[str, Any]:
    return {
        "cell": result.cell.id,
        "fault": result.cell.case,
        "replicas": result.cell.replicas,
        "blocks": len(result.trials),
        **{figure: spanned(result.figures[figure]) for figure in figures},
    }
