"""Does a fault's steps to running servers while the load goes on, and writes down when each began and was done."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from loadtests.fault_cases import Step
from topology.local import RunningTopology
from topology.process import ComponentError


@dataclass(frozen=True)
class Done:
    """A step that was taken; times in ns of time.monotonic_ns, which the generator's samples have, too."""

    verb: str
    component: str
    began_ns: int
    done_ns: int

    def as_dict(self) -> dict[str, Any]:
        """For trial.json."""
        return asdict(self)


class Script:
    """The steps in a thread of their own; a context manager that leaves none waiting.

    A component that does not come back ends the script, and is told in `failure`: it is what the trial found.
    """

    def __init__(self, steps: Sequence[Step], servers: RunningTopology) -> None:
        self.done: list[Done] = []
        self.failure = ""
        self._steps, self._servers = steps, servers
        self._began_s = 0.0
        self._error: Exception | None = None
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._take_all, name="faults", daemon=True)

    def __enter__(self) -> Self:
        """Steps count from here."""
        self._began_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._given_up.set()
        self._thread.join()

    def wait(self) -> None:
        """Return when the last step is done, or one has failed. Raises what no step should have raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _take_all(self) -> None:
        for step in self._steps:
            if self._given_up.wait(max(0.0, self._began_s + step.at_s - time.monotonic())):
                return
            began_ns = time.monotonic_ns()
            try:
                getattr(self._servers, step.verb)(step.component)  # a verb is a method's name
            except (ComponentError, OSError) as error:
                self.failure = f"{step.verb} {step.component}: {error}"
                return
            except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to: `wait` does
                self._error = error
                return
            self.done.append(Done(step.verb, step.component, began_ns, time.monotonic_ns()))
