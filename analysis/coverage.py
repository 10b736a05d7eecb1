"""`python -m analysis.coverage`: whether intervals, tests and verdicts keep what they promise, on data of known truth.

Experiments are simulated as runs are: every request of a block shares the block's luck, which both cells of a
comparison have in common, and each trial its own besides; latencies are lognormal, and a block's p50 and p99 are taken
from its raw requests. What is then judged are the functions that make every report. docs/methodology.md quotes it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.compare import ALPHA, MARGIN, Comparison, Verdict, compare_values, judge
from analysis.estimates import estimate
from loadtests.precision import is_narrow
from loadtests.student import CONFIDENCE

Floats = NDArray[np.float64]

FORMAT = 1
BLOCKS = (3, 5, 10)
EXPERIMENTS = 1000
MAX_BLOCKS = 30
TRUE_MS = 1.25
FAMILY = 8
"""Comparisons that one question asks at once, about as many as the `quick` experiment does."""
ASKED = 0.05
NEEDED = (6, 12, 20, 28)
"""Blocks that the adaptive stop would take if the spread were known: few, some, many, about the maximum."""


@dataclass(frozen=True)
class World:
    """How requests scatter: standard deviations of the logarithm, by what shares them."""

    block: float = 0.15  # all cells of a block
    trial: float = 0.08  # one cell in one block; a log ratio then scatters by 0.12, as runs on two cores did
    request: float = 0.35
    requests: int = 200


QUIET = World(trial=0.015, request=0.1)
"""So steady that cells can be shown to be equal within the margin, which the noise of `World` does not allow."""


@dataclass(frozen=True)
class Rate:
    """A share of simulated experiments and the bounds that it must keep; `blocks` is their number, or their mean.

    By chance alone a share of so many experiments lies three standard errors beyond its true value once in 700 times:
    as far beyond its bounds it may be found.
    """

    name: str
    blocks: float
    share: float
    experiments: int
    low: float = 0.0
    high: float = 1.0

    @property
    def chance(self) -> float:
        """Three standard errors of a share that is just at its bound."""
        return 3 * math.sqrt(self.high * (1 - self.high) / self.experiments)

    @property
    def kept(self) -> bool:
        """Whether the share keeps its bounds, but for chance."""
        return self.low - self.chance <= self.share <= self.high + self.chance

    @property
    def bounds(self) -> str:
        """The bounds in words; empty for what is shown beside the others."""
        if self.low:
            return f"{100 * self.low:g} to {100 * self.high:g}"
        return f"at most {100 * self.high:g}" if self.high < 1 else ""


def trials(rng: np.random.Generator, world: World, blocks: int, medians: Sequence[float], q: float) -> Floats:
    """Return the quantile `q` of every simulated trial's raw requests: experiment, block, cell; as many ms.

    `medians` are the cells' true medians.
    """
    shape = (EXPERIMENTS, blocks, len(medians))
    luck = rng.normal(0, world.block, (*shape[:2], 1)) + rng.normal(0, world.trial, shape)
    found = np.empty(shape)
    for experiment in range(EXPERIMENTS):  # one at a time: all requests at once would be a gigabyte
        logs = rng.standard_normal((*shape[1:], world.requests), dtype=np.float32) * world.request
        found[experiment] = np.quantile(np.exp(logs), q, axis=-1)
    return np.asarray(medians) * np.exp(luck) * found


def of_a_cell(rng: np.random.Generator, blocks: int) -> Iterable[Rate]:
    """Coverage of the interval of a cell's p50."""
    values = trials(rng, World(), blocks, [TRUE_MS], 0.5)[:, :, 0]
    hits = [_covers(estimate(list(each), positive=True), TRUE_MS) for each in values]
    yield _rate("interval of a cell's p50 covers", blocks, hits, low=0.93, high=0.97)


def of_a_ratio(rng: np.random.Generator, blocks: int) -> Iterable[Rate]:
    """Coverage of the paired interval of p50 and p99, beside those of the ways that were not taken."""
    ratio = 1.3
    for q, name in ((0.5, "p50"), (0.99, "p99")):
        values = trials(rng, World(), blocks, [ratio * TRUE_MS, TRUE_MS], q)
        made = [compare_values(each[:, 0], each[:, 1]) for each in values]
        hits = [_covers(each, ratio) for each in made]
        yield _rate(f"paired interval of a ratio of {name} covers", blocks, hits, low=0.93, high=0.97)
        if name == "p50":
            logs = np.log(values)
            yield _rate("  percentile bootstrap instead", blocks, _bootstrap(rng, logs, math.log(ratio)))
            yield _rate("  requests as independent instead", blocks, _by_request(logs, math.log(ratio)))
            hits, widths = _unpaired(logs, math.log(ratio))
            paired = np.array([math.log((each.high or 1) / (each.low or 1)) for each in made])
            yield _rate("  unpaired instead", blocks, hits)
            yield _rate("  and is wider than the paired one", blocks, list(widths > paired))


