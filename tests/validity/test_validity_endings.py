"""However a run ends, it says why in a line or two, leaves nothing running and spoils nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.bench

_ONE_CELL = ["--schemes", "session", "--stores", "redis", "--replicas", "2", "--blocks", "1", "--duration", "0.5"]


def _in_the_middle(run: subprocess.Popen[str], names: tuple[str, ...]) -> list[psutil.Process]:
    """Wait until servers and generator all run; returns the whole family."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        family = psutil.Process(run.pid).children(recursive=True)
        lines = []
        for process in family:
            try:
                lines.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        if all(any(name in line for line in lines) for name in names):
            return family
        time.sleep(0.02)  # polls, up to the deadline
    pytest.fail(f"the run did not get going: {run.communicate()}")


_ALL = ("haproxy", "valkey", "granian", "locust", "topology.reaper")


def _gone(family: list[psutil.Process], seconds: float) -> None:
    _, alive = psutil.wait_procs(family, timeout=seconds)
    assert not alive, [process.cmdline() for process in alive]


def test_sigkill_in_the_middle_leaves_nothing_and_the_next_run_is_unharmed(bench: Any):
    run = bench.start(*_ONE_CELL, "--duration", "30")
    family = _in_the_middle(run, _ALL)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    _gone(family, 5)
    following = bench.run(*_ONE_CELL)
    assert following.returncode == 0, following.stdout + following.stderr
    assert json.loads((bench.results / "latest" / "run.json").read_text())["finished"]


@pytest.fixture
def heeding() -> Iterator[None]:
    """Signals as a terminal's programs have them: a shell's background jobs, such as pytest may be, ignore some."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heeding")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(number: signal.Signals, bench: Any):
    run = bench.start(*_ONE_CELL, "--duration", "30")
    family = _in_the_middle(run, _ALL)
    run.send_signal(number)
    _, said = run.communicate(timeout=20)
    assert run.returncode == 130
    assert said.startswith("authscale: interrupted; finished trials are kept")
    assert said.count("\n") == 1
    _gone(family, 1)


@pytest.mark.usefixtures("heeding")
def test_a_run_under_nohup_outlives_its_terminal(bench: Any):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    run = bench.start(*_ONE_CELL)
    _in_the_middle(run, _ALL)
    run.send_signal(signal.SIGHUP)
    _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (0, "")


@pytest.mark.parametrize(
    ("victim", "said"),
    [
        ("valkey-server", "authscale: valkey died (signal SIGKILL); its last log lines:\n"),
        ("haproxy", "authscale: haproxy died (signal SIGKILL)"),
        ("locust", "authscale: the generator died (exit status -9)"),
    ],
)
def test_a_component_that_dies_ends_the_run_and_is_named(victim: str, said: str, bench: Any):
    run = bench.start(*_ONE_CELL, "--duration", "30")
    family = _in_the_middle(run, _ALL)
    for process in family:
        if victim in " ".join(process.cmdline()):
            process.kill()
    _, told = run.communicate(timeout=20)
    assert run.returncode == 1
    assert told.startswith(said)
    assert "Traceback" not in told
    _gone(family, 1)


def test_results_that_cannot_be_written(bench: Any):
    bench.results.write_text("a file where the folder should be")
    out = bench.run(*_ONE_CELL)
    assert (out.returncode, out.stderr.count("\n")) == (2, 1)
    assert "cannot be written to (File exists); make it writable, or name another: RESULTS=" in out.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where the mode forbids it")
def test_results_whose_mode_forbids_it(bench: Any, tmp_path: Path):
    tmp_path.chmod(0o500)
    out = bench.run(*_ONE_CELL)
    assert (out.returncode, out.stderr.count("\n")) == (2, 1)
    assert "cannot be written to (Permission denied)" in out.stderr


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk needs root on Linux")
@pytest.mark.parametrize(("size", "status", "said"), [("1m", 2, "the disk is nearly full: this run may need ")])
def test_a_full_disk(size: str, status: int, said: str, bench: Any):
    bench.results.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(bench.results)], check=False)
    if mounted.returncode:
        pytest.skip("this container may not mount")
    try:
        out = bench.run(*_ONE_CELL)
    finally:
        subprocess.run(["umount", str(bench.results)], check=True)
    assert (out.returncode, out.stderr.count("\n")) == (status, 1)
    assert said in out.stderr


def test_a_binary_that_does_not_run(bench: Any, tmp_path: Path):
    broken = tmp_path / "haproxy"
    broken.write_text("#!/bin/sh\necho no such libssl >&2\nexit 127\n")
    broken.chmod(0o755)
    out = bench.run(*_ONE_CELL, env={"AUTHSCALE_HAPROXY": str(broken)})
    assert (out.returncode, out.stderr.count("\n")) == (1, 1)
    assert "does not run on this machine: exit status 127 (no such libssl)" in out.stderr
    assert not bench.results.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--replicas", "four"], "'four' is not a list of whole numbers, such as 1,4"),
        (["--schemes", "sesion"], "scheme 'sesion' is unknown (did you mean 'session'?)"),
        (["--experiment", "slow"], "experiment 'slow' is unknown"),
        (["--rate", "-1"], "rate must be above 0"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(arguments: list[str], said: str, bench: Any):
    out = bench.run(*arguments)
    assert out.returncode == 2
    assert said in out.stderr
    assert out.stderr.startswith("authscale: ")
    assert out.stderr.count("\n") == 1
    assert not bench.results.exists()


def test_too_much_load_is_called_invalid_and_not_measured(bench: Any):
    # far more than one core answers: the figures would be the queue's
    overload = ["--schemes", "control", "--replicas", "1", "--blocks", "1", "--duration", "1", "--warmup", "0"]
    out = bench.run(*overload, "--rate", "60000", "--users", "50")
    assert out.returncode == 0, out.stderr
    (record, _) = [json.loads(path.read_text()) for path in bench.results.glob("latest/trials/1/*/trial.json")]
    assert not record["valid"]
    assert record["dropped"] > 0
    assert record["scheduled"] == record["sent"] + record["dropped"]
    assert record["earlier_attempt"]
