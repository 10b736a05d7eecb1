"""Components are killed, frozen and started again while the topology runs, and nothing of it is left in the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from servers import stores
from servers.session_store import Session, Store, StoreUnavailableError
from topology import process_tree, resp
from topology.local import Accounts, RunningTopology, running
from topology.process import ComponentError
from topology.reaper import Reaper
from topology.spec import SpecError, Topology

_IDLE_S = 600


def _pids(servers: RunningTopology, name: str) -> list[int]:
    (each,) = [each for each in servers.running if each.component.name == name]
    return [each.pid, *(child.pid for child in psutil.Process(each.pid).children(recursive=True))]


def _runs(pid: int) -> bool:
    # what has ended and whose new parent has not yet taken notice runs no longer
    return psutil.pid_exists(pid) and process_tree._runs(psutil.Process(pid))


def _until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)  # polls a condition, up to a deadline


def _store(servers: RunningTopology) -> Store:
    return stores.open_store(servers.backing.urls["replica-0"], 500)


def _session(id_: str) -> Session:
    now = time.time()
    return Session(id_, "somebody", "user", now, now, now + 3600, "127.0.0.1", "test")


def _answers(store: Store, id_: str) -> bool:
    try:
        return store.load(id_, _IDLE_S) is not None
    except StoreUnavailableError:
        return False


def test_a_killed_replica_is_gone_with_its_worker_and_comes_back(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    with running(Topology("control", "none", 2), accounts, logs=tmp_path, reaper=reaper) as servers:
        before, sent = servers.usage(), servers.balancer_requests()
        first = _pids(servers, "replica-1")
        assert len(first) == 2
        servers.kill("replica-1")
        assert not any(_runs(pid) for pid in first)
        assert servers.down == {"replica-1"}
        servers.check({"replica-1"})
        with pytest.raises(ComponentError, match="replica-1 died"):
            servers.check()
        dead = servers.usage()["replica-1"]
        assert dead.cpu_ns >= before["replica-1"].cpu_ns
        assert (dead.rss_bytes, dead.pids) == (0, 0)
        servers.restart("replica-1")
        servers.check()
        assert servers.usage()["replica-1"].cpu_ns > dead.cpu_ns  # of both incarnations
        servers.restart("haproxy")
        assert all(servers.balancer_requests()[name] >= count for name, count in sent.items())
        second = _pids(servers, "replica-1")
        with pytest.raises(SpecError, match=r"component 'replica-2' is unknown \(did you mean"):
            servers.kill("replica-2")
    assert not any(_runs(pid) for pid in second)


@pytest.mark.parametrize(("persistence", "kept"), [("off", False), ("aof", True)])
def test_a_store_that_was_killed_forgets_unless_it_keeps_a_log(
    accounts: Accounts, reaper: Reaper, tmp_path: Path, persistence: str, *, kept: bool
):
    topology = Topology("session", "redis", 1, options={"persistence": persistence})
    with running(topology, accounts, logs=tmp_path, reaper=reaper) as servers:
        store = _store(servers)
        store.create(_session("a" * 43), _IDLE_S)
        before = servers.store_counters()
        servers.kill("valkey")
        assert servers.store_counters().commands == before.commands
        with pytest.raises(StoreUnavailableError):
            store.load("a" * 43, _IDLE_S)
        servers.restart("valkey")
        assert _answers(store, "a" * 43) == kept
        since = servers.store_counters().since(before)
        assert since.commands == {"getex": 1}
        assert 0 < since.bytes_in < 500


def test_a_frozen_store_hangs_and_a_killed_one_recovers(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    with running(Topology("session", "postgres", 1), accounts, logs=tmp_path, reaper=reaper) as servers:
        store = _store(servers)
        store.create(_session("b" * 43), _IDLE_S)
        store.put_mark("c", b"kept", 60)
        tree = _pids(servers, "postgres")
        assert len(tree) > 2  # each with a session of its own, which no signal to a group reaches
        before = servers.store_counters()
        servers.freeze("postgres")
        assert {psutil.Process(pid).status() for pid in tree} == {psutil.STATUS_STOPPED}
        assert servers.store_counters() == before
        assert not _answers(store, "b" * 43)
        servers.thaw("postgres")
        _until(lambda: _answers(store, "b" * 43), "it did not go on")
        counted = servers.store_counters()
        servers.kill("postgres")
        assert not any(_runs(pid) for pid in tree)
        servers.restart("postgres")
        _until(lambda: _mark(store, "c") == b"kept", "what is logged was lost")
        assert store.load("b" * 43, _IDLE_S) is None  # and what is not logged was lost
        assert servers.store_counters().since(counted).commands
        servers.freeze("postgres")
        tree = _pids(servers, "postgres")
    assert not any(_runs(pid) for pid in tree)


def test_a_copy_takes_over_from_the_primary_that_died(accounts: Accounts, reaper: Reaper, tmp_path: Path):
    topology = Topology("session", "redis-cluster", 1, options={"cluster_copies": "1"})
    with running(topology, accounts, logs=tmp_path, reaper=reaper) as servers:
        store, ids = _store(servers), [f"{number:043}" for number in range(12)]
        for id_ in ids:
            store.create(_session(id_), _IDLE_S)
        at = {each.component.name: each.component.port for each in servers.running}
        assert all(_keys(at[f"valkey-{number}"]) for number in range(3))
        _until(
            lambda: all(_keys(at[f"valkey-{n}"]) == _keys(at[f"valkey-{n}-copy"]) for n in range(3)),
            "the copies did not get what was written",
        )
        before = servers.store_counters()
        servers.kill("valkey-0")
        assert servers.store_counters().nodes["valkey-0"] == before.nodes["valkey-0"]
        _until(lambda: all(_answers(store, id_) for id_ in ids), "nobody took over, or the client did not see it")
        assert "role:master" in resp.ask(at["valkey-0-copy"], "INFO replication")
        servers.restart("valkey-0")  # it comes back as a copy of the one that took over
        _until(lambda: "role:slave" in resp.ask(at["valkey-0"], "INFO replication"), "it did not join as a copy")


def _keys(port: int) -> int:
    return int(resp.ask(port, "DBSIZE"))


def _mark(store: Store, key: str) -> bytes | None:
    try:
        return store.get_mark(key)
    except StoreUnavailableError:
        return None


_HARNESS = """
import sys
from pathlib import Path
from topology.local import Accounts, running
from topology.reaper import Reaper
from topology.spec import Topology
folder = Path(sys.argv[1])
accounts = Accounts(folder / "users.db", folder / "secret")
with Reaper() as reaper, running(Topology("control", "none", 1), accounts, logs=folder, reaper=reaper) as servers:
    servers.kill("replica-0")
    servers.restart("replica-0")
    servers.freeze("replica-0")
    (each,) = [each for each in servers.running if each.component.name == "replica-0"]
    print(each.pid, servers.replica_urls["replica-0"].rpartition(":")[2], flush=True)
    sys.stdin.read()
"""


def test_a_killed_harness_leaves_no_restarted_and_no_frozen_component(accounts: Accounts):
    harness = subprocess.Popen(
        [sys.executable, "-c", _HARNESS, str(accounts.secret_file.parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    pid, port = map(int, harness.stdout.readline().split())
    pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    assert len(pids) == 2
    os.kill(harness.pid, signal.SIGKILL)
    _until(lambda: not any(_runs(pid) for pid in pids), "they outlived a SIGKILL of their harness")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    harness.wait(10)
    harness.stdin.close()
    harness.stdout.close()
