"""The checks of `make validate`: each from raw data to a value, a limit and pass or fail.

What they rest on is docs/methodology.md, "Calibration".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special, stats

from analysis.compare import ALPHA, Comparison, compare, verdict
from analysis.estimates import CellResult, estimate_run
from analysis.known_truth import (
    FORMAT,
    Check,
    Recovered,
    judge_recovered,
    judge_sent,
    judge_server,
    read_document,
    read_samples,
    recover,
)  # fmt: skip
from analysis.load import load_run
from analysis.metrics import BY_NAME
from loadtests import samples as contract

AA_METRICS = ("response_p50_ms", "replica_cpu_us_per_request")
PLANTED_US = 200.0
PLANTED_METRICS = ("auth_p50_us", "replica_cpu_us_per_request")
# Two intervals must cover a known value: at 95 % a sound harness would fail at one of them in every tenth run.
COVERAGE = 0.99
SMALLEST_METRICS = (
    "response_p50_ms", "response_p90_ms", "response_p99_ms", "service_p50_ms", "auth_p50_us",
    "replica_cpu_us_per_request", "balancer_cpu_us_per_request", "total_cpu_us_per_request",
)  # fmt: skip
_BUDGET_S, _POWER = 120.0, 0.8
_CHANCE = 0.98  # of no more than the allowed number of false differences, when 5 % of the pairs are expected


@dataclass(frozen=True)
class Smallest:
    """A metric's noise: sd of the log ratio of two identical cells in a block, and what can be shown in 2 minutes."""

    metric: str
    sd: float
    blocks: int
    smallest: float


@dataclass(frozen=True)
class Validation:
    """All that was judged and found."""

    document: dict[str, Any]
    checks: tuple[Check, ...]
    recovered: tuple[Recovered, ...]
    servers: tuple[dict[str, Any], ...]
    pairs: tuple[Comparison, ...]
    smallest: tuple[Smallest, ...]

    @property
    def passed(self) -> bool:
        """Whether every check did."""
        return all(check.passed for check in self.checks)


def validate(folder: Path) -> Validation:
    """Judge what loadtests.validate left in `folder`. Raises RunError where it is missing or broken."""
    document = read_document(folder / "validation.json")
    laws = [each.parent for each in sorted(folder.glob("calibration/*/calibration.json"))]
    recovered = tuple(each for law in laws for each in recover(law))
    pairs_run = load_run(folder / "aa" / "latest")
    identical = estimate_run(pairs_run)
    seconds = [_seconds(trial.folder) for trial in pairs_run.trials]
    pairs = tuple(aa_comparisons(identical))
    planted = estimate_run(load_run(folder / "planted" / "latest"))
    return Validation(
        document=document,
        checks=(
            *(judge_recovered(each) for each in recovered),
            *(judge_sent(law) for law in laws),
            *(judge_server(law) for law in laws),
            *judge_aa(pairs),
            *judge_planted(planted),
            *judge_accounting(folder / "accounting"),
        ),
        recovered=recovered,
        servers=tuple(read_document(law / "calibration.json") for law in laws),
        pairs=pairs,
        smallest=tuple(smallest_effects(identical, float(np.mean(seconds)))),
    )


def aa_pairs(results: Sequence[CellResult]) -> list[tuple[CellResult, CellResult]]:
    """Return the cells two by two, in the order of run.json."""
    return list(zip(results[0::2], results[1::2], strict=False))


def aa_comparisons(results: Sequence[CellResult]) -> Iterable[Comparison]:
    """Yield the comparison of each pair on each metric that is judged."""
    for metric in AA_METRICS:
        for one, other in aa_pairs(results):
            made = compare(metric, other, one)
            if made:
                yield made


def judge_aa(comparisons: Sequence[Comparison]) -> Iterable[Check]:
    """At most as many false differences as a 5 % test gives by chance in 98 of 100 runs: 3 of 20."""
    for metric in AA_METRICS:
        made = [each for each in comparisons if each.metric == metric and each.p is not None]
        found = sum(each.p < ALPHA for each in made if each.p is not None)
        limit = int(stats.binom.ppf(_CHANCE, len(made), ALPHA)) if made else 0
        yield Check(
            name=f"A/A {BY_NAME[metric].title}",
            passed=bool(made) and found <= limit,
            value=found,
            limit=limit,
            unit="pairs",
            detail=f"of {len(made)} identical pairs declared different by a 5 % test",
            group="A/A",
        )


