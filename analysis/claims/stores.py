"""What each kind of store is said to be good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.claims.conjunction import Part, all_of, judged
from analysis.claims.evidence import CellSeen, Claim, Evidence, Interval, Judged
from analysis.claims.figures import NONE, above, at_ease, below, fault, ids, less, of_cells, per_ms, share, told
from analysis.wording import count_of, joined

PLACE = 50

_STORES, _POLICIES, _FAULTS = (f"make bench EXPERIMENT={name}" for name in ("stores", "policies", "faults"))
_FULL, _SESSIONS = "make bench EXPERIMENT=full", "make bench EXPERIMENT=sessions"
_RESTARTS = (
    f"{_FAULTS} SCHEMES=session STORES=memory,file REPLICAS=1 POLICIES=roundrobin FAULTS=restart-replica "
    "USERS=50 RATE=200"
)
_BELOW_MS = 1.0
_MOST_OF = 0.9
_EXPECTED_WITHIN = 0.02
_EVEN = 0.5
_NODES = 3
_SHARDS = "make bench EXPERIMENT=stores STORES=redis-cluster SHARDS=1,3 REPLICAS=1"
_MEMCACHED = "make bench EXPERIMENT=stores STORES=memcached,redis"


def _memory(evidence: Evidence) -> Judged | None:
    fastest, time = _against(evidence, "memory", None, slower=False)
    return judged([fastest, _lost(evidence), _refused(evidence, "memory")], time, "ms")


def _file(evidence: Evidence) -> Judged | None:
    slow, time = _against(evidence, "file", ("memory", "redis"), slower=True)
    return judged([_survives(evidence), slow, _refused(evidence, "file"), *_growth(evidence)], time, "ms")


def _database(evidence: Evidence) -> Judged | None:
    slow, time = _against(evidence, "postgres", ("redis",), slower=True)
    return judged([_persists(evidence), _found_by_user(evidence), slow, _adds_load(evidence)], time, "ms")


def _redis(evidence: Evidence) -> Judged | None:
    quick, time = _below_a_millisecond(evidence, "redis", _STORES)
    return judged([quick, _expires(evidence, "redis", _SESSIONS), _by_node(evidence)], time, "ms at p99")


def _memcached(evidence: Evidence) -> Judged | None:
    quick, time = _below_a_millisecond(evidence, "memcached", _MEMCACHED)
    return judged([quick, _shared(evidence)], time, "ms at p99")


def _sessions(evidence: Evidence, store: str) -> list[CellSeen]:
    return at_ease(evidence.cells(options={}, scheme="session", replicas=1, policy="roundrobin", store=store))


def _against(
    evidence: Evidence, store: str, others: Sequence[str] | None, *, slower: bool
) -> tuple[Part, Interval | None]:
    """Auth time beside other stores' of the same run (None: all there are); and the time in ms."""
    says = f"slower than on {joined(others)}" if slower and others else "the fastest"
    for cell in _sessions(evidence, store):
        ours = per_ms(cell, "auth_p50_us")
        beside = {
            str(each.facts["store"]): time
            for each in at_ease(evidence.cells(options={}, scheme="session", replicas=1, policy="roundrobin"))
            if each.run == cell.run and each.facts["store"] != store and (time := per_ms(each, "auth_p50_us"))
        }
        chosen = {name: time for name, time in beside.items() if others is None or name in others}
        if ours is None or not chosen or (others and set(others) - set(chosen)):
            continue
        outcome = all_of([less(time, ours) if slower else less(ours, time) for time in chosen.values()])
        theirs = joined(f"{name} {told(time)}" for name, time in sorted(chosen.items(), key=lambda p: p[1].value))
        return Part(
            says, outcome, f"median time to recognise a user {told(ours, 'ms')}, beside {theirs}", (cell.id,)
        ), ours
    return Part(says, missing=_STORES), None


def _lost(evidence: Evidence) -> Part:
    """Of the users of a replica that is started again, all must sign in again."""
    says = "lost on restart"
    found = [
        (cell, out, on)
        for cell in fault(evidence, ("restart-replica",), ("memory",), scheme="session")
        if (out := _of_fault(cell, "users_signed_out_share")) and (on := _of_fault(cell, "users_on_struck_share"))
    ]
    if not found:
        return Part(says, missing=_RESTARTS)
    outcome = all_of([above(out, _MOST_OF * on.value) for _, out, on in found])
    figures = joined(f"{share(out)} of the users, where {share(on)} were at the replica" for _, out, on in found)
    return Part(says, outcome, f"a restart signed out {figures}", ids([cell for cell, *_ in found]))


def _of_fault(cell: Mapping[str, Any], figure: str) -> Interval | None:
    return Interval.of(cell["figures"].get(figure))


