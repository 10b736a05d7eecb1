"""Tokens of every kind through the balancer: all replicas have the keys, and the store is asked as often as it must."""

import http.client
import json
import stat
from pathlib import Path

import pytest

from servers.users import PASSWORD, user_name
from topology.local import Accounts, running
from topology.reaper import Reaper
from topology.spec import Topology


def _ask(url: str, method: str, path: str, headers: dict[str, str], body: object = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _log_in(url: str) -> dict[str, str]:
    who = {"username": user_name(0, 100), "password": PASSWORD}
    _, body = _ask(url, "POST", "/login", {"Content-Type": "application/json"}, who)
    return {"Authorization": f"Bearer {json.loads(body)['credential']['access_token']}"}


@pytest.mark.parametrize("revocation", ["denylist", "epoch"])
def test_revocation_costs_one_get_per_request(accounts: Accounts, reaper: Reaper, tmp_path: Path, revocation: str):
    options = {"algorithm": "RS256", "revocation": revocation, "verify_cache": "on", "claims_bytes": "6000"}
    topology = Topology("token", "redis", 2, options=options)
    with running(topology, accounts, logs=tmp_path, reaper=reaper) as servers:
        token = _log_in(servers.url)
        before = servers.store_counters()
        assert [_ask(servers.url, "GET", "/me", token)[0] for _ in range(8)] == [200] * 8
        assert servers.store_counters().since(before).commands == {"get": 8}
        assert _ask(servers.url, "POST", "/logout", token)[0] == 204
        assert servers.store_counters().since(before).commands == {"get": 9, "set": 1}
        assert [_ask(servers.url, "GET", "/me", token)[0] for _ in range(4)] == [401] * 4


def test_one_file_of_keys_for_each_algorithm(accounts: Accounts):
    first = accounts.keys_file("ES256")
    content = first.read_bytes()
    assert accounts.keys_file("ES256").read_bytes() == content
    assert accounts.keys_file("EdDSA") != first
    assert stat.S_IMODE(first.stat().st_mode) == 0o600


def test_without_revocation_no_store_is_started(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    topology = Topology("token", "none", 2, options={"algorithm": "EdDSA", "carrier": "bearer"})
    with running(topology, accounts, logs=tmp_path, reaper=reaper) as servers:
        token = _log_in(servers.url)
        assert [_ask(servers.url, "GET", "/me", token)[0] for _ in range(4)] == [200] * 4
        assert servers.store_counters() is None
