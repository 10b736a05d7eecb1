"""Three ways to let several replicas know one user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.claims.conjunction import Part, all_of, judged
from analysis.claims.evidence import CellSeen, Claim, Evidence, Interval, Judged
from analysis.claims.figures import NONE, above, below, fault, ids, less, of_cells, share, told
from analysis.wording import joined

PLACE = 60

_FULL, _FAULTS, _POLICIES = (f"make bench EXPERIMENT={name}" for name in ("full", "faults", "policies"))
_REPLICATED = "make bench EXPERIMENT=stores SCHEMES=session STORES=replicated"
_CHURN = "make bench EXPERIMENT=churn SCHEMES=session STORES=replicated"
_REPLICA_ENDS = ("kill-replica", "restart-replica", "rolling-restart")
_STORE_FAULTS = ("restart-store", "freeze-store", "partition", "kill-primary")
_OWN, _CENTRAL = ("memory", "file", "sqlite"), ("redis", "postgres", "memcached", "redis-cluster")


def _sticky(evidence: Evidence) -> Judged | None:
    lost, out = _until_a_replica_goes(evidence)
    return judged([_kept(evidence), lost], out, "of the users")


def _kept(evidence: Evidence) -> Part:
    says = "lets a per-process store work"
    rows = [
        (row, refused)
        for document in evidence.sections("balancing")
        for row in document["cells"]
        if row["policy"] == "sticky" and "-memory-" in row["cell"] and (refused := Interval.of(row["refused_ratio"]))
    ]
    if not rows:
        return Part(says, missing=_POLICIES)
    shares = joined(f"{share(refused)} at {row['replicas']} replicas" for row, refused in rows)
    uneven = joined(told(most) for row, _ in rows if (most := Interval.of(row["busiest_over_mean"])))
    said = f"refused behind a sticky balancer: {shares}; the busiest replica had {uneven} times the mean"
    return Part(says, all_of([below(each, NONE) for _, each in rows]), said, ids([row for row, _ in rows], "cell"))


def _until_a_replica_goes(evidence: Evidence) -> tuple[Part, Interval | None]:
    says = "until a replica goes"
    cells = fault(evidence, ("kill-replica",), ("memory",), policy="sticky", scheme="session")
    out = of_cells(cells, "users_signed_out_share")
    if not out:
        return Part(says, missing=_FAULTS), None
    said = f"the death of one replica signed out {joined(share(each) for each in out)} of the users"
    return Part(says, all_of([above(each, NONE) for each in out]), said, ids(cells)), out[0]


def _replication(evidence: Evidence) -> Judged | None:
    price, ratio = _price(evidence)
    return judged([_works(evidence), price], ratio, "times the store's CPU of one replica")


def _works(evidence: Evidence) -> Part:
    """Who has just signed in is known everywhere, but for the time that a copy takes."""
    says = "works"
    rows = [
        (row, away)
        for document in evidence.sections("accuracy")
        for row in document["cells"]
        if row["cell"].startswith("session-replicated-") and (away := Interval.of(row["turned_away"]))
    ]
    if not rows:
        return Part(says, missing=_CHURN)
    counts = joined(f"{row['turned_away']['count']:,} of {row['turned_away']['of']:,}" for row, _ in rows)
    said = f"of users who come and go, {counts} good requests were turned away"
    return Part(says, all_of([below(each, NONE) for _, each in rows]), said, ids([row for row, _ in rows], "cell"))


def _price(evidence: Evidence) -> tuple[Part, Interval | None]:
    """CPU time of primary and copies per request, of which each is a write, at one and at most replicas."""
    says = "at a price per write"
    cells = [
        (each, cpu)
        for each in evidence.cells(scheme="session", store="replicated", policy="roundrobin", options={})
        if (cpu := each.metric("store_cpu_us_per_request"))
    ]
    for run in dict.fromkeys(each.run for each, _ in cells):
        here = sorted((p for p in cells if p[0].run == run), key=_replicas)
        (first, one), (last, many) = here[0], here[-1]
        if _replicas((first, one)) == _replicas((last, many)):
            continue
        said = f"CPU time of primary and copies per request: {told(one, 'us')} at {first.facts['replicas']} replica"
        said += f", {told(many, 'us')} at {last.facts['replicas']}"
        ratio = Interval(many.value / one.value, many.low / one.high, many.high / one.low) if one.low > 0 else None
        return Part(says, less(one, many), said, (first.id, last.id)), ratio
    return Part(says, missing=_REPLICATED), None


def _replicas(pair: tuple[CellSeen, Interval]) -> int:
    return int(pair[0].facts["replicas"])


def _central(evidence: Evidence) -> Judged | None:
    equal, out = _nobody_lost(evidence)
    return judged([equal, _one_more_to_fail(evidence)], out, "of the users")


def _nobody_lost(evidence: Evidence) -> tuple[Part, Interval | None]:
    says = "every replica is equal"
    cells = fault(evidence, _REPLICA_ENDS, _CENTRAL, policy="roundrobin", scheme="session")
    out = of_cells(cells, "users_signed_out_share")
    if not out:
        return Part(says, missing=_FAULTS), None
    said = f"the end of a replica signed out {joined(share(each) for each in out)} of the users"
    return Part(says, all_of([below(each, NONE) for each in out]), said, ids(cells)), out[0]


def _one_more_to_fail(evidence: Evidence) -> Part:
    says = "one more thing to fail"
    cells = [each for each in fault(evidence, _STORE_FAULTS, _CENTRAL, scheme="session") if each["store"] != "memory"]
    failed = [(each, found) for each in cells if (found := Interval.of(each["figures"].get("failed")))]
    if not failed:
        return Part(says, missing=_FAULTS)
    each_failed = joined(f"{told(found)} requests failed{_after(each)}" for each, found in failed)
    said = f"while the store was gone {each_failed}"
    return Part(says, all_of([above(found, 0) for _, found in failed]), said, ids(cells))


def _after(cell: Mapping[str, Any]) -> str:
    back, out = (Interval.of(cell["figures"].get(name)) for name in ("recovered_s", "users_signed_out_share"))
    told_ = [f"{cell['fault']} of {cell['store']}"]
    told_ += [f"itself again after {told(back, 's')}"] if back else []
    told_ += [f"{share(out)} of the users signed out"] if out else []
    return f" ({', '.join(told_)})"


CLAIMS = (
    Claim(
        "sticky",
        "Sticky routing lets a per-process store work, until a replica goes.",
        "Requests refused behind a sticky balancer; the busiest replica over the mean; users signed out when one "
        "replica is killed",
        "Holds where at most 1 % of the requests are refused while all replicas serve, and over 1 % of the users are "
        "signed out when one is killed.",
        _FULL,
        _sticky,
    ),
    Claim(
        "replication",
        "Copying sessions to every replica works, at a price per write.",
        "Good requests turned away of users who come and go (a copy may lag); CPU time of the store's servers per "
        "request, each a write, against replicas",
        "Holds where at most 1 % of the good requests are turned away, and the store's CPU time per request is more "
        "at the most replicas than at the fewest.",
        _FULL,
        _replication,
    ),
    Claim(
        "central-store",
        "One shared store makes every replica equal, and is one more thing to fail.",
        "Users signed out when a replica ends; requests that fail while the store is down, and what comes after",
        "Holds where the end of a replica signs out at most 1 % of the users, and requests fail with every fault of "
        "the store that was tried.",
        _FULL,
        _central,
    ),
)
