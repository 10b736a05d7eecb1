"""What the counters of a Valkey say, against what was sent to it octet by octet."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from topology.components.valkey import Counters, valkey
from topology.ports import free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper


@contextlib.contextmanager
def started(reaper: Reaper, folder: Path, *arguments: str) -> Iterator[int]:
    (port,) = free_ports(1)
    running = RunningComponent(
        valkey("valkey", port, str(folder), *arguments), folder / f"{port}.log", reaper, frozenset()
    )
    try:
        running.wait_ready()
        yield port
    finally:
        running.stop()


@pytest.fixture
def port(reaper: Reaper, tmp_path: Path) -> Iterator[int]:
    with started(reaper, tmp_path, "--repl-diskless-sync-delay", "0") as port:
        yield port


@pytest.fixture
def link(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        yield link


def exchange(link: socket.socket, asked: bytes, answer: bytes) -> None:
    link.sendall(asked)
    received = b""
    while len(received) < len(answer):
        received += link.recv(65536)
    assert received == answer


def test_readings_do_not_show(port: int) -> None:
    counters = Counters(port)
    first = counters()
    for _ in range(5):
        counters.replication()
        since = counters().since(first)
        assert (since.bytes_in, since.bytes_out, since.commands) == (0, 0, {})


@pytest.mark.parametrize(
    ("asked", "answer", "commands"),
    [
        (b"SET a b\r\n", b"+OK\r\n", {"set": 1}),
        (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"$-1\r\n", {"get": 1}),
        (b"MULTI\r\nSET a b\r\nGET a\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\nb\r\n",
         {"multi": 1, "set": 1, "get": 1, "exec": 1}),
        (b"SET a " + b"x" * 100_000 + b"\r\nGET a\r\n", b"+OK\r\n$100000\r\n" + b"x" * 100_000 + b"\r\n",
         {"set": 1, "get": 1}),
    ],
    ids=["set", "get", "transaction", "large"],
)  # fmt: skip
def test_octets_of_an_exchange_are_counted_one_by_one(
    port: int, link: socket.socket, asked: bytes, answer: bytes, commands: dict[str, int]
) -> None:
    if len(asked) > 65536:
        asked = asked.replace(b"SET a " + b"x" * 100_000, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n" + b"x" * 100_000)
    counters = Counters(port)
    before = counters()
    exchange(link, asked, answer)
    since = counters().since(before)
    assert (since.bytes_in, since.bytes_out, since.commands) == (len(asked), len(answer), commands)


def test_a_thousand_exchanges_between_readings(port: int, link: socket.socket) -> None:
    counters = Counters(port)
    before = counters()
    for number in range(1000):
        exchange(link, b"INCR n\r\n", b":%d\r\n" % (number + 1))
        if number % 100 == 0:
            counters()
    since = counters().since(before)
    assert (since.bytes_in, since.bytes_out) == (8000, 9 * 4 + 90 * 5 + 900 * 6 + 7)
    assert since.commands == {"incr": 1000}


def test_what_replication_sends_does_not_show(reaper: Reaper, tmp_path: Path, port: int, link: socket.socket) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    primary = Counters(port)
    with started(reaper, folder, "--replicaof", f"127.0.0.1 {port}") as copy_port:
        copy = Counters(copy_port)
        while copy.replication()["master_link_status"] != "up":
            pass
        before, copy_before = primary(), copy()
        exchange(link, b"SET a b\r\n", b"+OK\r\n")
        # the copy acknowledges every second; the primary says how far it has
        while f"offset={primary.replication()['master_repl_offset']}," not in primary.replication().get("slave0", ""):
            assert copy.replication()["master_link_status"] == "up"
        since, copy_since = primary().since(before), copy().since(copy_before)
    assert (since.bytes_in, since.bytes_out, since.commands) == (9, 5, {"set": 1})
    assert (copy_since.bytes_in, copy_since.bytes_out, copy_since.commands) == (0, 0, {"set": 1})
