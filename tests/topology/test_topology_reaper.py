"""Nothing outlives a harness, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from topology import reaper

# A harness with a child in another session, and that child's own child: what process groups do not reach.
_HARNESS = """
import subprocess, sys, time
from topology.reaper import Reaper
with Reaper() as reaper:
    import os
    nap = "import time; time.sleep(60)"
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{nap}']); {nap}"
    subprocess.Popen([sys.executable, "-c", child], env={**os.environ, **reaper.environment}, start_new_session=True)
    print(reaper.folder, *reaper.environment.values(), flush=True)
    sys.stdin.read()
"""


def _until(condition, what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)  # polls a condition, up to a deadline


def _start() -> tuple[subprocess.Popen[str], Path, str]:
    harness = subprocess.Popen(
        [sys.executable, "-c", _HARNESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    folder, marker = harness.stdout.readline().split()
    _until(lambda: len(reaper._marked(marker)) == 2, "the child and grandchild did not start")
    return harness, Path(folder), marker


def _close(harness: subprocess.Popen[str]) -> None:
    harness.wait(10)
    harness.stdin.close()
    harness.stdout.close()


def test_a_killed_harness_leaves_no_process_and_no_folder():
    harness, folder, marker = _start()
    assert folder.is_dir()
    os.kill(harness.pid, signal.SIGKILL)
    _until(lambda: not reaper._marked(marker), "processes outlived a SIGKILL of their harness", 5)
    _until(lambda: not folder.exists(), "the runtime folder was left", 5)
    _close(harness)


def test_a_harness_that_ends_well_takes_all_with_it():
    harness, folder, marker = _start()
    harness.stdin.close()
    harness.wait(10)
    harness.stdout.close()
    assert not reaper._marked(marker)
    assert not folder.exists()


def test_the_reaper_itself_ends_with_its_harness():
    before = {process.pid for process in psutil.Process().children()}
    with reaper.Reaper():
        (own,) = {process.pid for process in psutil.Process().children()} - before
    assert not psutil.pid_exists(own)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_reaper_do_not_disarm_it(number: signal.Signals):
    harness, _, marker = _start()
    (guard,) = [each for each in psutil.Process(harness.pid).children() if "topology.reaper" in each.cmdline()]
    _until(lambda: guard.status() == psutil.STATUS_SLEEPING, "the reaper did not start")
    guard.send_signal(number)
    os.kill(harness.pid, signal.SIGKILL)
    _until(lambda: not reaper._marked(marker), "a signalled reaper forgot its duty", 5)
    _close(harness)


def test_a_process_that_overwrote_its_environment_is_ended_too():
    with reaper.Reaper() as context:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        context.note(child.pid)
    assert not psutil.pid_exists(child.pid)
    child.wait(5)


def test_a_later_process_with_the_same_id_is_left_alone():
    with reaper.Reaper() as context:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (context.folder / f"process-{child.pid}").write_text("1.0")
    assert child.poll() is None
    child.kill()
    child.wait(5)


@pytest.mark.parametrize("number", [signal.SIGKILL, None])
def test_what_is_no_process_of_ours_is_ended_by_its_command(number: signal.Signals | None, tmp_path: Path):
    harness = """
import sys
from pathlib import Path
from topology.reaper import Reaper
with Reaper() as reaper:
    reaper.note_end(["touch", sys.argv[1]])
    reaper.note_end(["touch", sys.argv[2]]).unlink()
    reaper.note_end(["no-such-command"])
    print(flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", harness, str(tmp_path / "ended"), str(tmp_path / "was over")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    if number:
        os.kill(process.pid, number)
    else:
        process.stdin.close()
    _until((tmp_path / "ended").exists, "the command was not run", 10)
    assert process.wait(10) == (0 if number is None else -number)
    assert not (tmp_path / "was over").exists()
    process.stdin.close()
    process.stdout.close()