def _bootstrap(rng: np.random.Generator, logs: Floats, true: float) -> list[bool]:
    """Whether the percentile bootstrap of the mean log ratio (Efron 1979; 1,000 resamples) covers it."""
    blocks = logs.shape[1]
    means = (logs[:, :, 0] - logs[:, :, 1])[:, rng.integers(0, blocks, (1000, blocks))].mean(axis=-1)
    low, high = np.quantile(means, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2], axis=-1)
    return list((low <= true) & (true <= high))


def _by_request(logs: Floats, true: float) -> list[bool]:
    """Whether an interval covers that counts every request for itself: the asymptotic error of a median."""
    world, blocks = World(), logs.shape[1]
    half = special.ndtri(0.5 + CONFIDENCE / 2) * world.request * math.sqrt(math.pi / (world.requests * blocks))
    return list(np.abs((logs[:, :, 0] - logs[:, :, 1]).mean(axis=1) - true) <= half)


def _unpaired(logs: Floats, true: float) -> tuple[list[bool], Floats]:
    """Whether Welch's interval (1947) covers, which forgets the blocks, and its widths."""
    blocks = logs.shape[1]
    one, other = (logs[:, :, side].var(axis=1, ddof=1) / blocks for side in (0, 1))
    degrees = (one + other) ** 2 / (one**2 + other**2) * (blocks - 1)
    half = special.stdtrit(degrees, 0.5 + CONFIDENCE / 2) * np.sqrt(one + other)
    return list(np.abs((logs[:, :, 0] - logs[:, :, 1]).mean(axis=1) - true) <= half), 2 * half


def of_verdicts(rng: np.random.Generator, blocks: int) -> Iterable[Rate]:
    """Errors of the verdicts where nothing differs, power where something does, and equivalence at its margin."""
    alone = [_judged(each, 1)[0] for each in trials(rng, World(), blocks, [TRUE_MS] * 2, 0.5)]
    yield _rate("type I error of one comparison", blocks, [(each.p or 0) < ALPHA for each in alone], high=0.05)
    family = [_judged(each, FAMILY) for each in trials(rng, World(), blocks, [TRUE_MS] * (FAMILY + 1), 0.5)]
    wrong = [any(each.verdict in ("faster", "slower") for each in made) for made in family]
    yield _rate(f"any wrong verdict among {FAMILY} comparisons (Holm)", blocks, wrong, high=0.05)
    uncorrected = [any((each.p or 0) < ALPHA for each in made) for made in family]
    yield _rate("  without a correction instead", blocks, uncorrected)
    for ratio in (1.1, 1.2, 1.5):
        yield _rate(f"power: {100 * (ratio - 1):.0f} % slower is found", blocks, _said(rng, World(), blocks, ratio))
    for world, noise in ((World(), "this noise"), (QUIET, "little noise")):
        wrong = _said(rng, world, blocks, 1 + MARGIN, "equivalent")
        yield _rate(f"equivalent though at the margin, {noise}", blocks, wrong, high=0.05)
    yield _rate("power: equality is found, little noise", blocks, _said(rng, QUIET, blocks, 1.0, "equivalent"))


def _said(rng: np.random.Generator, world: World, blocks: int, ratio: float, verdict: Verdict = "slower") -> list[bool]:
    values = trials(rng, world, blocks, [ratio * TRUE_MS, TRUE_MS], 0.5)
    return [_judged(each, 1)[0].verdict == verdict for each in values]


def _judged(values: Floats, comparisons: int) -> list[Comparison]:
    """Return the first cells of one experiment against the last, judged as one family."""
    return judge([compare_values(values[:, cell], values[:, -1]) for cell in range(comparisons)], None)


