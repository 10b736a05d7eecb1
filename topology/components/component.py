"""What a launcher needs to know to start a component, and nothing about how it starts it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["store", "replica", "balancer", "link"]


@dataclass(frozen=True)
class Component:
    """A frozen description of one server.

    `probe` raises OSError (or answers False) until the component serves; the launcher calls it until it answers
    True or `start_timeout_s` has passed: readiness is the probe, never a sleep.
    """

    name: str
    kind: Kind
    argv: tuple[str, ...]
    port: int
    probe: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 5.0
    stop_signal: signal.Signals = signal.SIGTERM  # what makes it end at once and in order
