"""The generator: Locust in a process of its own, because importing it patches the process it is in.

Of several workers it is Locust's master, which keeps step with the harness (`conductor`), and the workers of this host;
those of other hosts are started there by hand, and found by the master alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from loadtests import control, remote
from loadtests.experiment import Load
from loadtests.matrix import SCENARIOS
from topology.cpu import pinned, process_cpu_ns
from topology.ports import LOOPBACK, free_ports

_POLL_S = 0.002
_CHECK_S = 0.1
_START_S = 60.0
_END_S = 3.0
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class GeneratorError(RuntimeError):
    """The generator did not start, died or hung; the message has its last log lines."""


class WorkerLostError(GeneratorError):
    """A worker of several was gone before the trial was over, which counts for nothing then; says which and how."""


@dataclass(frozen=True)
class _Locust:
    """A Locust process: what it is called in a message, its log, and what is its own of arguments and environment."""

    name: str
    log: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None


class Generator:
    """Locust under the harness's control; a context manager that leaves nothing running.

    Attributes:
        sample_files: of a generator of one process that one, else one per worker, there when it has finished.
        core_count: how many cores its processes share.

    """

    def __init__(
        self, load: Load, *, seed: object, accounts: int, folder: Path, environment: Mapping[str, str],
        cores: frozenset[int], runtime: Path,
    ) -> None:  # fmt: skip
        self.samples = folder / "samples.parquet"
        self.sample_files = [self.samples]
        if load.spread:
            self.sample_files = [folder / f"samples-{place}.parquet" for place in range(load.every_worker)]
        self.core_count = len(cores) or os.cpu_count() or 1
        self._channel, self._signed_in, self._remote = control.FolderChannel(runtime), False, load.remote_workers > 0
        runtime.mkdir(parents=True)
        argv = [
            *(sys.executable, "-m", "locust", "-f", str(SCENARIOS / f"{load.scenario}.py")),
            *("--loglevel", "WARNING", "--exit-code-on-error", "0"),
        ]
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= {
            "PYTHONPATH": str(SCENARIOS.parents[1]),  # of the harness's own tree, wherever another is installed
            "HOME": str(runtime),  # no ~/.locust.conf changes a benchmark
            # epoll's timeouts are whole milliseconds, select's are microseconds: a request leaves when it is due
            "GEVENT_BACKEND": "select",
            **environment,
        }
        self._locusts = _locusts(load, _load_arguments(load, seed, accounts, self.samples), folder, runtime)
        self._processes: list[subprocess.Popen[bytes]] = []
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        places = sorted(cores)
        for number, each in enumerate(self._locusts):
            # a worker has a core of its own, as long as there are as many; the master shares that of the first
            own = frozenset({places[max(0, number - 1) % len(places)]}) if places and load.spread else cores
            with each.log.open("wb") as log, pinned(own):
                process = subprocess.Popen(
                    [*argv, *each.arguments], env=env | dict(each.environment or {}), cwd=runtime,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._remote and self._processes[0].poll() is None:
            self._processes[0].terminate()  # it ends the workers of other hosts, which would wait for it for a minute
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._processes[0].wait(_END_S)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def cpu_ns(self) -> int:
        """CPU time that its processes on this host have used, ns. Raises OSError when one is gone."""
        return sum(process_cpu_ns(process.pid) for process in self._processes)

    def step(self, signal: str, text: str, until: str, *, within_s: float, check: Callable[[], None]) -> None:
        """Give a signal and wait for the generator's; `check` raises when something else has died meanwhile.

        Raises:
            GeneratorError: it ended, or did not answer within `within_s`.

        """
        self._channel.give(signal, text)
        now = time.monotonic()
        deadline, next_check = now + within_s + _START_S, now
        while not self._channel.given(until):
            now = time.monotonic()
            if now >= next_check:
                check()
                self._check_alive(until)
                next_check = now + _CHECK_S
            if now > deadline:
                raise GeneratorError(f"the generator hung waiting for {until}{_last_lines(self._locusts[0])}")
            time.sleep(_POLL_S)
        self._signed_in = True

    def finish(self) -> dict[str, Any]:
        """Let it write its samples and end; returns what it counted and found.

        That is Locust's own `requests` and `failures`, `measured_from_ns`, `warm_up` (`phases.WarmUp.as_dict`), and
        `workers`, the same of each (`workers.workers_of`), where it was several processes.

        Raises:
            GeneratorError: when it fails at that.

        """
        first, locust = self._processes[0], self._locusts[0]
        self._channel.give(control.FINISH)
        deadline = time.monotonic() + _START_S
        while first.poll() is None:
            self._check_alive(control.COUNTS)
            if time.monotonic() > deadline:
                raise GeneratorError(f"the generator did not end{_last_lines(locust)}")
            time.sleep(_POLL_S)
        self._check_lost(control.COUNTS)
        missing = [path.name for path in self.sample_files if not path.exists()]
        if first.returncode != 0 or missing:
            what = f"exit status {first.returncode}" + (f", no {' '.join(missing)}" if missing else "")
            raise GeneratorError(f"the generator failed ({what}){_last_lines(locust)}")
        counts: dict[str, Any] = json.loads(self._channel.text_of(control.COUNTS))
        return counts

    def _check_alive(self, until: str) -> None:
        if self._channel.given(control.COUNTS):  # they may end now
            return
        for locust, process in zip(self._locusts, self._processes, strict=True):
            status = process.poll()
            if status is None:
                continue
            self._check_lost(until)  # a master that misses a worker says so, and then ends the others
            if locust is self._locusts[0]:
                raise GeneratorError(f"the generator died (exit status {status}){_last_lines(locust)}")
            self._lose(f"{locust.name} died (exit status {status}) before {until}{_last_lines(locust)}")
        self._check_lost(until)

    def _check_lost(self, until: str) -> None:
        if self._channel.given(control.LOST):
            self._lose(f"{self._channel.text_of(control.LOST)} before {until}")

    def _lose(self, what: str) -> NoReturn:
        """Before all have signed in it is a generator that cannot start, as one of one process."""
        raise WorkerLostError(what) if self._signed_in else GeneratorError(what)


def _load_arguments(load: Load, seed: object, accounts: int, samples: Path) -> list[str]:
    """Of the process that says what is sent: the only one, or the master, which tells its workers."""
    return [
        *("--headless", "--only-summary", "--host", "http://set-by-the-harness"),
        *("-u", str(load.users), "-r", str(load.users)),
        *("--rate", str(load.rate_rps), "--ramp-to", str(load.ramp_to_rps), "--steps", str(load.steps)),
        *("--model", load.model, "--think", str(load.think_s), "--max-in-flight", str(load.max_in_flight)),
        *("--warm-up", str(load.warm_up_s), "--warm-up-max", str(load.warm_up_max_s)),
        *("--duration", str(load.duration_s), "--arrivals", load.arrivals, "--arrival-seed", repr(seed)),
        *("--accounts", str(accounts), "--samples", str(samples)),
        *("--client", load.client),
    ]


def _locusts(load: Load, arguments: list[str], folder: Path, runtime: Path) -> list[_Locust]:
    """The processes of this host, the one that keeps step with the harness first."""
    in_step = {control.VARIABLE: str(runtime)}
    first = folder / "logs" / "locust.log"
    if not load.spread:
        return [_Locust("the generator", first, arguments, in_step)]
    address, port = remote.address() if load.remote_workers else (LOOPBACK, free_ports(1)[0])
    listens = ["--master", "--master-bind-host", address, "--master-bind-port", str(port)]
    listens += ["--expect-workers", str(load.every_worker), "--expect-workers-max-wait", str(round(_START_S))]
    joins = ["--worker", "--master-host", address, "--master-port", str(port)]
    workers = [
        _Locust(
            f"local worker {number} of {load.workers}", folder / "logs" / f"locust-worker-{number}.log", joins,
            {control.SAMPLES_VARIABLE: str(folder)},
        )
        for number in range(1, load.workers + 1)
    ]  # fmt: skip
    return [_Locust("the master", first, [*arguments, *listens], in_step), *workers]


def _last_lines(locust: _Locust) -> str:
    lines = locust.log.read_text(errors="replace").splitlines()[-8:]
    return "; its last log lines:\n  " + "\n  ".join(lines) if lines else "; it logged nothing"
