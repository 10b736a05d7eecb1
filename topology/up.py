"""`make up` and `make down`: one topology that stays, to be used by hand.

`up` leaves a process of its own in the background that owns the servers; what it is and where it listens stands in
`.up/state.json`. `down` ends that process, which stops all in order.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from servers import users
from topology import quota
from topology.binaries import BinaryError
from topology.local import Accounts, make_secret, running
from topology.ports import NoFreePortError
from topology.process import ComponentError
from topology.reaper import Reaper
from topology.spec import HASH_COST, NO_STORE, TLS, SpecError, Topology, every_option, one_of, scheme_names, uses_store

_FOLDER = Path(".up")
_BEARER = ("token", "hybrid", "flask-jwt-extended")
_AUTHORITY = _FOLDER / "authority.pem"
_OPTION = "option "  # before a name that must not meet another argument's
_START_S, _STOP_S, _POLL_S, _CHECK_S = 90.0, 30.0, 0.05, 0.1
_ACCOUNTS = 1000


def main(argv: list[str] | None = None) -> int:
    """The command line; each failure is one line."""
    parser = argparse.ArgumentParser(prog="python -m topology.up", description="Start one topology, or end it.")
    parser.add_argument("verb", choices=("up", "down", "serve"), help="serve is what up leaves in the background")
    parser.add_argument("--scheme", default="session")
    parser.add_argument("--store", default=None)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--policy", default="roundrobin")
    parser.add_argument("--threads", type=int, default=4)
    for option in every_option().values():
        default = "on" if option is TLS else None  # with it a browser takes and sends Secure cookies
        parser.add_argument(f"--{option.name.replace('_', '-')}", dest=f"{_OPTION}{option.name}", default=default)
    arguments = vars(parser.parse_args(argv))
    verb = arguments.pop("verb")
    options = {name: arguments.pop(f"{_OPTION}{name}") for name in every_option()}
    arguments["options"] = {name: value for name, value in options.items() if value is not None}
    try:
        if verb == "down":
            return _down()
        topology = _topology(arguments)
        return _serve(topology) if verb == "serve" else _up(topology)
    except (SpecError, quota.QuotaError) as error:
        return _fail(str(error), 2)
    except (ComponentError, NoFreePortError, BinaryError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or _FOLDER}: {error.strerror or error}", 1)


def _topology(arguments: dict[str, Any]) -> Topology:
    scheme, store = arguments["scheme"], arguments["store"]
    if store is None:
        one_of("scheme", scheme, scheme_names())
        arguments["store"] = "redis" if uses_store(scheme, arguments["options"]) else NO_STORE
    topology = Topology(**arguments)
    quota.check(topology.every_option, frozenset())
    return topology


def _up(topology: Topology) -> int:
    owner = _owner()
    if owner:
        return _fail(f"already up at {_state()['url']} ({_state()['topology']}); end it with: make down", 1)
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / "state.json").unlink(missing_ok=True)
    argv = [sys.executable, "-m", "topology.up", "serve", "--scheme", topology.scheme, "--store", topology.store]
    argv += ["--replicas", str(topology.replicas), "--policy", topology.policy, "--threads", str(topology.threads)]
    argv += [word for name, value in topology.every_option.items() for word in (f"--{name.replace('_', '-')}", value)]
    with (_FOLDER / "log").open("wb") as log:
        server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + _START_S
    try:
        while time.monotonic() < deadline and server.poll() is None:
            if (_FOLDER / "state.json").exists():
                _print_how_to(_state())
                return 0
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        server.terminate()
        return _fail("interrupted; nothing is left running", 130)
    server.terminate()
    said = (_FOLDER / "log").read_text(errors="replace").strip()
    return _fail(said.removeprefix("authscale: ") or "it did not start and said nothing", 1)


def _serve(topology: Topology) -> int:
    """Own the servers until a signal comes or one of them dies."""
    ended: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ended.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    with Reaper() as reaper:
        accounts = Accounts(reaper.folder / "users.db", reaper.folder / "secret")
        make_secret(accounts.secret_file)
        accounts.seed(_ACCOUNTS, [topology.every_option[HASH_COST.name]])
        try:
            with running(topology, accounts, logs=_FOLDER / "logs", reaper=reaper) as servers:
                if servers.authority:
                    shutil.copy(servers.authority, _AUTHORITY)
                _write_state(topology, servers.url, servers.replica_urls)
                while not ended:
                    servers.check()
                    time.sleep(_CHECK_S)
        finally:
            (_FOLDER / "state.json").unlink(missing_ok=True)
    return 0


def _down() -> int:
    owner = _owner()
    if owner is None:
        sys.stdout.write("nothing is up\n")
        return 0
    owner.send_signal(signal.SIGTERM)
    try:
        owner.wait(_STOP_S)
    except psutil.TimeoutExpired:
        return _fail(f"process {owner.pid} did not end within {_STOP_S:.0f} s", 1)
    sys.stdout.write("down\n")
    return 0


def _owner() -> psutil.Process | None:
    """The process that `up` left; None when there is none, or its id now belongs to something else."""
    state = _state()
    with contextlib.suppress(KeyError, psutil.NoSuchProcess):
        process = psutil.Process(state["pid"])
        if process.create_time() == state["created"] and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _state() -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((_FOLDER / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return state


def _write_state(topology: Topology, url: str, replicas: dict[str, str]) -> None:
    own = psutil.Process(os.getpid())
    state = {
        "pid": own.pid, "created": own.create_time(), "topology": topology.id, "url": url, "replicas": replicas,
        "bearer": topology.scheme in _BEARER and topology.option("carrier") != "cookie",
    }  # fmt: skip
    draft = _FOLDER / "state.tmp"
    draft.write_text(json.dumps(state, indent=1))
    draft.rename(_FOLDER / "state.json")


def _print_how_to(state: dict[str, Any]) -> None:
    url, name = state["url"], users.user_name(0, _ACCOUNTS)
    trust = f" --cacert {_AUTHORITY}" if url.startswith("https") else ""
    log_in = (
        f"curl -s{trust} -c .up/cookies -H 'Content-Type: application/json' \\\n"
        f'       -d \'{{"username": "{name}", "password": "{users.PASSWORD}"}}\' {url}/login'
    )
    cookie, bearer = "-b .up/cookies", "-H 'Authorization: Bearer ACCESS_TOKEN'"
    then = f"curl -s{trust} {bearer if state['bearer'] else cookie} {url}/me"
    if state["bearer"]:
        then += "    (the access_token that login answered)"
    lines = [
        f"{state['topology']} is up at {url}",
        *(f"  {replica}: {address}" for replica, address in state["replicas"].items()),
        f"users {name} to {users.user_name(_ACCOUNTS - 1, _ACCOUNTS)}, password {users.PASSWORD!r}; logs in .up/logs",
        f"log in:  {log_in}",
        f"then:    {then}",
        "end it:  make down",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"authscale: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
