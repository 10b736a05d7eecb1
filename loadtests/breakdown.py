"""Where the time of a request goes, part by part: `python -m loadtests.breakdown`, a step of `make bench-auth`.

In this one process, without an application server: CPU time that this thread used over loops of each part, against a
real Valkey. Parts are measured apart, with warm caches, and need not add up to the whole; the remainder is told.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import io
import json
import secrets
import socket
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

from servers import jws, schemes, stores, users
from servers.app import create_app
from servers.session_store import Session
from servers.settings import Settings
from topology.backing import Ground
from topology.binaries import BinaryError
from topology.components import valkey
from topology.cpu import divide_cores, pinned
from topology.ports import NoFreePortError, free_ports
from topology.process import ComponentError, RunningComponent
from topology.reaper import Reaper

FORMAT = 1
_ROUNDS = 9
_PER_ROUND = 500
_SECRET_BYTES = 32
_SCHEMES = ("session", "flask-session", "token", "flask-jwt-extended")

Part = Callable[[], object]


def main(argv: list[str] | None = None) -> int:
    """Measure and write breakdown.json into a run's folder."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.breakdown", description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("results/latest"), help="folder to write breakdown.json into")
    folder = parser.parse_args(argv).run
    try:
        with Reaper() as reaper:
            ground = Ground(["replica-0"], iter(free_ports(1)), reaper.folder, {})
            under = valkey.backing(ground)
            cores = divide_cores().servers
            server = RunningComponent(under.components[0], reaper.folder / "valkey.log", reaper, cores)
            try:
                server.wait_ready()
                with pinned(cores):  # where a trial's replicas run, too
                    measured = measure(reaper.folder, under.urls["replica-0"])
            finally:
                server.stop()
        (folder / "breakdown.json").write_text(json.dumps(measured, indent=1))
    except (ComponentError, NoFreePortError, BinaryError, OSError) as error:
        sys.stderr.write(f"authscale: {error}\n")
        return 1
    return 0


def measure(folder: Path, store_url: str) -> dict[str, Any]:
    """Return, by scheme, the whole request and its parts in us of CPU."""
    (folder / "secret").write_bytes(secrets.token_bytes(_SECRET_BYTES))
    users.seed(folder / "users.db", 1, users.HashCost.parse("fast"))
    environ = {
        "USERS_DB": str(folder / "users.db"),
        "SECRET_FILE": str(folder / "secret"),
        "STORE_URL": store_url,
    }
    settings = {name: Settings.from_environ({**environ, "AUTH_SCHEME": name}) for name in ("control", *_SCHEMES)}
    apps = {name: create_app(each) for name, each in settings.items()}
    signed_in = {name: _sign_in(app) for name, app in apps.items()}
    wholes = {name: _request(apps[name], signed_in[name]) for name in apps}
    parts = {
        "session": _session_parts(settings["session"], signed_in["session"], store_url),
        "token": _token_parts(settings["token"], signed_in["token"]),
        "flask-session": {},
        "flask-jwt-extended": {},
    }
    timed = _time({**wholes, **{f"{name}/{part}": do for name in parts for part, do in parts[name].items()}})
    return {
        "format": FORMAT,
        "rounds": _ROUNDS,
        "requests_per_round": _PER_ROUND,
        "schemes": {name: _told(name, parts[name], timed) for name in _SCHEMES},
    }


def _told(name: str, parts: Mapping[str, Part], timed: Mapping[str, float]) -> dict[str, Any]:
    """The measured parts; a part that holds others stands there without them."""
    us = {"framework: routing, JSON answer": timed["control"], **{part: timed[f"{name}/{part}"] for part in parts}}
    for outer, inner in _HOLDS.items():
        if outer in us:
            us[outer] -= sum(us[part] for part in inner)
    return {"whole_us": timed[name], "parts_us": us, "remainder_us": timed[name] - sum(us.values())}


