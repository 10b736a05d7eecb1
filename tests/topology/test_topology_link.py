"""A link delays and does nothing else, can be cut and healed, and each store that is far away is reached through it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers import stores
from servers.session_store import Session, Store, StoreUnavailableError
from topology import binaries
from topology.components.link import link, tell
from topology.local import Accounts, RunningTopology, running
from topology.ports import LOOPBACK, free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper
from topology.spec import SpecError, Topology, option_names

# times are asserted, so nothing else may run beside
pytestmark = pytest.mark.bench
_DELAY_S = 0.03
_IDLE_S = 600


class Echo:
    """Sends back what it hears, and counts who came."""

    def __init__(self) -> None:
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.heard = b""
        self.ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionResetError):
            while octets := connection.recv(1 << 16):
                self.heard += octets
                connection.sendall(octets)
        self.ended.set()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.listener.close()


@pytest.fixture
def linked(echo: Echo, reaper: Reaper, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a link to the echo, 30 ms away in each direction, and its control socket."""
    (port,), control = free_ports(1), reaper.folder / "link.sock"
    component = link("replica-0", control, round(_DELAY_S * 1e6), {echo.port: port})
    started = RunningComponent(component, tmp_path / "log", reaper, frozenset())
    started.wait_ready()
    yield port, control
    started.stop()


def _connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=5)


def _read(connection: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        read += connection.recv(1 << 16)
    return read


def _asked(connection: socket.socket, octets: bytes) -> float:
    began = time.monotonic()
    connection.sendall(octets)
    assert _read(connection, len(octets)) == octets
    return time.monotonic() - began


def test_a_round_trip_takes_twice_the_delay_and_a_new_connection_one_more(linked: tuple[int, Path]):
    with _connect(linked[0]) as connection:
        assert _asked(connection, b"first") >= 0.95 * 4 * _DELAY_S  # as a handshake over the link would have taken
        took = [_asked(connection, b"again") for _ in range(5)]
        assert all(each >= 0.95 * 2 * _DELAY_S for each in took)
        assert min(took) < 4 * _DELAY_S


def test_what_is_sent_at_once_arrives_at_once_in_order(linked: tuple[int, Path]):
    with _connect(linked[0]) as connection:
        _asked(connection, b"first")
        began = time.monotonic()
        sent = b""
        for number in range(100):
            part = f"{number:05}".encode()
            connection.sendall(part)
            sent += part
        assert _read(connection, len(sent)) == sent
        assert time.monotonic() - began < 20 * _DELAY_S  # one after the other they would take 200


def test_much_passes_whole_and_the_end_comes_last(linked: tuple[int, Path], echo: Echo):
    sent = bytes(range(256)) * 8192
    with _connect(linked[0]) as connection:
        threading.Thread(target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR))).start()
        assert _read(connection, len(sent)) == sent
        assert connection.recv(1) == b""
    assert echo.ended.wait(5)
    assert echo.heard == sent


def test_a_cut_holds_and_a_heal_delivers(linked: tuple[int, Path], echo: Echo):
    port, control = linked
    with _connect(port) as old:
        _asked(old, b"first")
        tell(control, "cut")
        old.sendall(b"held")
        old.settimeout(6 * _DELAY_S)
        with pytest.raises(TimeoutError):
            old.recv(1)
        with _connect(port) as new:
            new.sendall(b"new")
            new.settimeout(6 * _DELAY_S)
            with pytest.raises(TimeoutError):
                new.recv(1)
            assert echo.heard == b"first"
            tell(control, "heal")
            for each, said in ((old, b"held"), (new, b"new")):
                each.settimeout(5)
                assert _read(each, len(said)) == said


def test_a_refusal_resets_and_refuses_until_it_is_healed(linked: tuple[int, Path]):
    port, control = linked
    with _connect(port) as old:
        _asked(old, b"first")
        tell(control, "refuse")
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _connect(port)
    tell(control, "heal")
    with _connect(port) as new:
        _asked(new, b"new")
    assert tell(control, "stats")["cut"] is False
    with pytest.raises(OSError, match="unknown: cute"):
        tell(control, "cute")


def _until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)  # polls a condition, up to a deadline


def _session(id_: str) -> Session:
    now = time.time()
    return Session(id_, "somebody", "user", now, now, now + 3600, "127.0.0.1", "test")


def _loads(store: Store) -> bool:
    try:
        return store.load("a" * 43, _IDLE_S) is not None
    except StoreUnavailableError:
        return False


def _is_missing(needs: str) -> bool:
    try:
        binaries.find(needs)
    except binaries.BinaryError:
        return True
    return False


def _store(servers: RunningTopology, replica: str) -> Store:
    return stores.open_store(servers.links.urls[replica], 500)


@pytest.mark.parametrize(
    ("kind", "lookups"),
    [
        ("redis", 1),
        ("redis-cluster", 1),
        ("postgres", 1),
        ("replicated", 1),  # the copy is near, and sliding the limit is asked of the primary
        pytest.param(
            "memcached", 1, marks=pytest.mark.skipif(_is_missing("memcached"), reason="there is no memcached here")
        ),
    ],
)
def test_a_store_is_reached_through_the_link_of_each_replica(
    accounts: Accounts, reaper: Reaper, tmp_path: Path, kind: str, lookups: int
):
    topology = Topology("session", kind, 2, options={"store_rtt_ms": "10"})
    with running(topology, accounts, logs=tmp_path, reaper=reaper) as servers:
        assert servers.kinds()["link-replica-1"] == "link"
        assert all(added > 7 for added in servers.links.added_ms().values())
        first, second = _store(servers, "replica-0"), _store(servers, "replica-1")
        first.create(_session("a" * 43), _IDLE_S)
        _until(lambda: _loads(second), "the other replica does not have it")
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert _loads(first)
            took.append(time.monotonic() - began)
        assert min(took) > 0.007 * lookups  # once for each round trip
        servers.cut("replica-0")
        assert not _loads(first)
        assert _loads(second)  # the others' links are their own
        servers.heal("replica-0")
        _until(lambda: _loads(first), "it did not heal")
        servers.kill("link-replica-0")
        assert not _loads(first)
        servers.restart("link-replica-0")
        _until(lambda: _loads(first), "the link did not come back")
        with pytest.raises(SpecError, match="replica with a link 'replica-9' is unknown"):
            servers.cut("replica-9")


def test_where_nothing_is_far_away_there_is_no_link(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    assert "store_rtt_ms" not in option_names("session", "memory")
    with running(Topology("session", "redis", 1), accounts, logs=tmp_path, reaper=reaper) as servers:
        assert "link" not in servers.kinds().values()
        with pytest.raises(SpecError, match="no link to the store that could be cut: give the topology a store_rtt_ms"):
            servers.cut("replica-0")
