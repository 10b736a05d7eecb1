"""What a link adds to a round trip, measured beside the same round trip without it.

    python -m topology.calibrate_link [RTT_MS ...]

starts a Valkey and a link, and prints what was asked and what was found. Before a trial the same is done with its own
store, by questions that are no work: PING, `version`, an empty query.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from topology.components.link import link, tell
from topology.components.valkey import valkey
from topology.ports import LOOPBACK, free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper

Ask = Callable[[], None]
TOLERANCE_SHARE, TOLERANCE_MS = 0.1, 0.1
_TIMEOUT_S = 5.0
_SPENT_MS, _LEAST, _MOST = 200.0, 7, 101
_ROUNDS = 3
_NEAR_ENOUGH_MS = 0.02
_QUESTIONS = {"memcached": (b"version\r\n", b"\r\n")}
_PING = (b"PING\r\n", b"\r\n")


def off_by_too_much(asked_ms: float, added_ms: float) -> bool:
    """Whether a link is not what was asked for: by more than a tenth, and more than 0.1 ms."""
    return abs(added_ms - asked_ms) > max(TOLERANCE_SHARE * asked_ms, TOLERANCE_MS)


@contextlib.contextmanager
def both(direct: str, through: str) -> Iterator[tuple[Ask, Ask]]:
    """Open a connection to the store at each of two URLs; each result asks once. Raises OSError."""
    with _asking(direct) as near, _asking(through) as far:
        yield near, far


def added_ms(ways: tuple[Ask, Ask], rtt_ms: float) -> float:
    """The median of what the second way takes longer, each question beside one that goes the first way."""
    count = int(max(_LEAST, min(_MOST, _SPENT_MS / max(rtt_ms, 0.1))))
    direct, through = ways
    for ask in (direct, through):  # the first finds everything cold
        ask()
    took = [(_took_ms(direct), _took_ms(through)) for _ in range(count)]
    return statistics.median(far for _, far in took) - statistics.median(near for near, _ in took)


def tune(ways: tuple[Ask, Ask], control: Path, rtt_ms: float) -> float:
    """Shorten the link's delay by what it adds beside it, until the median is right; returns what it adds then, in ms.

    A link cannot be shorter than what its process takes to pass something on.
    """
    delay_ms = rtt_ms / 2
    found = added_ms(ways, rtt_ms)
    for _ in range(_ROUNDS):
        if abs(found - rtt_ms) <= _NEAR_ENOUGH_MS:
            break
        delay_ms = max(0.0, delay_ms - (found - rtt_ms) / 2)
        tell(control, f"delay {round(delay_ms * 1000)}")
        found = added_ms(ways, rtt_ms)
    return found


def _took_ms(ask: Ask) -> float:
    began = time.perf_counter_ns()
    ask()
    return (time.perf_counter_ns() - began) / 1e6


@contextlib.contextmanager
def _asking(url: str) -> Iterator[Ask]:
    address = urlsplit(url)
    if address.scheme == "postgresql":
        with _asking_postgres(url) as ask_postgres:
            yield ask_postgres
        return
    question, end = _QUESTIONS.get(address.scheme, _PING)
    host, _, port = address.netloc.rpartition("@")[2].split(",")[0].partition(":")
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask() -> None:
            connection.sendall(question)
            if not connection.recv(4096).endswith(end):
                raise OSError(f"the store at {host}:{port} did not answer whole")

        yield ask


@contextlib.contextmanager
def _asking_postgres(url: str) -> Iterator[Ask]:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=int(_TIMEOUT_S)) as connection:

            def ask() -> None:
                connection.execute("")

            yield ask
    except psycopg.Error as error:
        raise OSError(f"the store did not answer: {error}") from error


def main(asked: list[str]) -> None:
    """Measure each round trip and print a line for it."""
    print("asked ms   added ms (median)")  # noqa: T201 - the output of a command
    with Reaper() as reaper, contextlib.ExitStack() as stack:
        far, near = free_ports(2)
        control = reaper.folder / f"link-{secrets.token_hex(4)}.sock"
        components = valkey("valkey", far, str(reaper.folder)), link("replica", control, 0, {far: near})
        for component in components:
            each = RunningComponent(component, reaper.folder / f"{component.name}.log", reaper, frozenset())
            stack.callback(each.stop)
            each.wait_ready()
        for text in asked:
            tell(control, f"delay {round(float(text) * 500)}")
            with both(*(f"redis://{LOOPBACK}:{port}" for port in (far, near))) as ways:
                found = tune(ways, control, float(text))
            off = "   off" if off_by_too_much(float(text), found) else ""
            print(f"{text:>8}   {found:.3f}{off}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:] or ["0.3", "0.5", "1", "2", "5", "20"])
