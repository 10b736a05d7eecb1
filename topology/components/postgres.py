"""PostgreSQL, the shared store on disk: as it comes (fsync and synchronous_commit on), and counting statements.

Its data folder is made anew for every topology, from a template that is made once per run. As root, which PostgreSQL
refuses to run as, it runs as `nobody`. Sessions' own settings, such as which table is logged, are the store's.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from servers.postgres_connection import UPKEEP
from topology import binaries
from topology.backing import Backing, Ground, StoreCounters, over_lives
from topology.components.component import Component
from topology.ports import LOOPBACK

BINARIES = ("postgres",)

_TIMEOUT_S = 5
_SIGN_IN_S = 30  # a sign-in costs the server milliseconds of CPU, and under a small quota it has few
_INITDB_TIMEOUT_S = 60
_ADMINISTRATOR = "postgres"
_ROLE = "authscale"
_UNPRIVILEGED = "nobody"
_TEMPLATE = "postgres-template"
_PASSWORD = "password"  # noqa: S105 - the name of a file
# Every thread of a replica has a connection, its purge another; 64 threads is the most a replica has.
_CONNECTIONS_PER_REPLICA, _SPARE_CONNECTIONS = 66, 10
# Execs as another user, in the same process: what was started is what is watched and stopped.
_AS_USER = "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1])); "
_AS_USER += "os.execv(sys.argv[3], sys.argv[3:])"
_ADMINISTRATION = {"create", "set", "show", "reset", "discard", "deallocate"}
_COUNTED = """
SELECT query, calls FROM pg_stat_statements
WHERE userid = (SELECT oid FROM pg_roles WHERE rolname = %s) AND calls > 0
"""
_TABLES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relowner = (SELECT oid FROM pg_roles WHERE rolname = %s)
"""


def backing(ground: Ground) -> Backing:
    """One server for all replicas; they sign in as a role that owns nothing but their tables."""
    port = next(ground.ports)
    template = _template(ground.folder.parent)
    password = (template / _PASSWORD).read_text()
    data = ground.folder / "postgres"
    shutil.copytree(template / "data", data)
    user = _user()
    binary = _within_reach(ground.folder.parent, user)
    if user is not None:
        _let_through(ground.folder, ground.folder.parent)
        _give(data, user)
    connections = _CONNECTIONS_PER_REPLICA * len(ground.replicas) + _SPARE_CONNECTIONS
    counters = over_lives(partial(Counters, port, password))
    return Backing(
        (postgres("postgres", binary, port, data, user, connections),),
        dict.fromkeys(ground.replicas, f"postgresql://{_ROLE}:{password}@{LOOPBACK}:{port}/postgres"),
        counters,
        partial(_prepare, port, password),
        lives={"postgres": counters},
        far_ports=(port,),
    )


def postgres(
    name: str, binary: Path, port: int, data: Path, user: pwd.struct_passwd | None, connections: int
) -> Component:
    """One PostgreSQL server on loopback, on a data folder that is there, as `user` or as who starts it."""
    argv: tuple[str, ...] = (
        str(binary),
        *("-D", str(data), "-p", str(port), "-h", LOOPBACK, "-k", ""),
        *("-c", f"max_connections={connections}"),
        *("-c", "shared_preload_libraries=pg_stat_statements"),
        # a new start counts from zero, whether it follows a stop or a crash
        *("-c", "pg_stat_statements.save=off"),
        # a title is written over the environment, and the environment says whose process this is
        *("-c", "update_process_title=off"),
    )
    if user is not None:
        argv = (sys.executable, "-c", _AS_USER, str(user.pw_uid), str(user.pw_gid), *argv)
    return Component(
        name=name,
        kind="store",
        argv=argv,
        port=port,
        probe=partial(answers, port),
        env={"LC_ALL": "C", "TZ": "UTC"},
        # TERM waits for every client to go; INT ends them ("fast shutdown")
        stop_signal=signal.SIGINT,
    )


def answers(port: int) -> bool:
    """Whether the server at this port takes clients in."""
    # the port is open before the server takes anyone in: only its answer to a start-up message tells
    asked = f"host={LOOPBACK} port={port} dbname=postgres connect_timeout={_TIMEOUT_S}"
    return psycopg.pq.PGconn.ping(asked.encode()) == psycopg.pq.Ping.OK


def _prepare(port: int, password: str) -> None:
    try:
        with _administrator(port, password) as connection:
            connection.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{password}'")  # the password is hexadecimal
            connection.execute(f"GRANT CREATE ON SCHEMA public TO {_ROLE}")
            connection.execute("CREATE EXTENSION pg_stat_statements")
    except psycopg.Error as error:
        raise OSError(f"postgres cannot be prepared: {error}") from error


