"""Whether any of it matters beside what an application does itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.claims.conjunction import UNDECIDED
from analysis.claims.evidence import Claim, Evidence, Interval, Judged, rule_all
from analysis.claims.figures import ids, told
from analysis.wording import count, joined

PLACE = 80

_FEWEST_AMOUNTS = 2


def _no_difference(evidence: Evidence) -> Judged | None:
    rows = [
        (row, document["margin"], ratio)
        for document in evidence.sections("work")
        for row in document["ratios"]
        if row["work_ms"] and not row["work_cpu_ms"] and (ratio := Interval.of(row["ratio"]))
    ]
    if not rows or len({row["work_ms"] for row, *_ in rows}) < _FEWEST_AMOUNTS:
        return None
    outcomes = {id(row): _alike(ratio, margin) for row, margin, ratio in rows}
    detail = " ".join(
        f"Beside {amount} ms of work: "
        + joined(f"{_pair(row)} {told(ratio)}" for row, _, ratio in rows if row["work_ms"] == amount)
        + "."
        for amount in sorted({row["work_ms"] for row, *_ in rows})
    )
    alike = [at for at in sorted({row["work_ms"] for row, *_ in rows}) if _all_alike(rows, outcomes, at)]
    verdict = rule_all(outcomes.values())
    if verdict == "depends":
        margin = f"{100 * rows[0][1]:g} %"
        detail += f" All pairs are within {margin} beside {joined(f'{at} ms' for at in alike)}." if alike else ""
        unsure = sum(outcome is None for outcome in outcomes.values())
        detail += f" Of {count(unsure, 'pair')} it {UNDECIDED}." if unsure else ""
    worst = max((row for row in rows), key=lambda row: abs(row[2].value - 1))
    unit = f"times, at {worst[0]['work_ms']} ms"
    return Judged(verdict, worst[2], unit, detail, ids([row for row, *_ in rows], "cell"))


def _alike(ratio: Interval, margin: float) -> bool | None:
    return ratio.within(1 / (1 + margin), 1 + margin)


def _all_alike(
    rows: list[tuple[Mapping[str, Any], float, Interval]], outcomes: Mapping[int, bool | None], at: int
) -> bool:
    return all(outcomes[id(row)] for row, *_ in rows if row["work_ms"] == at)


def _pair(row: Mapping[str, Any]) -> str:
    return f"{_scheme(row['cell'])} over {_scheme(row['baseline'])}"


def _scheme(cell: str) -> str:
    return cell.split("-", 1)[0]


CLAIMS = (
    Claim(
        "no-difference",
        "For most applications the difference in speed is negligible.",
        "Ratio of median response times, to control and to each other, of an endpoint that also waits 1, 10 and 50 ms",
        "Holds where every pair's interval lies within 5 % at each amount of work that was tried (two or more); does "
        "not hold where none does; else depends on the amount of work.",
        "make bench EXPERIMENT=work",
        _no_difference,
    ),
)
