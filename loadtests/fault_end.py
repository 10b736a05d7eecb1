"""After a fault: everything that was broken is put right, and asked whether it works."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from loadtests import server_timing
from loadtests.client import client_of
from loadtests.fault_cases import CUT, FREEZE, HEAL, KILL, RESTART, STOP, THAW, Step
from loadtests.fault_script import Done, Script
from loadtests.verify import VerificationError, verify
from servers.users import PASSWORD, user_name
from topology.local import RunningTopology
from topology.process import ComponentError

_UNDONE_BY = {KILL: RESTART, STOP: RESTART, FREEZE: THAW, CUT: HEAL}
_HEALTHY_S = 15.0
_TURN_S = 0.05


def left_broken(done: Sequence[Done]) -> tuple[Step, ...]:
    """The steps that undo what no later step has undone."""
    open_: dict[tuple[str, str], None] = {}
    for each in done:
        if each.verb in _UNDONE_BY:
            open_[each.component, _UNDONE_BY[each.verb]] = None
        else:
            open_.pop((each.component, each.verb), None)
    return tuple(Step(0, verb, component) for component, verb in open_)


def mended(servers: RunningTopology, accounts: int, script: Script) -> dict[str, Any]:
    """Undo what is left of the fault, then ask every replica, past the balancer and through it.

    Returns `healthy`, `why` not, what was `restored`, and the `replicas` that signed somebody in through the balancer;
    for trial.json.
    """
    began = time.monotonic()
    undo = left_broken(script.done)
    told: dict[str, Any] = {"restored": [f"{step.verb} {step.component}" for step in undo]}
    with Script(undo, servers) as undoing:
        undoing.wait()
    why, answered = script.failure or undoing.failure, []
    try:
        servers.check()
        _verified(servers, accounts)
        answered = _through_the_balancer(servers, accounts)
        if len(answered) < len(servers.replica_urls):
            why = why or f"{_HEALTHY_S:g} s later the balancer uses only {', '.join(answered) or 'no replica'}"
    except (ComponentError, VerificationError, OSError) as error:
        why = why or str(error)
    return {**told, "healthy": not why, "why": why, "replicas": answered, "seconds": time.monotonic() - began}


def _verified(servers: RunningTopology, accounts: int) -> None:
    """Verify, for a while: a connection from before the fault fails once more before a new one is opened.

    Raises VerificationError, OSError.
    """
    deadline = time.monotonic() + _HEALTHY_S
    while True:
        try:
            verify(servers, accounts)
        except VerificationError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_TURN_S)
        else:
            return


def _through_the_balancer(servers: RunningTopology, accounts: int) -> list[str]:
    """Sign in until each replica has done it once, each time on a new connection; returns those that have."""
    body = json.dumps({"username": user_name(accounts - 1, accounts), "password": PASSWORD}).encode()
    seen: set[str] = set()
    deadline = time.monotonic() + _HEALTHY_S
    while len(seen) < len(servers.replica_urls) and time.monotonic() < deadline:
        client = client_of(servers.url, servers.authority)
        answer = client.request(b"POST", b"/login", body=body)
        client.close()
        if answer.status == 200:  # noqa: PLR2004 - the one that says so
            seen.add(server_timing.parse(answer.server_timing).replica)
        time.sleep(_TURN_S)
    return sorted(seen)
