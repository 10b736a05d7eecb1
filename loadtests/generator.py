"""The generator process: Locust in a process of its own, because importing it patches the process it is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtests import control
from loadtests.experiment import Load
from loadtests.matrix import SCENARIOS
from topology.cpu import pinned, process_cpu_ns

_POLL_S = 0.002
_CHECK_S = 0.1
_START_S = 60.0
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class GeneratorError(RuntimeError):
    """The generator did not start, died or hung; the message has its last log lines."""


class Generator:
    """One Locust process under the harness's control; a context manager that leaves nothing running."""

    def __init__(
        self, load: Load, *, seed: object, accounts: int, folder: Path, environment: Mapping[str, str],
        cores: frozenset[int], runtime: Path,
    ) -> None:  # fmt: skip
        self.samples = folder / "samples.parquet"
        self._log = folder / "logs" / "locust.log"
        self._control = runtime
        runtime.mkdir(parents=True)
        argv = [
            *(sys.executable, "-m", "locust", "-f", str(SCENARIOS / f"{load.scenario}.py")),
            *("--headless", "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"),
            *("--host", "http://set-by-the-harness", "-u", str(load.users), "-r", str(load.users)),
            *("--rate", str(load.rate_rps), "--ramp-to", str(load.ramp_to_rps), "--steps", str(load.steps)),
            *("--model", load.model, "--think", str(load.think_s), "--max-in-flight", str(load.max_in_flight)),
            *("--warm-up", str(load.warm_up_s), "--warm-up-max", str(load.warm_up_max_s)),
            *("--duration", str(load.duration_s), "--arrivals", load.arrivals, "--arrival-seed", repr(seed)),
            *("--accounts", str(accounts), "--samples", str(self.samples)),
            *("--client", load.client),
        ]
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= {
            control.VARIABLE: str(runtime),
            "PYTHONPATH": str(SCENARIOS.parents[1]),  # of the harness's own tree, wherever another is installed
            "HOME": str(runtime),  # no ~/.locust.conf changes a benchmark
            # epoll's timeouts are whole milliseconds, select's are microseconds: a request leaves when it is due
            "GEVENT_BACKEND": "select",
            **environment,
        }
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log, pinned(cores):
            self._process = subprocess.Popen(
                argv, env=env, cwd=runtime, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def cpu_ns(self) -> int:
        """CPU time it has used, ns."""
        return process_cpu_ns(self._process.pid)

    def step(self, signal: str, text: str, until: str, *, within_s: float, check: Callable[[], None]) -> None:
        """Give a signal and wait for the generator's; `check` raises when something else has died meanwhile.

        Raises:
            GeneratorError: it ended, or did not answer within `within_s`.

        """
        control.give(self._control, signal, text)
        now = time.monotonic()
        deadline, next_check = now + within_s + _START_S, now
        while not control.given(self._control, until):
            now = time.monotonic()
            if now >= next_check:
                check()
                self._check_alive()
                next_check = now + _CHECK_S
            if now > deadline:
                raise GeneratorError(f"the generator hung waiting for {until}{self._last_lines()}")
            time.sleep(_POLL_S)

    def finish(self) -> dict[str, Any]:
        """Let it write its samples and end; returns what it counted and found.

        That is Locust's own `requests` and `failures`, `measured_from_ns`, and `warm_up` (`phases.WarmUp.as_dict`).

        Raises:
            GeneratorError: when it fails at that.

        """
        control.give(self._control, control.FINISH)
        try:
            status = self._process.wait(_START_S)
        except subprocess.TimeoutExpired as error:
            raise GeneratorError(f"the generator did not end{self._last_lines()}") from error
        if status != 0 or not self.samples.exists():
            raise GeneratorError(f"the generator failed (exit status {status}){self._last_lines()}")
        counts: dict[str, Any] = json.loads(control.text_of(self._control, control.COUNTS))
        return counts

    def _check_alive(self) -> None:
        status = self._process.poll()
        if status is not None:
            raise GeneratorError(f"the generator died (exit status {status}){self._last_lines()}")

    def _last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-8:]
        return "; its last log lines:\n  " + "\n  ".join(lines) if lines else "; it logged nothing"
