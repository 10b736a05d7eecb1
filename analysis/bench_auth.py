"""What authentication costs a replica by itself: `python -m analysis.bench_auth`, the end of `make bench-auth`.

The figure is CPU time per request above control's in the same block, and the ratio of ours to what Flask users install.
Both are over blocks, the ratio by Fieller's theorem. Where loadtests.breakdown has run, its parts are told as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.estimates import Estimate, estimate
from analysis.fieller import ratio_of_means
from analysis.load import Run, RunError, Trial, load_run

FORMAT = 1
FLOOR = "control"
RATIOS = {
    "session_vs_flask_session": ("session", "flask-session"),
    "token_vs_flask_jwt_extended": ("token", "flask-jwt-extended"),
}
# A late generator moves arrivals, and so latencies; what a request costs the replica stays what it is.
_HARMLESS = "generator late"
_WIDTH = 42

PerBlock = Mapping[int, float]


@dataclass(frozen=True)
class Costs:
    """CPU of the replica per request, us: `total` by scheme and block, `marginal` above control's of that block."""

    total: Mapping[str, PerBlock]
    marginal: Mapping[str, PerBlock]
    left_out: Mapping[str, int]


def costs(run: Run) -> Costs:
    """Return the costs in every block that counts. Control is the mean of the cell and its duplicate."""
    named = _schemes(run)
    found: dict[str, dict[int, list[float]]] = {scheme: {} for scheme in named.values()}
    left_out = dict.fromkeys(found, 0)
    for trial in run.trials:
        scheme = named.get(trial.cell)
        if scheme is None:
            continue
        if _counts(trial):
            found[scheme].setdefault(trial.block, []).append(_cpu_us_per_request(trial))
        else:
            left_out[scheme] += 1
    total = {
        scheme: {block: sum(values) / len(values) for block, values in blocks.items()}
        for scheme, blocks in found.items()
    }
    floor = total.get(FLOOR, {})
    marginal = {
        scheme: {block: value - floor[block] for block, value in blocks.items() if block in floor}
        for scheme, blocks in total.items()
        if scheme != FLOOR
    }
    return Costs(total, marginal, left_out)


def ratio(of: PerBlock, against: PerBlock) -> Estimate:
    """Return the ratio of two marginal costs over the blocks that both have."""
    shared = sorted(of.keys() & against.keys())
    return ratio_of_means([of[block] for block in shared], [against[block] for block in shared])


def document(run: Run, breakdown: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what bench-auth.json holds: see docs/file-formats.md."""
    found = costs(run)
    return {
        "format": FORMAT,
        "run": run.document["id"],
        "seed": run.document["seed"],
        "software": run.document["software"],
        "machine": run.document["machine"],
        **{
            name: asdict(ratio(found.marginal.get(of, {}), found.marginal.get(against, {})))
            for name, (of, against) in RATIOS.items()
        },
        "replica_cpu_us_per_request": {
            scheme: asdict(estimate(list(blocks.values()), positive=True)) for scheme, blocks in found.total.items()
        },
        "marginal_cpu_us_per_request": {
            scheme: {
                **asdict(estimate(list(blocks.values()), positive=False)),
                "by_block": {str(block): value for block, value in sorted(blocks.items())},
            }
            for scheme, blocks in found.marginal.items()
        },
        "trials_left_out": dict(found.left_out),
        "breakdown": breakdown,
    }


def table(written: Mapping[str, Any]) -> str:
    """Return the document as text, 80 columns at most."""
    lines = [f"{'replica CPU per request, us':<26}{'all':>8}{'above control':>18}{'95 % interval':>20}"]
    for scheme, total in written["replica_cpu_us_per_request"].items():
        above = written["marginal_cpu_us_per_request"].get(scheme, {})
        lines.append(
            f"{scheme:<26}{_figure(total['value'], 1):>8}{_figure(above.get('value'), 1):>18}{_interval(above, 1):>20}"
        )
    lines += ["", f"{'authentication alone':<44}{'ratio':>8}{'95 % interval':>20}"]
    for name, (of, against) in RATIOS.items():
        told = written[name]
        lines.append(f"{f'{of} / {against}':<44}{_figure(told['value'], 2):>8}{_interval(told, 2):>20}")
    for scheme, parts in (written["breakdown"] or {}).get("schemes", {}).items():
        lines += ["", f"{f'{scheme}: where it goes':<{_WIDTH}}{'us':>8}{'of the request':>17}"]
        whole = parts["whole_us"]
        for part, us in {**parts["parts_us"], "remainder": parts["remainder_us"], "whole": whole}.items():
            lines.append(f"  {part:<{_WIDTH - 2}}{us:>8.1f}{us / whole:>16.0%}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Read, print, write; a failure is one line."""
    parser = argparse.ArgumentParser(prog="python -m analysis.bench_auth", description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("results/latest"), help="a run of the experiment auth")
    parser.add_argument("--out", type=Path, default=Path("results/bench-auth.json"), help="where to write the figures")
    arguments = parser.parse_args(argv)
    try:
        run = load_run(arguments.run)
        parts = run.folder / "breakdown.json"
        written = document(run, json.loads(parts.read_text()) if parts.is_file() else None)
        arguments.out.write_text(json.dumps(written, indent=1) + "\n")
    except (RunError, OSError, ValueError) as error:
        sys.stderr.write(f"authscale: {error}\n")
        return 1
    sys.stdout.write(f"\n{table(written)}\n\nwritten to {arguments.out}\n")
    return 0


def _schemes(run: Run) -> dict[str, str]:
    """Return scheme by cell, for control and its duplicate, and for the compared schemes with nothing unusual."""
    wanted = {FLOOR, *(scheme for pair in RATIOS.values() for scheme in pair)}
    plain = [cell for cell in run.document["cells"] if cell["scheme"] in wanted and not cell.get("options")]
    return {cell["id"]: cell["scheme"] for cell in plain if not cell["duplicate_of"] or cell["scheme"] == FLOOR}


def _counts(trial: Trial) -> bool:
    return bool(trial.sent) and all(reason.startswith(_HARMLESS) for reason in trial.invalid_reasons)


def _cpu_us_per_request(trial: Trial) -> float:
    return sum(_replica_cpu_ns(trial.components.values())) / 1e3 / trial.sent


def _replica_cpu_ns(components: Iterable[Mapping[str, Any]]) -> Iterable[int]:
    return (int(each["cpu_ns"]) for each in components if each["kind"] == "replica")


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _interval(told: Mapping[str, Any], digits: int) -> str:
    if told.get("low") is None:
        return ""
    return f"{told['low']:.{digits}f} to {told['high']:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
