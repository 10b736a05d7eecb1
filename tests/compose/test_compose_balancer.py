"""HAProxy's counters as the compose launcher reads them, from a real one: a place belongs to who has its address."""

import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from topology import binaries
from topology.compose.balancer import Counters
from topology.ports import free_ports

# But for where the replicas are found; the counters' part is the file's own.
_CONFIG = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend public
    bind 127.0.0.1:{public}
    default_backend replicas
backend replicas
    balance roundrobin
    default-server check inter 50ms
    server replica-1 127.0.0.3:{replica}
    server replica-2 127.0.0.2:{replica}
    server replica-3 127.0.0.4:{replica}
"""
CONFIG = Path(__file__).parents[2] / "deploy/kubernetes/haproxy.cfg"


class _Replica(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.send_header("X-Address", self.server.server_address[0])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Of a HAProxy before two replicas that serve and a place where none is: that of clients, that of counters."""
    public, counters, replica = free_ports(3)
    servers = [ThreadingHTTPServer((address, replica), _Replica) for address in ("127.0.0.2", "127.0.0.3")]
    for each in servers:
        Thread(target=partial(each.serve_forever, poll_interval=0.01)).start()
    config = tmp_path / "haproxy.cfg"
    of_counters = "frontend counters" + CONFIG.read_text().split("frontend counters")[1]
    of_counters = of_counters.replace("bind :8404", f"bind 127.0.0.1:{counters}")
    config.write_text(_CONFIG.format(public=public, replica=replica) + of_counters)
    balancer = subprocess.Popen([binaries.find("haproxy").path, "-f", str(config)], stderr=subprocess.DEVNULL)
    yield public, counters
    balancer.terminate()
    balancer.wait(5)
    for each in servers:
        each.shutdown()
        each.server_close()


def _container(number: int, address: str) -> dict[str, Any]:
    return {
        "Config": {"Labels": {"com.docker.compose.container-number": str(number)}},
        "NetworkSettings": {"Networks": {"front": {"IPAddress": address}, "back": {"IPAddress": ""}}},
    }


def test_counts_are_the_replicas_and_not_the_places(ports: tuple[int, int], until: Any) -> None:
    public, port = ports
    counters = Counters(port, lambda: [_container(1, "127.0.0.2"), _container(2, "127.0.0.3")])
    until(lambda: counters.all_found(2))
    assert not counters.all_found(3)
    before = counters()
    assert set(before) == {"replica-0", "replica-1"}
    answered = {"replica-0": 0, "replica-1": 0}
    for _ in range(7):
        with urllib.request.urlopen(f"http://127.0.0.1:{public}/") as answer:
            answered[{"127.0.0.2": "replica-0", "127.0.0.3": "replica-1"}[answer.headers["X-Address"]]] += 1
    assert sorted(answered.values()) == [3, 4]
    after = counters()
    assert {name: after[name] - before[name] for name in after} == answered