class Counters:
    """Reads pg_stat_statements as another role than the replicas', so that no reading counts itself.

    Statements by their first word. What the store does in the background carries a mark and is left out; `upkeep` has
    it. Octets are not counted by PostgreSQL. Memory is that of tables and indexes, and keys are rows, the expired ones
    that are not yet taken away included.
    """

    def __init__(self, port: int, password: str) -> None:
        self._port = port
        self._password = password

    def __call__(self) -> StoreCounters:
        """Read once. Raises OSError when the store does not answer."""
        try:
            with _administrator(self._port, self._password) as connection:
                commands = _by_word(connection.execute(_COUNTED, (_ROLE,)).fetchall(), upkeep=False)
                sizes = dict(connection.execute(_TABLES, (_ROLE,)).fetchall())
                counts = [connection.execute(_count(table)).fetchall()[0][0] for table in sizes]
        except psycopg.Error as error:
            raise OSError(f"postgres did not answer: {error}") from error
        return StoreCounters(commands, sum(sizes.values()), sum(counts))

    def upkeep(self) -> dict[str, int]:
        """Statements that no request asked for, since the start. Raises OSError."""
        try:
            with _administrator(self._port, self._password) as connection:
                return _by_word(connection.execute(_COUNTED, (_ROLE,)).fetchall(), upkeep=True)
        except psycopg.Error as error:
            raise OSError(f"postgres did not answer: {error}") from error


def _count(table: str) -> Any:
    return psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))


def _by_word(counted: list[tuple[str, int]], *, upkeep: bool) -> dict[str, int]:
    commands: dict[str, int] = {}
    for query, calls in counted:
        word = query.split(maxsplit=1)[0].lower()
        if (UPKEEP in query) == upkeep and (upkeep or word not in _ADMINISTRATION):
            commands[word] = commands.get(word, 0) + calls
    return commands


def _administrator(port: int, password: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=LOOPBACK,
        port=port,
        user=_ADMINISTRATOR,
        password=password,
        dbname="postgres",
        autocommit=True,
        connect_timeout=_SIGN_IN_S,
    )


def _template(parent: Path) -> Path:
    """A data folder, and the password of its administrator, made once in `parent`: initdb takes a second."""
    made = parent / _TEMPLATE
    if made.exists():
        return made
    draft = parent / f"{_TEMPLATE}-{secrets.token_hex(4)}"
    draft.mkdir()
    (draft / _PASSWORD).touch(mode=0o600)
    (draft / _PASSWORD).write_text(secrets.token_hex(16))
    user = _user()
    if user is not None:
        _let_through(parent)
        _give(draft, user)
    # without waiting for the disk: a template outlives no crash
    # beside the server itself
    argv = [
        str(_within_reach(parent, user).with_name("initdb")),
        "-D",
        str(draft / "data"),
        "-U",
        _ADMINISTRATOR,
        f"--pwfile={draft / _PASSWORD}",
        "--no-sync",
    ]
    argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    # as PostgreSQL itself: started as root, what it makes belongs to another
    as_user = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        subprocess.run(argv, capture_output=True, text=True, timeout=_INITDB_TIMEOUT_S, check=True, **as_user)  # type: ignore[call-overload] # mypy takes the values of ** for one type
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        who = f" as {user.pw_name}, which must be able to reach it" if user else ""
        raise binaries.BinaryError(f"postgres: {argv[0]} does not run{who}: {said}") from error
    draft.rename(made)
    return made


def _within_reach(parent: Path, user: pwd.struct_passwd | None) -> Path:
    """The server's binary where `user` can reach it, without links; from a folder such as root's own it is copied."""
    found = binaries.find("postgres")
    path = Path(found.path).resolve()
    if user is None or found.source != "wheel" or all(each.stat().st_mode & 0o001 for each in path.parents):
        return path
    # the wheel's libraries are found by their place beside its package
    package = path.parents[2]
    copy = parent / "postgres-software"
    if not copy.exists():
        for folder in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(folder, copy / folder.name)
    return copy / path.relative_to(package.parent)


def _user() -> pwd.struct_passwd | None:
    return pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None


def _let_through(*folders: Path) -> None:
    for folder in folders:  # to be passed, and not to be listed
        folder.chmod(folder.stat().st_mode | 0o011)


def _give(folder: Path, user: pwd.struct_passwd) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
