"""What the postgres service of docker-compose.yml runs, as it stands there, with a real PostgreSQL and no container."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from topology import binaries
from topology.components.postgres import Counters, _let_through, _user, _within_reach, answers
from topology.ports import free_ports
from topology.reaper import Reaper

SECRET = "f00dfeed"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where PostgreSQL's user can come."""
    with Reaper() as reaper:
        yield reaper.folder


class Server:
    """The service's command; started as root it runs as PostgreSQL's own user, as the service does."""

    def __init__(self, service: dict[str, Any], folder: Path) -> None:
        user = _user()
        binary = _within_reach(folder, user)
        data, password = folder / "data", folder / "password"
        data.mkdir(exist_ok=True)
        if user:
            _let_through(folder)
            os.chown(data, user.pw_uid, user.pw_gid)
        data.chmod(0o700)
        password.write_text(SECRET)
        self.port = free_ports(1)[0]
        # of the container: every address, and its own port
        here = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-c", "max_connections=20"]
        argv = [word.replace("$$", "$") for word in service["command"]]
        given = {"PGDATA": str(data), "PASSWORD_FILE": str(password), "PATH": f"{binary.parent}:{os.environ['PATH']}"}
        self.process = subprocess.Popen(
            [*argv, *here],
            env={**service["environment"], **given},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **({} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}),
        )

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=20)[1]


def _connect(port: int, user: str, password: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host="127.0.0.1", port=port, user=user, password=password, dbname="postgres", autocommit=True
    )


def test_the_service_makes_a_server_that_replicas_can_use_and_nobody_else(
    files: dict[str, Any], folder: Path, until: Any
) -> None:
    binaries.find("postgres")
    server = Server(files["services"]["postgres"], folder)
    try:
        until(lambda: answers(server.port))
        with _connect(server.port, "authscale", SECRET) as replica:
            replica.execute("CREATE TABLE kept (word TEXT)")
            replica.execute("INSERT INTO kept VALUES ('still here')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                replica.execute("CREATE ROLE other")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            _connect(server.port, "authscale", "guess")
        rules = (folder / "data/authscale/pg_hba.conf").read_text().splitlines()
        assert "host all all all scram-sha-256" in rules, "from another container"
        assert not [rule for rule in rules if rule.endswith("trust")]
        assert Counters(server.port, SECRET)().commands["insert"] == 1
    finally:
        said = server.end()
    again = Server(files["services"]["postgres"], folder)
    try:
        until(lambda: answers(again.port))
        with _connect(again.port, "authscale", SECRET) as replica:
            assert replica.execute("SELECT word FROM kept").fetchall() == [("still here",)]
    finally:
        said += again.end()
    assert SECRET not in said.replace(str(folder), "")