def _refused(evidence: Evidence, store: str) -> Part:
    """Behind several replicas that are asked by turns, (N-1)/N of the requests meet one that does not know the user."""
    says = "does not scale out"
    cells = [
        (each, refused)
        for each in evidence.cells(scheme="session", store=store, policy="roundrobin", options={})
        if each.facts["replicas"] > 1 and (refused := each.metric("refused_ratio"))
    ]
    if not cells:
        return Part(says, missing=_POLICIES if store == "memory" else _STORES)
    outcomes, figures = [], {}
    for each, refused in cells:
        replicas = int(each.facts["replicas"])
        expected = (replicas - 1) / replicas
        near = refused.low <= expected <= refused.high or abs(refused.value - expected) <= _EXPECTED_WITHIN
        outcomes.append(True if near else above(refused, NONE))
        figures[replicas] = f"{share(refused)} at {replicas} replicas"
    return Part(
        says,
        all_of(outcomes),
        f"refused by turns: {joined(figures[n] for n in sorted(figures))}",
        tuple(each.id for each, _ in cells),
    )


def _survives(evidence: Evidence) -> Part:
    """Asked of a single replica: with several, users are sent to one that never knew them while theirs is away."""
    says = "survives a restart"
    found = [
        (cell, out)
        for cell in fault(evidence, ("restart-replica",), ("file",), scheme="session")
        if cell["replicas"] == 1 and (out := _of_fault(cell, "users_signed_out_share"))
    ]
    if not found:
        return Part(says, missing=_RESTARTS)
    said = f"a restart of the one replica signed out {joined(share(out) for _, out in found)} of the users"
    return Part(says, all_of([below(out, NONE) for _, out in found]), said, ids([cell for cell, _ in found]))


def _growth(evidence: Evidence) -> list[Part]:
    """What a look-up costs among many; told, and no part of the verdict but where it is measured."""
    found = [
        (cell, ratio)
        for document in evidence.sections("memory")
        for cell in document["cells"]
        if cell["store"] == "file" and (ratio := Interval.of(cell["auth_ratio"]))
    ]
    if not found:
        return []
    figures = joined(told(ratio) for _, ratio in found)
    said = f"a look-up among the most users took {figures} times one among the fewest"
    return [Part("any number of users", holds=True, told=said, cells=ids([cell for cell, _ in found], "cell"))]


def _persists(evidence: Evidence) -> Part:
    says = "persists"
    cells = fault(evidence, ("restart-store",), ("postgres",), scheme="session")
    out, lost = of_cells(cells, "users_signed_out_share"), of_cells(cells, "lost_writes")
    if not out or not lost:
        return Part(says, missing=_FAULTS)
    outcome = all_of([*(below(each, NONE) for each in out), *(below(each, 0) for each in lost)])
    figures = f"signed out {joined(share(each) for each in out)} of the users and lost "
    figures += f"{joined(told(each) for each in lost)} acknowledged changes"
    return Part(says, outcome, f"a restart of the database {figures}", ids(cells))


def _found_by_user(evidence: Evidence) -> Part:
    """All of a user's sessions must be found to be ended: the one search that the servers make."""
    says = "can be searched"
    cells = [
        each
        for document in evidence.sections("revocation")
        for each in document["cells"]
        if (each["scheme"], each["store"], each["way"]) == ("session", "postgres", "logout-all")
    ]
    if not cells:
        return Part(says, missing="make bench EXPERIMENT=revocation STORES=postgres")
    works = all(each["supported"] and each["unended"] == 0 for each in cells)
    done = "found and ended all of a user's sessions" if works else "did not find all of a user's sessions"
    return Part(says, works, f"POST /logout-all {done}", ids(cells, "cell"))


def _adds_load(evidence: Evidence) -> Part:
    says = "adds load to the database"
    found = [
        (each, commands, cpu)
        for each in _sessions(evidence, "postgres")
        if (commands := each.metric("store_commands_per_request")) and (cpu := each.metric("store_cpu_us_per_request"))
    ]
    if not found:
        return Part(says, missing=_STORES)
    outcome = all_of([above(figure, 0) for _, *figures in found for figure in figures])
    each, commands, cpu = found[0]
    made = count_of(commands.value, "statement") if commands.low == commands.high else f"{told(commands)} statements"
    said = f"a request makes {made} and takes {told(cpu, 'us')} of the database's CPU time"
    return Part(says, outcome, said, (each.id,))


