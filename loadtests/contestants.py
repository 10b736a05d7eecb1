"""What `loadtests.bench_generator` compares: each is told to run one window after the other."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow.parquet as pq

from loadtests import samples
from topology.cpu import pinned

_ANSWER_S = 30.0
_ROOT = Path(__file__).parent.parent
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_MOST_RPS = 1_000_000  # what wrk2, which always has a rate, cannot reach
# wrk hands its totals to this function (its README, "done"); without a request function the script costs it nothing
_WRK_DONE = """\
done = function(summary, latency, requests)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.stderr:write(string.format('{"requests": %d, "wall_us": %d, "p50_us": %.1f, "p99_us": %.1f, "failures": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failures))
end
"""


class ContestantError(RuntimeError):
    """A contestant died or answered wrongly; the message has its last log lines."""


@dataclass(frozen=True)
class Course:
    """What is the same for all: server, users (or connections), the rate of open windows, cores, a folder for files."""

    url: str
    users: int
    rate_rps: float
    cores: frozenset[int]
    folder: Path


@dataclass(frozen=True)
class Window:
    """What one contestant did in one window.

    Latencies and lateness in ms, in open windows alone; wrk2 tells `quantiles_ms` of its own and no lateness.
    """

    requests: int
    cpu_ns: int
    wall_ns: int
    latencies_ms: tuple[float, ...] = ()
    lateness_ms: tuple[float, ...] = ()
    quantiles_ms: Mapping[float, float] = field(default_factory=dict)
    write_ns_per_sample: float | None = None

    def latency_ms(self, quantile: float) -> float:
        """A quantile of the latencies."""
        return self.quantiles_ms.get(quantile) or float(np.quantile(self.latencies_ms, quantile))

    @property
    def lateness_p99_ms(self) -> float:
        """The generator's own delay; a schedule that ran early counts as punctual."""
        return max(0.0, float(np.quantile(self.lateness_ms, 0.99)))

    @property
    def rps_per_core(self) -> float:
        """Requests per second of CPU time that the generator used."""
        return self.requests / (self.cpu_ns / 1e9)

    @property
    def rps(self) -> float:
        """Requests per second of wall time."""
        return self.requests / (self.wall_ns / 1e9)


class LocustContestant:
    """A Locust process (see `loadtests.bench_users`) on the generator's cores; a context manager."""

    def __init__(self, name: str, model: str, course: Course, environment: Mapping[str, str]) -> None:
        self.name, self.model = name, model
        self._log = course.folder / f"{name}-{model}.log"
        self._samples = course.folder / f"{name}-{model}.parquet"
        ours, theirs = socket.socketpair()
        argv = [
            *(sys.executable, "-m", "loadtests.bench_users", name, model, course.url, str(theirs.fileno())),
            *(str(course.users), str(course.rate_rps), str(self._samples)),
        ]
        env = {each: os.environ[each] for each in _PASSED_ON if each in os.environ} | {"HOME": str(course.folder)}
        if name == "lean":
            env["GEVENT_BACKEND"] = (
                "select"  # as in every trial (see loadtests.generator); stock Locust has its default
            )
        with theirs, self._log.open("wb") as log, pinned(course.cores):
            self._process = subprocess.Popen(
                argv, env=env | dict(environment), cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        ours.settimeout(_ANSWER_S)
        self._socket = ours
        self._stream = ours.makefile("rw")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()  # ends its loop
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_ready(self) -> None:
        """Return when it has started. Raises ContestantError."""
        self._answer()

    def window(self, warm_up_s: float, window_s: float) -> Window:
        """Run one window. Raises ContestantError when it fails, or any request does."""
        try:
            self._stream.write(json.dumps({"warm_up_s": warm_up_s, "window_s": window_s}) + "\n")
            self._stream.flush()
        except OSError as error:
            raise ContestantError(f"{self.name} ({self.model}) died{self._last_lines()}") from error
        found = json.loads(self._answer())
        if found["failures"] or not found["requests"]:
            raise ContestantError(
                f"{self.name} ({self.model}): {found['failures']} of {found['requests']} requests failed"
                f"{self._last_lines()}"
            )
        window = Window(
            found["requests"], found["cpu_ns"], found["wall_ns"],
            tuple(found.get("latencies_ms", ())), tuple(found.get("lateness_ms", ())),
        )  # fmt: skip
        return self._with_samples(window, found) if "recorded" in found else window

    def _with_samples(self, window: Window, found: dict[str, Any]) -> Window:
        if found["recorded"] != found["counted"]:
            raise ContestantError(
                f"{self.name} recorded {found['recorded']} samples of {found['counted']} requests that Locust counted"
            )
        table = pq.read_table(self._samples).to_pandas()
        within = table["started_ns"].between(found["start_ns"], found["end_ns"], inclusive="left")
        sent = table[within & (table["outcome"] != samples.DROPPED)]
        busy = sent["user_was_busy"]
        response_ns = sent["ended_ns"] - sent["due_ns"].where(busy, sent["started_ns"])
        is_open = self.model == "open"
        return Window(
            window.requests, window.cpu_ns, window.wall_ns,
            tuple(response_ns / 1e6) if is_open else (),
            tuple((sent["started_ns"] - sent["due_ns"])[~busy] / 1e6) if is_open else (),
            write_ns_per_sample=found["write_ns"] / found["recorded"],
        )  # fmt: skip

    def _answer(self) -> str:
        try:
            line = self._stream.readline()
        except TimeoutError as error:
            raise ContestantError(f"{self.name} ({self.model}) hung{self._last_lines()}") from error
        except OSError:
            line = ""
        if not line:
            raise ContestantError(f"{self.name} ({self.model}) died{self._last_lines()}")
        return line

    def _last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-3:]
        return "; it logged last: " + " | ".join(lines) if lines else "; it logged nothing"


class Wrk:
    """wrk, or wrk2 which always has a rate: one thread on the generator's cores, a new process for each window."""

    def __init__(self, name: str, model: str, course: Course) -> None:
        self.name, self.model = name, model
        self._cores = course.cores
        script = course.folder / "done.lua"
        script.write_text(_WRK_DONE)
        self._paced = name == "wrk2"
        paced = ["-R", str(round(course.rate_rps if model == "open" else _MOST_RPS))] if self._paced else []
        self._argv = [name, "-t", "1", "-c", str(course.users), *paced, "-s", str(script), f"{course.url}/me"]

    def window(self, warm_up_s: float, window_s: float) -> Window:  # noqa: ARG002 - it has no warm-up, and needs none
        """Run one window, of whole seconds as wrk has it. Raises ContestantError."""
        argv = [self._argv[0], "-d", f"{max(1, round(window_s))}s", *self._argv[1:]]
        with pinned(self._cores):
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        with process:
            err = process.stderr.read().decode(errors="replace") if process.stderr else ""
            _, status, used = os.wait4(process.pid, 0)  # with what it used of the CPU, which Popen does not tell
            process.returncode = os.waitstatus_to_exitcode(status)
        try:
            found = json.loads(err.splitlines()[-1])
        except (IndexError, ValueError) as error:
            raise ContestantError(
                f"{self.name} failed (exit status {process.returncode}): {err.strip()[-200:]}"
            ) from error
        if found["failures"] or not found["requests"]:
            raise ContestantError(f"{self.name}: {found['failures']} of {found['requests']} requests failed")
        quantiles = {0.5: found["p50_us"] / 1e3, 0.99: found["p99_us"] / 1e3}
        cpu_ns = round((used.ru_utime + used.ru_stime) * 1e9)
        return Window(found["requests"], cpu_ns, found["wall_us"] * 1000, quantiles_ms=quantiles if self._paced else {})


def wrk_version(name: str) -> str:
    """What it calls itself in the first line of its help, for which it has an exit status of its own."""
    out = subprocess.run([name, "-v"], capture_output=True, text=True, timeout=_ANSWER_S, check=False).stdout
    return out.split("\n", 1)[0].removeprefix("wrk").split("[")[0].strip()
