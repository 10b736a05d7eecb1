"""The local launcher: everything starts, everything stops, and what dies is told with its last words."""

import http.client
import json
import os
import signal
import socket
import ssl
from pathlib import Path

import psutil
import pytest

from loadtests.client import client_of
from servers.users import PASSWORD, UserTable, user_name
from topology import local
from topology.local import Accounts, running
from topology.process import ComponentError
from topology.reaper import Reaper
from topology.spec import SpecError, Topology


def _get(url: str, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def _log_in(url: str) -> str:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    body = json.dumps({"username": user_name(0, 100), "password": PASSWORD})
    connection.request("POST", "/login", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.headers["Set-Cookie"].split(";")[0]


def test_requests_take_turns_and_the_counters_say_so(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    with running(Topology("session", "redis", 3), accounts, logs=tmp_path, reaper=reaper) as servers:
        cookie = _log_in(servers.url)
        before, commands = servers.balancer_requests(), servers.store_counters().commands
        names = [_get(servers.url, "/me", {"Cookie": cookie}).headers["Server-Timing"].split('"')[1] for _ in range(9)]
        after, now = servers.balancer_requests(), servers.store_counters().commands
        assert sorted(names) == sorted(["replica-0", "replica-1", "replica-2"] * 3)
        assert {name: after[name] - before[name] for name in after} == dict.fromkeys(set(names), 3)
        assert now["getex"] - commands.get("getex", 0) == 9
        assert sum(now.values()) - sum(commands.values()) == 9
        assert {usage.pids for name, usage in servers.usage().items() if name.startswith("replica")} == {2}


def test_nothing_is_left_when_it_stops(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    with running(Topology("token", "none", 2), accounts, logs=tmp_path, reaper=reaper) as servers:
        port = int(servers.url.rpartition(":")[2])
        pids = [pid for each in servers.running for pid in _tree(each.pid)]
        assert len(pids) == 5
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_component_that_dies_is_named(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    with running(Topology("session", "redis", 1), accounts, logs=tmp_path, reaper=reaper) as servers:
        servers.check()
        (store,) = [each for each in servers.running if each.component.name == "valkey"]
        os.kill(store.pid, signal.SIGKILL)
        store._process.wait(5)
        with pytest.raises(
            ComponentError, match=r"valkey died \(signal SIGKILL\); its last log lines:\n(.*\n)*.*Ready to accept"
        ):
            servers.check()


def test_one_that_cannot_start_brings_its_last_lines_and_leaves_nothing(
    accounts: Accounts, reaper: Reaper, tmp_path: Path
):
    wrong = Topology("session", "memory", 2, settings={"SESSION_IDLE_SECONDS": "soon"})
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with (
        pytest.raises(ComponentError, match=r"(?s)replica-\d died .*SESSION_IDLE_SECONDS='soon' is not a whole number"),
        running(wrong, accounts, logs=tmp_path, reaper=reaper),
    ):
        pass
    assert {process.pid for process in psutil.Process().children(recursive=True)} == before


def test_a_port_taken_at_the_last_moment_is_no_failure(
    accounts: Accounts, reaper: Reaper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.create_server(("127.0.0.1", 0)) as thief:
        real, calls = local.free_ports, []

        def first_time_stolen(count: int) -> list[int]:
            ports = real(count)
            calls.append(count)
            return [thief.getsockname()[1], *ports[1:]] if len(calls) == 1 else ports

        monkeypatch.setattr(local, "free_ports", first_time_stolen)
        with running(Topology("session", "redis", 1), accounts, logs=tmp_path, reaper=reaper) as servers:
            assert _get(servers.url, "/healthz").status == 200
        assert len(calls) == 2


def test_with_tls_the_certificate_is_for_this_address_and_led_to_by_its_own_authority(
    accounts: Accounts, reaper: Reaper, tmp_path: Path
):
    with running(
        Topology("control", "none", 1, options={"tls": "on"}), accounts, logs=tmp_path, reaper=reaper
    ) as servers:
        assert servers.url.startswith("https://127.0.0.1:")
        client = client_of(servers.url, servers.authority)
        answers = [client.request(b"GET", b"/me") for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 200], answers[0].failure
        assert answers[1].connection_reused
        client.close()
        stranger = client_of(servers.url)  # trusts what the system trusts
        assert isinstance(stranger.request(b"GET", b"/me").failure, ssl.SSLCertVerificationError)
        plain = client_of(servers.url.replace("https", "http"))
        assert plain.request(b"GET", b"/me").status != 200
        for each in (stranger, plain):
            each.close()


def test_options_stand_in_the_id_when_they_differ_from_their_defaults():
    assert (
        Topology("session", "redis", 2, options={"touch": "always", "tls": "off"}).id == "session-redis-2r-roundrobin"
    )
    touched = Topology("session", "redis", 2, options={"tls": "on", "touch": "never"})
    assert touched.id == "session-redis-2r-roundrobin.touch-never.tls-on"
    none_of_it = {"AUTH_SPIN_US": "0", "WORK_MS": "0", "WORK_CPU_MS": "0"}
    assert touched.scheme_settings == {"SESSION_TOUCH": "never", **none_of_it}


def test_a_short_life_is_that_of_whatever_is_sent_with_each_request():
    def shortened(scheme, store):
        return Topology(scheme, store, 1, options={"life_s": "3"}).life_settings

    every_limit = dict.fromkeys(("SESSION_IDLE_SECONDS", "SESSION_ABSOLUTE_SECONDS", "TOKEN_TTL_SECONDS"), "3")
    assert shortened("session", "redis") == shortened("token", "none") == every_limit
    assert shortened("hybrid", "redis") == {"ACCESS_TTL_SECONDS": "3"}  # the sign-in lives on
    assert Topology("token", "none", 1).life_settings == {}


def test_who_can_tell_that_a_credential_has_ended():
    assert Topology("session", "redis", 1).ends_at_once
    assert Topology("token", "redis", 1, options={"revocation": "denylist"}).ends_at_once
    assert not Topology("token", "none", 1).ends_at_once
    assert not Topology("hybrid", "redis", 1).ends_at_once


def test_each_hash_cost_has_a_user_table_of_its_own(tmp_path):
    accounts = Accounts(tmp_path / "users.db", tmp_path / "secret")
    accounts.seed(3, ["fast", "t=1,m=64,p=1", "fast"])
    assert accounts.table("fast") == accounts.users_db
    found = UserTable(accounts.table("t=1,m=64,p=1")).find(user_name(2, 3))
    assert "$m=64,t=1,p=1$" in found.password_hash
    assert "$m=1024,t=1,p=1$" in UserTable(accounts.users_db).find(user_name(2, 3)).password_hash


def test_an_option_that_cannot_be():
    with pytest.raises(SpecError, match=r"option of control on none 'touch' is unknown; there are: tls"):
        Topology("control", "none", 1, options={"touch": "never"})
    with pytest.raises(SpecError, match=r"touch 'nevr' is unknown; there are: always, interval, never"):
        Topology("session", "redis", 1, options={"touch": "nevr"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tokn", "none", 1), r"scheme 'tokn' is unknown \(did you mean 'token'\?\)"),
        (("session", "none", 1), "store 'none' is unknown; there are: "),
        (("token", "redis", 1), "scheme token uses no store, so its store is 'none', not 'redis'"),
        (("token", "none", 0), "replicas must lie between 1 and 64, not 0"),
        (("token", "none", 1, "sticki"), "policy 'sticki' is unknown"),
        (("token", "none", 1, "roundrobin", 0), "threads must lie between 1 and 64"),
    ],
)
def test_a_topology_that_cannot_be(arguments: tuple, said: str):
    with pytest.raises(SpecError, match=said):
        Topology(*arguments)


def _tree(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
