"""A run that is killed, whenever, goes on where it stopped: nothing finished is lost, repeated or half read."""

import contextlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.bench

_SHORT = ["--schemes", "control,session", "--stores", "memory", "--replicas", "1", "--blocks", "4", "--duration", "0.3"]
_KILLS = 20


def _finished(run: Path) -> dict[str, float]:
    """Every finished trial and when it was written; an invalid one that has its second attempt before it is not."""
    found = {}
    for path in run.glob("trials/*/*/trial.json"):
        record = json.loads(path.read_text())
        if record["valid"] or record["earlier_attempt"] is not None:
            found[str(path.relative_to(run))] = path.stat().st_mtime_ns
    return found


def _killed_after(process: subprocess.Popen[str], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return True


def test_killed_at_twenty_moments_it_still_ends_with_every_trial_once(bench: Any):
    chance = random.Random(7)
    process, earlier, kills = bench.start(*_SHORT), {}, 0
    while _killed_after(process, chance.uniform(0.1, 3.2)):
        kills += 1
        run = (bench.results / "latest").resolve() if (bench.results / "latest").exists() else None
        finished = _finished(run) if run else {}
        assert earlier.items() <= finished.items(), "a finished trial was lost or run again"
        earlier = finished
        if kills == _KILLS:
            break
        process = bench.start_plain("--resume", "latest") if run else bench.start(*_SHORT)
    last = bench.start_plain("--resume", "latest")
    out, err = last.communicate(timeout=120)
    run = (bench.results / "latest").resolve()
    record = json.loads((run / "run.json").read_text())
    assert last.returncode == 0 or "is finished" in err, out + err
    assert kills == _KILLS or record["finished"]
    assert record["finished"]
    assert len(list(bench.results.glob("2*"))) == 1
    assert earlier.items() <= _finished(run).items()
    assert set(_finished(run)) == {
        f"trials/{block}/{cell}/trial.json" for block, cells in enumerate(record["order"], 1) for cell in cells
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "latest", "--blocks", "9"], "a resumed run goes on as it began; leave out: blocks"),
        (["--resume", "nothing"], "there is no run at "),
    ],
)
def test_what_cannot_be_resumed_is_one_line(arguments: list[str], said: str, bench: Any):
    process = bench.start_plain(*arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith(f"authscale: {said}")
    assert err.count("\n") == 1


def test_a_finished_or_changed_run_is_not_resumed(bench: Any):
    assert bench.run("--schemes", "control", "--replicas", "1", "--blocks", "1", "--duration", "0.2").returncode == 0
    _, err = bench.start_plain("--resume", "latest").communicate(timeout=60)
    assert err.rstrip().endswith("is finished; there is nothing to resume")
    path = bench.results / "latest" / "run.json"
    record = json.loads(path.read_text())
    record["finished"] = None
    record["software"]["packages"]["flask"] = "0.1"
    path.write_text(json.dumps(record))
    _, err = bench.start_plain("--resume", "latest").communicate(timeout=60)
    assert "cannot be resumed, because these have changed: packages; begin a new run" in err
