"""What signed-in users occupy: memory, disk and the time of a look-up against their number; and that they expire.

In trial.json, `study`. Case `growth`: `way` (how users were signed in), `points`, each with `sessions`, the fields of
`loadtests.memory_readings.Memory` and, above 0 sessions, `auth_us` (the replica's own times of look-ups of sessions
drawn at random), `refused` and `making_s`. Case `expiry`: `idle_s`, `made`, `keys_before`, `keys` (pairs of seconds
after the last sign-in and records by the store's own count, with no request between), `asked_after_s`, `asked`,
`refused`. Both: `told`.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from loadtests import server_timing
from loadtests.client import client_of
from loadtests.credentials import Credential
from loadtests.experiment import Cell
from loadtests.making_sessions import Maker, OverHttp, by_scheme
from loadtests.memory_readings import at_rest, replica_environment
from loadtests.stage import Surroundings, fresh_folder, serving, unloaded_record
from loadtests.study import Setting, Study
from loadtests.trial import finish
from loadtests.verify import VerificationError, verify
from servers import schemes, stores
from topology.local import RunningTopology
from topology.spec import NO_STORE, Topology

LOADS = False
GROWTH, EXPIRY = "growth", "expiry"
_MOST_SESSIONS = 1_000_000
_POLL_S = 0.05
_AFTER_IDLE = 1.5  # of the idle limit: no session can be alive then
_SETTLED_S = 1.0  # without another record gone
_WATCHED_S = 6.0  # beyond the idle limit, for a store that takes away what has expired


def _counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and 0 < int(part) <= _MOST_SESSIONS for part in parts):
        raise ValueError(f"{text!r} is not a list of numbers of sessions up to {_MOST_SESSIONS:,}, such as 1000,10000")
    counts = tuple(int(part) for part in parts)
    if list(counts) != sorted(set(counts)) or len(counts) < 2:  # noqa: PLR2004 - a slope needs two
        raise ValueError(f"{text!r}: at least two numbers of sessions, each larger than the last")
    return counts


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= _MOST_SESSIONS:
        raise ValueError(f"{text!r} is not a whole number from 1 to {_MOST_SESSIONS:,}")
    return int(text)


SETTINGS = (
    Setting("counts", "1000,3000,10000,30000,100000", "numbers of signed-in users at which all is read", _counts),
    Setting("lookups", "300", "look-ups timed at each number", _whole),
    Setting("idle_s", "2", "idle limit of the sessions that are left to expire, seconds", _whole),
    Setting("expiring", "200", "how many those are", _whole),
)


def cases(study: Study, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001 - the same whatever the settings
    """Growth for all who recognise users; expiry where sessions are kept."""
    if not schemes.facts()[topology.scheme].authenticates:
        return ()
    return (GROWTH,) if topology.store == NO_STORE else (GROWTH, EXPIRY)


def run_trial(
    around: Surroundings, cell: Cell, block: int, position: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    """Run one; see `loadtests.trial.run_trial`."""
    study, accounts = around.experiment.study, around.experiment.settings["accounts"]
    folder, earlier = fresh_folder(around, cell, block)
    began = time.monotonic()
    doing("starting")
    run = cell
    if cell.case == EXPIRY:
        run = replace(cell, topology=replace(cell.ours, settings={"SESSION_IDLE_SECONDS": study["idle_s"]}))
    with serving(around, run, folder) as servers:
        doing("verifying")
        verified = verify(servers, accounts)
        with _maker(servers, around, folder / "logs") as maker:
            if cell.case == EXPIRY:
                found = _expiry(servers, maker, study, doing)
            else:
                found = _growth(servers, maker, study, around.experiment.seed + block, doing)
        servers.check()
    record = unloaded_record() | {"verified": verified, "study": found}
    return finish(around, cell, block, position, earlier, record | {"seconds": {"total": time.monotonic() - began}})


@contextlib.contextmanager
def _maker(servers: RunningTopology, around: Surroundings, logs: Path) -> Iterator[Maker]:
    accounts, store = around.experiment.settings["accounts"], servers.topology.store
    somebody_elses = schemes.facts()[servers.topology.scheme].package is not None
    if store == NO_STORE or stores.facts()[store].needs is None or somebody_elses:  # in the replica, or nowhere
        yield OverHttp(servers.replica_urls, accounts)
        return
    environment = replica_environment(servers)
    with (
        (logs / "making-sessions.log").open("w") as log,
        by_scheme(environment, accounts, around.reaper, log) as maker,
    ):
        yield maker


def _growth(
    servers: RunningTopology, maker: Maker, study: Study, seed: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    chance, asked = random.Random(seed), int(study["lookups"])  # noqa: S311 - to be repeated, not a secret
    maker.warm_up()
    points: list[dict[str, Any]] = [{"sessions": 0, **asdict(at_rest(servers))}]
    known: list[Credential] = []
    before = 0
    for count in _counts(study["counts"]):
        doing(f"signing in {count:,} users")
        began = time.monotonic()
        # so that of all so far each is asked for as often: a share of the earlier ones, and of these
        fresh = round(asked * (count - before) / count) or 1
        keep = sorted(chance.sample(range(before, count), min(fresh, count - before)))
        made = maker.make(before, count, keep)
        making_s = time.monotonic() - began
        known = [*chance.sample(known, min(len(known), asked - len(made))), *made]
        doing(f"reading at {count:,} users")
        memory = at_rest(servers)
        times_us, refused = _look_up(servers, [chance.choice(known) for _ in range(asked)])
        point = {"sessions": count, **asdict(memory), "auth_us": times_us, "refused": refused}
        points.append(point | {"making_s": round(making_s, 3)})
        before = count
    return {"way": maker.way, "points": points, "told": _told(points)}


def _look_up(servers: RunningTopology, credentials: Sequence[Credential]) -> tuple[list[float], int]:
    """The replica's own times (us) of those that it recognised, and how many it refused; at the first replica."""
    with contextlib.closing(client_of(next(iter(servers.replica_urls.values())))) as client:
        answers = [client.request(b"GET", b"/me", each.line) for each in credentials]
    wrong = [each for each in answers if each.status not in (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED)]
    if wrong:
        raise VerificationError(f"GET /me among many sessions: {wrong[0].failure or wrong[0].status}")
    known = [each for each in answers if each.status == HTTPStatus.OK]
    return [server_timing.parse(each.server_timing).auth_ns / 1e3 for each in known], len(answers) - len(known)


