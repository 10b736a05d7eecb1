"""One probe of a capacity search: an open load at one rate on servers that stay up, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from loadtests import gates, limits
from loadtests.capacity_search import MET, MISSED, UNJUDGED, Outcome, Seen
from loadtests.experiment import Load
from loadtests.samples import OK
from loadtests.slo import Slo
from loadtests.stage import Stage, Surroundings, generator_for, record_of
from topology.local import RunningTopology

CLEAR = 2.0
"""A figure that is this factor from the limit decides alone."""
_KEPT = ("duration_s", "scheduled", "sent", "dropped", "outcomes", "generator", "machine", "components", "store")


@dataclass(frozen=True)
class Prober:
    """Probes one running topology, each time with a new generator; `kept` is what each showed, for trial.json.

    Attributes:
        folder: of the trial; each probe has a folder of its own in `probes`.
        confirm_s: length of a confirming stage, seconds.

    """

    around: Surroundings
    block: int
    folder: Path
    servers: RunningTopology
    slo: Slo
    confirm_s: float
    kept: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, rate_rps: float, confirm: bool) -> Seen:  # noqa: FBT001 - the search's seam
        """Probe a rate. Raises GeneratorError, ComponentError, OSError."""
        load = replace(self.around.experiment.load, rate_rps=rate_rps)
        if confirm:
            load = replace(load, duration_s=self.confirm_s)
        number = len(self.kept) + 1
        record = {"number": number, "rate_rps": rate_rps, "confirms": confirm, **self._run(load, number)}
        self.kept.append(record)
        return Seen(record["outcome"], clear=is_clear(record, self.slo))

    def _run(self, load: Load, number: int) -> dict[str, Any]:
        place = self.folder / "probes" / f"{number}-{load.rate_rps:.0f}rps"
        place.mkdir(parents=True)
        # other arrivals for each probe: the luck of one schedule must not decide a rate twice
        with generator_for(self.around, 1000 * self.block + number, place, load) as generator:
            stage = Stage(self.servers, generator, load, self.servers.check)
            stage.sign_in()
            stage.warm_up()
            before = stage.read()
            stage.measure()
            after = stage.read()
            counts = generator.finish()
        self.servers.check()
        sent, topology = gates.read_sent(generator.samples), self.servers.topology
        record = record_of(stage, topology, before, after, counts, sent)
        seconds, cores = after.at_s - before.at_s, len(self.around.cores.servers)
        found = limits.busy(record["components"], seconds, cores)
        figure_ms = self.slo.reads(generator.samples)
        kept = {
            "figure_ms": figure_ms if sent.outcomes.get(OK) else None,
            **{name: record[name] for name in _KEPT},
            "busy": [each.as_dict() for each in found],
            "others_share": limits.others_share(record, seconds, psutil.cpu_count() or 1),
        }
        against = unjudged(kept, self.slo)
        return {
            "outcome": UNJUDGED if against else outcome(sent, figure_ms, self.slo), "unjudged_because": against, **kept
        }  # fmt: skip


def unjudged(record: Mapping[str, Any], slo: Slo) -> str | None:
    """Return why a probe says nothing of the servers; None where it does.

    The limits are those of every trial's gates, but that lateness counts against the limit that is judged, or the
    figure where that is far beyond it.
    """
    generator, steal_share = record["generator"], record["machine"]["steal_share"]
    judged_ms = max(slo.limit_ms, record["figure_ms"] or 0.0)
    late_ms = max(gates.MAX_LATENESS_SHARE * judged_ms, gates.HARMLESS_LATENESS_MS)
    if generator["cpu_share"] > gates.MAX_GENERATOR_CPU_SHARE:
        return f"generator used {generator['cpu_share']:.0%} of its core"
    if generator["lateness_p99_ms"] > late_ms:
        return f"generator late: p99 {generator['lateness_p99_ms']:.2f} ms over {late_ms:.2f} ms"
    if steal_share > gates.MAX_STEAL_SHARE:
        return f"machine lost {steal_share:.1%} to steal"
    return None


def outcome(sent: gates.Sent, figure_ms: float, slo: Slo) -> Outcome:
    """Return whether the objective was met: by its figure, and by a right answer to every request that was due."""
    right = sent.outcomes.get(OK, 0)
    return MET if right and right == sent.scheduled and not sent.failed_logins and figure_ms < slo.limit_ms else MISSED


def is_clear(record: Mapping[str, Any], slo: Slo) -> bool:
    """Return whether a probe decides alone: a confirmation, or one whose figure is far from the limit."""
    if record["outcome"] == UNJUDGED:
        return False
    figure_ms = record["figure_ms"]
    near = figure_ms is not None and slo.limit_ms / CLEAR <= figure_ms <= slo.limit_ms * CLEAR
    return bool(record["confirms"]) or not near
