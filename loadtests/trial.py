"""One trial: one cell once, on fresh servers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from loadtests import gates, workers
from loadtests.experiment import Cell
from loadtests.run_folder import write_json
from loadtests.stage import (
    Stage,
    Surroundings,
    fresh_folder,
    generator_for,
    reasons_against_earlier,
    record_of,
    serving,
    unloaded_record,
)
from topology.links import rtt_ms


def run_trial(
    around: Surroundings, cell: Cell, block: int, position: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    """Run the trial and leave its folder complete; returns what trial.json holds.

    A folder that an interrupted or invalid attempt left is removed first; the reasons against an invalid one are kept
    on record. `doing` is told each step.
    Raises ComponentError, VerificationError, GeneratorError, OSError; then the folder has no trial.json.
    """
    folder, earlier = fresh_folder(around, cell, block)
    began = time.monotonic()
    generator = generator_for(around, block, folder, told=around.tell(cell, around.reaper.folder))
    doing("starting")
    with generator, serving(around, cell, folder) as servers:
        stage = Stage(servers, generator, around.experiment.load, servers.check)
        doing("verifying")
        verified = around.verify(servers, around.experiment.settings["accounts"])
        empty = servers.store_counters()
        ready = time.monotonic()
        doing("signing in")
        stage.sign_in()
        signed_in = time.monotonic()
        doing("warming up")
        stage.warm_up()
        before = stage.read()
        doing("measuring")
        stage.measure()
        after = stage.read()
        counts = generator.finish()
        servers.check()
        doing("writing")
        files = generator.sample_files
        spread = workers.workers_of(counts, files)
        record = record_of(stage, cell.topology, before, after, counts, gates.read_sent(*files), spread)
    if record["store"] and empty:
        record["store"]["memory_bytes_before_login"] = empty.memory_bytes
    record |= {
        "verified": verified,
        "seconds": {"start": ready - began, "login": signed_in - ready, "total": time.monotonic() - began},
    }
    return finish(around, cell, block, position, earlier, record)


def finish(
    around: Surroundings, cell: Cell, block: int, position: int, earlier: list[str] | None, record: dict[str, Any]
) -> dict[str, Any]:
    """Write trial.json, which makes the trial one that happened; returns what it holds. Raises OSError."""
    off = gates.against_link(rtt_ms(cell.topology.every_option), record.get("verified", {}).get("link_added_ms"))
    reasons = [*record["invalid_reasons"], *off]
    record = {**record, "valid": not reasons, "invalid_reasons": reasons}
    record = {**record, "cell": cell.id, "block": block, "position": position, "earlier_attempt": earlier}
    write_json(around.folder(cell, block) / "trial.json", record)
    return record


def lost(around: Surroundings, cell: Cell, block: int, position: int, error: Exception) -> dict[str, Any]:
    """Write trial.json of a trial that `error` ended, which is invalid; returns what it holds. Raises OSError."""
    earlier = reasons_against_earlier(around.folder(cell, block))
    record = {**unloaded_record(), "invalid_reasons": [str(error)], "seconds": {}}
    return finish(around, cell, block, position, earlier, record)


def finished_trial(around: Surroundings, cell: Cell, block: int) -> dict[str, Any] | None:
    """trial.json of a trial that an interrupted run has finished."""
    path = around.folder(cell, block) / "trial.json"
    record: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return record