def _told(points: Sequence[dict[str, Any]]) -> str:
    first, last = points[0], points[-1]
    grown = [
        f"{name} +{(last[key] - first[key]) / last['sessions']:.0f} B"
        for name, key in (("store", "store_bytes"), ("disk", "disk_bytes"), ("replica", "replica_rss_bytes"))
        if last[key] is not None
    ]
    times = last["auth_us"]
    median = f", auth p50 {statistics.median(times):.0f} us" if times else ""
    return f"{', '.join(grown)} per session up to {last['sessions']:,}{median}"


def _expiry(servers: RunningTopology, maker: Maker, study: Study, doing: Callable[[str], None]) -> dict[str, Any]:
    """Sign in, ask nothing while the store is watched, and then ask for all."""
    number, idle_s = int(study["expiring"]), int(study["idle_s"])
    counters = servers.store_counters()
    keys_before = None if counters is None else counters.keys
    doing(f"signing in {number:,} users")
    made = maker.make(0, number, range(number))
    began = time.monotonic()
    doing("waiting for them to expire")
    keys: list[tuple[float, int]] = []
    while True:
        counters, now_s = servers.store_counters(), time.monotonic() - began
        if counters is not None and (not keys or keys[-1][1] != counters.keys):
            keys.append((round(now_s, 3), counters.keys))
        # indexes of users may stay, so that what was before may not come back
        gone = not keys or (keys[0][1] - keys[-1][1] >= number and now_s > keys[-1][0] + _SETTLED_S)
        if now_s > _AFTER_IDLE * idle_s and (gone or now_s > idle_s + _WATCHED_S):
            break
        time.sleep(_POLL_S)
    asked_after_s = time.monotonic() - began
    _, refused = _look_up(servers, made)
    return {
        "idle_s": idle_s,
        "made": number,
        "way": maker.way,
        "keys_before": keys_before,
        "keys": keys,
        "asked_after_s": round(asked_after_s, 3),
        "asked": len(made),
        "refused": refused,
        "told": f"{refused} of {len(made)} sessions refused after {asked_after_s:.1f} s without a request",
    }