def of_the_stop(rng: np.random.Generator) -> Iterable[Rate]:
    """Coverage of the interval at which the adaptive stop leaves off, for one comparison: with several it is wider."""
    for needed in NEEDED:
        spread = math.log1p(ASKED) * math.sqrt(needed) / special.stdtrit(needed - 1, 0.5 + CONFIDENCE / 2)
        logs = rng.normal(0, spread, (4 * EXPERIMENTS, MAX_BLOCKS))
        ended = [stopping_block(list(each), ASKED) for each in logs]
        made = [compare_values(np.exp(each[:end]), np.ones(end)) for each, end in zip(logs, ended, strict=True)]
        hits = [_covers(each, 1.0) for each in made]
        name = f"interval after the stop covers ({needed} needed)"
        yield _rate(name, float(np.mean(ended)), hits, low=0.93, high=0.97)
        naive = [stopping_block(list(each), ASKED, rule=_at_once) for each in logs]
        made = [compare_values(np.exp(each[:end]), np.ones(end)) for each, end in zip(logs, naive, strict=True)]
        hits = [_covers(each, 1.0) for each in made]
        yield _rate(f"  at the first narrow one instead ({needed} needed)", float(np.mean(naive)), hits)


def stopping_block(
    log_ratios: Sequence[float], asked: float, *, rule: Callable[[Sequence[float], float], bool] = is_narrow
) -> int:
    """Return the number of blocks after which a rule stops, all of them if it never does."""
    ends = (count for count in range(2, len(log_ratios)) if rule(log_ratios[:count], asked))
    return next(ends, len(log_ratios))


def _at_once(log_ratios: Sequence[float], asked: float) -> bool:
    made = compare_values(np.exp(log_ratios), np.ones(len(log_ratios)))
    return len(log_ratios) > 2 and (made.high or math.inf) / made.ratio - 1 <= asked  # noqa: PLR2004 - see its name


def _covers(found: object, true: float) -> bool:
    low, high = getattr(found, "low", None), getattr(found, "high", None)
    return low is not None and high is not None and bool(low <= true <= high)


def _rate(name: str, blocks: float, hits: Sequence[bool], low: float = 0.0, high: float = 1.0) -> Rate:
    return Rate(name, float(blocks), float(np.mean(hits)), len(hits), low, high)


def simulate(seed: int) -> tuple[Rate, ...]:
    """Return every share, by what it is of and then by blocks; the same for the same seed."""
    made: list[Rate] = []
    for number, part in enumerate((of_a_cell, of_a_ratio, of_verdicts)):
        by_blocks = [list(part(np.random.default_rng((seed, number, blocks)), blocks)) for blocks in BLOCKS]
        made += [each for alike in zip(*by_blocks, strict=True) for each in alike]
    return (*made, *of_the_stop(np.random.default_rng(seed)))


def table(found: Sequence[Rate]) -> str:
    """Return the shares in per cent as text of 80 columns: a row a name, a column a number of blocks."""
    lines = [f"{'% of simulated experiments':<44}" + "".join(f"{each:>6}" for each in BLOCKS) + "   bounds"]
    names = dict.fromkeys(each.name for each in found)
    for name in names:
        alike = [each for each in found if each.name == name]
        if len(alike) == len(BLOCKS):
            lines.append(f"{name:<44}" + "".join(f"{100 * each.share:>6.1f}" for each in alike) + f"   {_limit(alike)}")
    lines += ["", f"{'':<44}{'blocks':>12}{'%':>6}   bounds"]
    for each in found:
        if sum(other.name == each.name for other in found) < len(BLOCKS):
            lines.append(f"{each.name:<44}{each.blocks:>12.1f}{100 * each.share:>6.1f}   {_limit([each])}")
    chance = max(100 * each.chance for each in found)
    lines += [
        "",
        f"Of {EXPERIMENTS:,} experiments each ({4 * EXPERIMENTS:,} for the stop); a bound may be missed by three",
    ]
    lines += [f"standard errors of such a share, at most {chance:.1f}, before it counts as FAILED."]
    return "\n".join(line.rstrip() for line in lines)


def _limit(alike: Sequence[Rate]) -> str:
    return alike[0].bounds + ("" if all(each.kept for each in alike) else " FAILED")


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print, write; exit with 1 if a bound is not kept."""
    parser = argparse.ArgumentParser(prog="python -m analysis.coverage", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (default: 1)")
    parser.add_argument("--out", type=Path, help="write the shares to this file, as JSON")
    arguments = parser.parse_args(argv)
    found = simulate(arguments.seed)
    sys.stdout.write(f"{table(found)}\n")
    if arguments.out:
        rates = [{**asdict(each), "chance": each.chance, "kept": each.kept} for each in found]
        try:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps({"format": FORMAT, "seed": arguments.seed, "rates": rates}, indent=1))
        except OSError as error:
            sys.stderr.write(f"authscale: {arguments.out} cannot be written: {error.strerror}\n")
            return 2
        sys.stdout.write(f"written to {arguments.out}\n")
    return 0 if all(each.kept for each in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
