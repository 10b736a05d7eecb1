"""A part of a running topology, whether it is a process or a container: what can be asked of it and done to it."""

from __future__ import annotations

from typing import Protocol

from topology.components.component import Component
from topology.cpu import Usage
from topology.quota import Throttling


class PartGroup(Protocol):
    """The control group in which a part has a quota of CPU."""

    def limit(self) -> None:
        """Let the quota hold from now on."""

    def lift(self) -> None:
        """No quota until the next `limit`."""

    def known(self) -> Throttling | None:
        """What the kernel counted of all its incarnations; None where the quota does not hold any more."""


class Part(Protocol):
    """See `topology.process.RunningComponent`, which is one; `topology.compose.container.Container` is the other.

    Attributes:
        component: what it is; of a container that was started again, with its new port.
        down: whether it was stopped or killed by us, and not started again.

    """

    component: Component
    down: bool

    @property
    def group(self) -> PartGroup | None:
        """Where it has a quota; None without one."""

    @property
    def pid(self) -> int:
        """Of its first process."""

    def wait_ready(self) -> None:
        """Return once its probe answers. Raises ComponentError."""

    def check(self) -> None:
        """Raise ComponentError if it has ended."""

    def usage(self) -> Usage:
        """CPU of all its incarnations and memory now. Raises ComponentError if it has ended by itself."""

    def kill(self) -> None:
        """End all of it at one stroke."""

    def stop(self) -> None:
        """End it in order."""

    def start_again(self) -> None:
        """Start the same once more. Raises ComponentError."""

    def freeze(self) -> None:
        """Stop it where it is. Raises ComponentError if it has ended."""

    def thaw(self) -> None:
        """Let it go on, if it was frozen."""
