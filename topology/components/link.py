"""The link of one replica to its store, as a component; what it does is `topology.link`."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from servers.options import Option
from topology.components.component import Component

RTT = Option(
    "store_rtt_ms", "", "0", "ms of round trip between each replica and the store; 0 for no link", low=0, high=100,
    places=3,
)  # fmt: skip
_TIMEOUT_S = 5.0


def link_name(replica: str) -> str:
    """The name of a replica's link."""
    return f"link-{replica}"


def link(replica: str, control: Path, delay_us: int, ports: Mapping[int, int]) -> Component:
    """One process; `ports` are those of the store's servers, and the port that leads to each."""
    pairs = [f"{near}:{far}" for far, near in ports.items()]
    return Component(
        name=link_name(replica),
        kind="link",
        # no site-packages: it imports the standard library alone, and starts sooner
        argv=(
            sys.executable,
            "-S",
            "-P",
            str(Path(__file__).parents[1] / "link.py"),
            str(control),
            str(delay_us),
            *pairs,
        ),
        port=next(iter(ports.values())),
        probe=partial(_answers, control),
        env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
        stop_timeout_s=1.0,
    )


def tell(control: Path, command: str) -> dict[str, Any]:
    """Give one command to the link that listens at `control`; returns what it answered. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(str(control))
        connection.sendall(command.encode())
        answer: dict[str, Any] = json.loads(connection.recv(1 << 16) or b'{"error": "it ended"}')
    if "error" in answer:
        raise OSError(f"the link at {control.name} did not do {command!r}: {answer['error']}")
    return answer


def _answers(control: Path) -> bool:
    return "cut" in tell(control, "stats")
