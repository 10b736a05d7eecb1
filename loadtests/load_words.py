"""A load in words: every figure of latency names the load model it was measured under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtests.pacing import CLOSED


def is_closed(load: Mapping[str, Any]) -> bool:
    """Whether a run's load (`load` of run.json) is a closed loop; in runs from before there were any it is not."""
    return load.get("model") == CLOSED


def of(load: Mapping[str, Any]) -> str:
    """`open loop, 250 requests/s by 50 users, Poisson arrivals`, `closed loop, 50 users, think time 0.1 s`."""
    users = f"{load.get('users')} user{'' if load.get('users') == 1 else 's'}{_on_workers(load)}"
    if is_closed(load):
        think_s = load.get("think_s") or 0
        return f"closed loop, {users}, " + (f"think time {think_s:g} s" if think_s else "no think time")
    capped = f", at most {load['max_in_flight']} in flight" if load.get("max_in_flight") else ""
    return f"open loop, {rate(load)} by {users}, {str(load.get('arrivals')).capitalize()} arrivals{capped}"


def _on_workers(load: Mapping[str, Any]) -> str:
    count = load.get("workers", 1) + load.get("remote_workers", 0)
    return f" on {count} workers" if count > 1 else ""


def rate(load: Mapping[str, Any]) -> str:
    """`250 requests/s`, `100 to 400 requests/s in 4 steps`; of a closed loop `no set rate`."""
    if is_closed(load):
        return "no set rate"
    start = f"{load.get('rate_rps', 0):g}"
    if not load.get("ramp_to_rps"):
        return f"{start} requests/s"
    how = f"in {load['steps']} steps" if load.get("steps") else "in a straight ramp"
    return f"{start} to {load['ramp_to_rps']:g} requests/s {how}"


def warm_up(load: Mapping[str, Any]) -> str:
    """`0.4 s of warm-up`, `rounds of 0.4 s of warm-up until steady, at most 3 s`, `no warm-up`."""
    round_s, most_s = load.get("warm_up_s") or 0, load.get("warm_up_max_s") or 0
    if not round_s:
        return "no warm-up"
    if not most_s:
        return f"{round_s:g} s of warm-up"
    return f"rounds of {round_s:g} s of warm-up until steady, at most {most_s:g} s"
