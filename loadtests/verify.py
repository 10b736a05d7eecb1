"""Verify before timing: each replica is asked for every behaviour that the figures rest on."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from loadtests import credentials
from loadtests.client import Answer, HttpClient, client_of
from loadtests.credentials import Credential
from servers.users import PASSWORD, user_name
from topology.local import RunningTopology

_LOOKUPS = 8
_BURSTS = 4
_MAX_LAG_S = 2.0


class VerificationError(RuntimeError):
    """A server does not do what the trial would time."""


def verify(running: RunningTopology, accounts: int) -> dict[str, float | int | None]:
    """Ask each replica, past the balancer; returns what was seen, for trial.json.

    Without a credential /me is refused (answered, for control); with one it is answered; a replica accepts what another
    issued exactly when the store is shared; one lookup is a whole number of store commands. What the links to the store
    add to a round trip is measured; whether that is what was asked is a gate's to say (`loadtests.gates`). No quota
    holds meanwhile: a small store cannot open every connection at once, and a trial does not ask it to.

    Raises:
        VerificationError: says which replica did what.

    """
    with running.unlimited(), contextlib.ExitStack() as stack:
        clients = {name: client_of(url) for name, url in running.replica_urls.items()}
        for client in clients.values():
            stack.callback(client.close)
        return _ask_each(running, clients, accounts)


def _ask_each(running: RunningTopology, clients: dict[str, HttpClient], accounts: int) -> dict[str, float | int | None]:
    topology = running.topology
    open_to_all = topology.scheme == "control"
    first, *others = clients
    for name, client in clients.items():
        _expect(name, "GET /me without a credential", client.request(b"GET", b"/me"), 200 if open_to_all else 401)
    credential = _log_in(first, clients[first], accounts)
    commands = _commands_per_lookup(running, clients[first], credential)
    for name in others:
        what = f"GET /me with a credential that {first} issued"
        _expect_soon(name, what, clients[name], credential, 200 if topology.accepts_everywhere else 401, topology.lags)
    _log_out(first, clients[first], credential)
    for name, client in clients.items():  # anew: a credential may live for a second
        own = _log_in(name, client, accounts)
        _expect_soon(name, "GET /me with its own credential", client, own, 200, topology.lags)
        _use_every_thread(name, running.replica_urls[name], own, topology.threads)
        _log_out(name, client, own)
    return {
        **({"link_added_ms": running.links.farthest_off_ms()} if running.links else {}),
        "unauthenticated_me": 200 if open_to_all else 401,
        "authenticated_me": 200,
        "store_commands_per_lookup": commands,
    }


def _log_in(name: str, client: HttpClient, accounts: int) -> Credential:
    body = json.dumps({"username": user_name(accounts - 1, accounts), "password": PASSWORD}).encode()
    answer = client.request(b"POST", b"/login", body=body)
    _expect(name, "POST /login", answer, 200)
    return credentials.from_reply(answer.body, answer.set_cookies)


def _log_out(name: str, client: HttpClient, credential: Credential) -> None:
    lines = credential.line + credential.state_change_line
    _expect(name, "POST /logout", client.request(b"POST", b"/logout", lines), 204)


def _commands_per_lookup(running: RunningTopology, client: HttpClient, credential: Credential) -> float | None:
    _expect_soon("replica-0", "GET /me", client, credential, 200, running.topology.lags)  # opens the store's connection
    before = running.store_counters()
    for _ in range(_LOOKUPS):
        _expect("replica-0", "GET /me", client.request(b"GET", b"/me", credential.line), 200)
    after = running.store_counters()
    if before is None or after is None:
        return None
    commands = sum(after.commands.values()) - sum(before.commands.values())
    if commands % _LOOKUPS:
        raise VerificationError(f"{_LOOKUPS} lookups made {commands} store commands: not a whole number each")
    return commands // _LOOKUPS


def _use_every_thread(name: str, url: str, credential: Credential, threads: int) -> None:
    """Ask twice as many questions at once as there are threads, a few times.

    A thread opens its connection to the store when it first serves a request, which takes some milliseconds. Left to
    the load, that first time comes with the first burst of arrivals, in the middle of the measured phase.
    """
    together = threading.Barrier(2 * threads)

    def ask(client: HttpClient) -> Answer:
        together.wait()
        return client.request(b"GET", b"/me", credential.line)

    clients = [client_of(url) for _ in range(2 * threads)]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(clients)) as pool:
        for client in clients:
            stack.callback(client.close)
        for _ in range(_BURSTS):
            for answer in pool.map(ask, clients):
                _expect(name, "GET /me among others", answer, 200)


def _expect_soon(name: str, what: str, client: HttpClient, credential: Credential, status: int, lags: bool) -> None:  # noqa: FBT001
    """As `_expect`; a store that lags may take its time over it."""
    deadline = time.monotonic() + (_MAX_LAG_S if lags else 0)
    while True:
        answer = client.request(b"GET", b"/me", credential.line)
        if answer.status == status or time.monotonic() >= deadline:
            return _expect(name, what, answer, status)


def _expect(name: str, what: str, answer: Answer, status: int) -> None:
    if answer.failure is not None:
        raise VerificationError(f"{name}: {what}: {answer.failure}")
    if answer.status != status:
        raise VerificationError(
            f"{name}: {what}: expected {status}, got {answer.status}: {answer.body[:200].decode(errors='replace')}"
        )