_CLIENT, _KERNEL = "client library: redis-py", "kernel: send and receive"
_CRYPTO, _SERIALISED, _CHECKS = "crypto: HMAC-SHA256", "serialisation: base64 and JSON", "token library and checks"
_HOLDS = {_CLIENT: (_KERNEL,), _CHECKS: (_CRYPTO, _SERIALISED)}


def _session_parts(settings: Settings, headers: Mapping[str, str], store_url: str) -> dict[str, Part]:
    secret = headers["HTTP_COOKIE"].partition("=")[2]
    id_ = base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).rstrip(b"=").decode()
    store: Any = stores.open_store(store_url, settings.store_timeout_ms)
    found = store.load(id_, settings.session_idle_s)
    record = found.encode()
    at = urlsplit(store_url)
    raw = socket.create_connection((at.hostname, at.port or 0))
    command = [b"GETEX", f"session:{id_}".encode(), b"EX", str(settings.session_idle_s).encode()]
    sent = b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in command)

    def round_trip() -> None:
        raw.sendall(sent)
        raw.recv(65536)

    def ask() -> None:
        store._ask_all(("GETEX", f"session:{id_}", "EX", settings.session_idle_s))  # noqa: SLF001 - the part that asks

    return {
        "cookie parsed and hashed": _cookie_part(headers),
        _CLIENT: ask,
        _KERNEL: round_trip,
        "serialisation: JSON record": lambda: Session.decode(id_, 0.0, record),
    }


def _cookie_part(headers: Mapping[str, str]) -> Part:
    from servers.schemes import session  # noqa: PLC0415 - the functions that do it

    def parse() -> object:
        secret = session._secret(headers)  # noqa: SLF001 - the part that parses
        return session._stored_id(secret or "")  # noqa: SLF001 - the part that hashes

    return parse


def _token_parts(settings: Settings, headers: Mapping[str, str]) -> dict[str, Part]:
    scheme = schemes.open_scheme(settings, None)
    token = headers["HTTP_AUTHORIZATION"].partition(" ")[2]
    signed = token.rpartition(".")[0].encode()

    return {
        _CRYPTO: lambda: hmac.digest(settings.keys.token, signed, "sha256"),
        _SERIALISED: lambda: jws.decode_object(jws.parts(token).payload),
        _CHECKS: lambda: scheme.authenticate(headers),
    }


def _time(parts: Mapping[str, Part]) -> dict[str, float]:
    """Median over rounds of the CPU time of one call, us; each round runs every part, so that drift falls on all."""
    rounds: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(_ROUNDS + 1):
        for name, do in parts.items():
            began = time.thread_time_ns()
            for _ in range(_PER_ROUND):
                do()
            if number:  # the first one warms up
                rounds[name].append((time.thread_time_ns() - began) / _PER_ROUND / 1e3)
    return {name: statistics.median(values) for name, values in rounds.items()}


def _sign_in(app: Flask) -> dict[str, str]:
    """What a client sends after signing in, as WSGI names headers."""
    body = {"username": users.user_name(0, 1), "password": users.PASSWORD}
    reply = app.test_client().post("/login", json=body, base_url="https://localhost")
    credential = reply.get_json()["credential"]
    if credential["kind"] == "bearer":
        return {"HTTP_AUTHORIZATION": f"Bearer {credential['access_token']}"}
    if credential["kind"] == "cookie":
        return {"HTTP_COOKIE": reply.headers["Set-Cookie"].partition(";")[0]}
    return {}


def _request(app: Flask, headers: Mapping[str, str]) -> Part:
    """One GET /me by the interface that an application server calls."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/me",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **headers,
    }

    said: list[str] = []

    def start_response(status: str, _headers: object, _error: object = None, /) -> Callable[[bytes], object]:
        said[:] = [status]
        return said.append  # type: ignore[return-value]  # what WSGI calls `write`, which Flask does not use

    def answer() -> None:
        b"".join(app.wsgi_app(dict(environ), start_response))
        if said != ["200 OK"]:
            raise ValueError(f"GET /me answered {said}")

    return answer


if __name__ == "__main__":
    sys.exit(main())