def smallest_effects(results: Sequence[CellResult], trial_s: float) -> Iterable[Smallest]:
    """Yield, per metric, the smallest difference that 2 minutes of one pair show with 80 % power at 5 %.

    n blocks fit; the effect is (t(0.975, n-1) + t(0.8, n-1)) sd / sqrt(n), on the logarithm. The sd is pooled over the
    A/A pairs, about their true mean of 0.
    """
    blocks = max(2, math.floor(_BUDGET_S / (2 * trial_s)))
    reach = float(special.stdtrit(blocks - 1, 1 - ALPHA / 2) + special.stdtrit(blocks - 1, _POWER))
    for metric in SMALLEST_METRICS:
        logs = []
        for one, other in aa_pairs(results):
            ours, theirs = one.by_block(metric), other.by_block(metric)
            shared = [block for block in ours.keys() & theirs.keys() if ours[block] > 0 and theirs[block] > 0]
            logs += [math.log(ours[block] / theirs[block]) for block in shared]
        if logs:
            sd = math.sqrt(float(np.mean(np.square(logs))))
            yield Smallest(metric, sd, blocks, math.expm1(reach * sd / math.sqrt(blocks)))


def judge_planted(results: Sequence[CellResult]) -> Iterable[Check]:
    """The planted cost is declared, and the interval of the difference covers it."""
    plain = next(each for each in results if not each.cell.options and each.cell.duplicate_of is None)
    with_it = next(each for each in results if "spin_us" in each.cell.options)
    for metric in PLANTED_METRICS:
        title = BY_NAME[metric].title
        made = compare(metric, with_it, plain)
        said = verdict(made, None) if made else "inconclusive"
        p = 1.0 if made is None or made.p is None else made.p
        yield Check(
            name=f"planted cost in {title}",
            passed=said == "slower",
            value=p,
            limit=ALPHA,
            unit="p",
            detail=f"verdict {said}" + (f", ratio {made.ratio:.2f}, {made.blocks} blocks" if made else ""),
            group="sensitivity",
        )
        yield _covers(f"size of it in {title}", _differences(metric, with_it, plain))


def _differences(metric: str, cell: CellResult, baseline: CellResult) -> list[float]:
    ours, theirs = cell.by_block(metric), baseline.by_block(metric)
    return [ours[block] - theirs[block] for block in sorted(ours.keys() & theirs.keys())]


def _covers(name: str, differences: Sequence[float]) -> Check:
    """Whether the paired t interval of the mean difference (99 %) covers the planted cost."""
    count = len(differences)
    if count < 2:  # noqa: PLR2004 - two is where a spread begins
        detail = f"{count} valid blocks: cannot be judged"
        return Check(name, passed=False, value=math.inf, limit=0, unit="us", detail=detail, group="sensitivity")
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / math.sqrt(count)
    half = float(special.stdtrit(count - 1, (1 + COVERAGE) / 2)) * error
    usual = float(special.stdtrit(count - 1, 1 - ALPHA / 2)) * error
    return Check(
        name=name,
        passed=abs(mean - PLANTED_US) <= half,
        value=abs(mean - PLANTED_US),
        limit=half,
        unit="us",
        detail=f"{mean:.1f} us found of {PLANTED_US:.0f}; 95 % interval {mean - usual:.1f} to {mean + usual:.1f}",
        group="sensitivity",
    )


def judge_accounting(folder: Path) -> Iterable[Check]:
    """Five counts of the same requests, and octets beside those of the capture: equal, not nearly."""
    document, table = read_document(folder / "accounting.json"), read_samples(folder)
    sent = table[table["outcome"] != contract.DROPPED]
    counts = {
        "on the wire": document["capture"]["requests"],
        "balancer": sum(document["balancer"].values()),
        "replicas": sum(document["replicas"].values()),
        "samples": len(sent),
        "Locust": document["locust"],
    }
    yield Check(
        name="requests counted",
        passed=len(set(counts.values())) == 1 and len(sent) > 0,
        value=max(counts.values()) - min(counts.values()),
        limit=0,
        unit="requests",
        detail=", ".join(f"{name} {count}" for name, count in counts.items()),
        group="accounting",
    )
    for way, columns in (("sent", "request"), ("received", "response")):
        recorded = int(sent[f"{columns}_head_bytes"].sum() + sent[f"{columns}_body_bytes"].sum())
        captured = document["capture"][f"{way}_bytes"]
        yield Check(
            name=f"octets {way}",
            passed=recorded == captured > 0,
            value=abs(recorded - captured),
            limit=0,
            unit="octets",
            detail=f"samples {recorded}, capture {captured}",
            group="accounting",
        )


def _seconds(folder: Path) -> float:
    document = json.loads((folder / "trial.json").read_text())
    return float(document["seconds"]["total"])


def validate_document(validation: Validation) -> dict[str, Any]:
    """Return validate.json as a document."""
    checks = [{**vars(check), "value": _finite(check.value)} for check in validation.checks]
    return {
        "format": FORMAT,
        "run": validation.document["id"],
        "quick": validation.document["quick"],
        "passed": validation.passed,
        "checks": checks,
        "recovered": [vars(each) for each in validation.recovered],
        "servers": [
            {"law": each["law"]["name"], "advance_us": each["advance_us"], **each["server"]}
            for each in validation.servers
        ],
        "smallest_in_2_minutes": [vars(each) for each in validation.smallest],
        "seconds": validation.document["seconds"],
        "machine": validation.document["machine"],
        "software": validation.document["software"],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