def _below_a_millisecond(evidence: Evidence, store: str, command: str) -> tuple[Part, Interval | None]:
    says = "below a millisecond"
    found = [
        (each, median, slowest)
        for each in _sessions(evidence, store)
        if (median := per_ms(each, "store_p50_us")) and (slowest := per_ms(each, "store_p99_us"))
    ]
    if not found:
        return Part(says, missing=command), None
    outcome = all_of([below(figure, _BELOW_MS) for _, *figures in found for figure in figures])
    _, median, slowest = max(found, key=lambda row: row[2].high)  # of several runs the one that decides
    said = f"store time of a request {told(median, 'ms')} in the median, {told(slowest, 'ms')} at p99"
    return Part(says, outcome, said, tuple(each.id for each, *_ in found)), slowest


def _expires(evidence: Evidence, store: str, command: str) -> Part:
    """Records go without a request, and whoever comes after is refused."""
    says = "expires by itself"
    found = [
        each
        for document in evidence.sections("memory")
        for each in document["expiry"]
        if each["store"] == store and each["records"]
    ]
    if not found:
        return Part(says, missing=command)
    gone = [each["records"]["signed_in"] - each["records"]["without_a_request"] for each in found]
    outcome = all(
        left >= each["made"] and each["refused"]["count"] == each["refused"]["of"]
        for each, left in zip(found, gone, strict=True)
    )
    each = found[0]
    said = f"of {each['made']:,} sessions left alone {gone[0]:,} were gone from the store without a request"
    said += f"; of {each['refused']['of']:,} users in all blocks {each['refused']['count']:,} were refused at last"
    return Part(says, outcome, said, (each["cell"],))


def _by_node(evidence: Evidence) -> Part:
    """With three nodes none of them does much more than a third of the work of one."""
    says = "scales by clustering"
    found = [
        (cell, busiest)
        for document in evidence.sections("shards")
        for cell in document["cells"]
        if cell["store"] == "redis-cluster"
        and cell["nodes"] >= _NODES
        and (busiest := Interval.of(cell["busiest_share"]))
    ]
    if not found:
        return Part(says, missing=_SHARDS)
    cell, busiest = found[0]
    said = f"of {cell['nodes']} nodes the busiest answered {share(busiest)} of the commands"
    return Part(says, all_of([below(each, _EVEN) for _, each in found]), said, ids([cell for cell, _ in found], "cell"))


def _shared(evidence: Evidence) -> Part:
    says = "scales out"
    cells = [
        (each, refused)
        for each in evidence.cells(scheme="session", store="memcached", policy="roundrobin", options={})
        if each.facts["replicas"] > 1 and (refused := each.metric("refused_ratio"))
    ]
    if not cells:
        return Part(says, missing=_MEMCACHED)
    each, refused = cells[0]
    said = f"one Memcached served {each.facts['replicas']} replicas, which refused {share(refused)} of the requests"
    outcome = all_of([below(refused, NONE) for _, refused in cells])
    return Part(says, outcome, f"{said}; several servers of it were not measured", tuple(each.id for each, _ in cells))


CLAIMS = (
    Claim(
        "memory-store",
        "A per-process store is the fastest, is lost on a restart, and does not scale out.",
        "Median auth time beside every other store's of the run; users signed out by a restart of their replica; "
        "requests refused at N replicas that are asked by turns",
        "Holds where its auth time lies below every other store's, at least 90 % of a restarted replica's users must "
        "sign in again, and at N replicas (N-1)/N of the requests are refused (within 2 %), or at least some.",
        _FULL,
        _memory,
    ),
    Claim(
        "file-store",
        "A file store survives a restart, is slow, and does not scale out.",
        "The same three; and the time of a look-up among many users. That it is simple is not measured",
        "Holds where a restart of the one replica signs out at most 1 % of the users, the auth time lies above that "
        "of the per-process store and of Redis, and at N replicas requests are refused.",
        _FULL,
        _file,
    ),
    Claim(
        "database-store",
        "A database persists and can be searched, is slower, and has the load added to its own.",
        "Users signed out and changes lost by a restart of the database; POST /logout-all; auth time beside Redis's; "
        "statements and CPU time of the database per request",
        "Holds where a restart signs out at most 1 % and loses no change, all sessions of a user are found and ended, "
        "the auth time lies above that on Redis, and statements and CPU time are above zero.",
        _FULL,
        _database,
    ),
    Claim(
        "redis-store",
        "Redis answers below a millisecond, expires sessions by itself, and scales by clustering.",
        "Store time per request at p50 and p99; records left after the idle limit without a request; commands by "
        "node at 3 shards",
        "Holds where p50 and p99 lie below 1 ms, every record goes by itself and its user is refused, and of three "
        "nodes or more none answers over half of the commands.",
        _FULL,
        _redis,
    ),
    Claim(
        "memcached-store",
        "Memcached is fast and scales out.",
        "Store time per request at p50 and p99; requests refused at several replicas. Several Memcached servers are "
        "not measured",
        "Holds where p50 and p99 lie below 1 ms and several replicas that share it refuse at most 1 %.",
        _MEMCACHED,
        _memcached,
    ),
)
