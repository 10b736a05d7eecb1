"""Every balancer before replicas that tell what reached them: the same facts, whichever it is."""

import contextlib
import dataclasses
import json
import os
import platform
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.client import Answer, HttpClient, client_of
from loadtests.routing import NOWHERE, followed, lines_with
from topology import balancer, binaries
from topology.balancer import BALANCERS, Balancing, Front, balancing
from topology.certificates import make_certificate
from topology.components import nginx
from topology.ports import free_ports
from topology.process import RunningComponent
from topology.reaper import Reaper
from topology.spec import SpecError, Topology


class Replica(ThreadingHTTPServer):
    """Answers with its name and every header field that came; at `/slow` it says that it has begun, and waits."""

    daemon_threads = True

    def __init__(self, name: str, begun: threading.Event, go: threading.Event) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name, self.begun, self.go = name, begun, go
        self.connections: list[socket.socket] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for each in self.connections:
            with contextlib.suppress(OSError):  # the other side was first
                each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Replica

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.connection)

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.server.begun.set()
            self.server.go.wait(10)
        body = json.dumps({"name": self.server.name, "got": [list(each) for each in self.headers.items()]}).encode()
        self.send_response(401 if self.path == "/refused" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')  # without it HAProxy takes no answer for one that a cache would keep
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


Running = Callable[..., SimpleNamespace]


@pytest.fixture
def run(tmp_path: Path, reaper: Reaper) -> Iterator[Running]:
    """A balancer of that name before three replicas."""
    made: list[RunningComponent] = []
    begun, go = threading.Event(), threading.Event()
    replicas = [Replica(f"replica-{number}", begun, go) for number in range(3)]

    def start(name: str, policy: str, *, tls: bool = False, also_on: str = "") -> SimpleNamespace:
        certificate = make_certificate(tmp_path, also_on) if tls else None
        front = Front(
            free_ports(1)[0],
            {each.name: each.server_address[1] for each in replicas},
            policy,
            tmp_path,
            reaper.folder,
            certificate.server if certificate else None,
            also_on=also_on,
        )
        front_of: Balancing = balancing(name, front)
        made.append(RunningComponent(front_of.component, tmp_path / f"{name}.log", reaper, frozenset()))
        made[-1].wait_ready()
        url = f"{'https' if tls else 'http'}://127.0.0.1:{front.port}"
        return SimpleNamespace(
            url=url,
            authority=certificate.authority if certificate else None,
            replicas={each.name: each for each in replicas},
            requests=front_of.requests,
            begun=begun,
            go=go,
        )

    yield start
    for each in made:
        each.stop()
    go.set()
    for replica in replicas:
        replica.end()


def _ask(client: HttpClient, path: bytes = b"/", lines: bytes = b"") -> tuple[Answer, str, dict[str, str]]:
    answer = client.request(b"GET", path, lines)
    told = json.loads(answer.body) if answer.status in (200, 401) else {"name": "", "got": []}
    return answer, told["name"], {name.lower(): value for name, value in told["got"]}


def _since(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after}


@pytest.mark.parametrize("name", BALANCERS)
def test_turns_are_taken_by_request_and_counted_exactly(name: str, run: Running):
    running = run(name, "roundrobin")
    before = running.requests()
    client = client_of(running.url)
    met = Counter(_ask(client)[1] for _ in range(30))
    assert set(met.values()) == {10}, "a connection that is kept does not keep its replica"
    assert _since(before, running.requests()) == met
    opened = [len(replica.connections) for replica in running.replicas.values()]
    assert max(opened) <= 3, "connections to replicas are kept"
    client.close()


@pytest.mark.skipif(platform.system() != "Linux", reason="127.0.0.2 is an address of this host on Linux alone")
@pytest.mark.parametrize("options", [{}, {"also_on": "127.0.0.2"}, {"also_on": "127.0.0.2", "tls": True}])
@pytest.mark.parametrize("name", BALANCERS)
def test_it_listens_on_loopback_and_where_it_is_told_to(name: str, options: dict[str, Any], run: Running):
    running = run(name, "roundrobin", **options)
    for host, heard in (("127.0.0.1", True), ("127.0.0.2", "also_on" in options)):
        client = client_of(running.url.replace("127.0.0.1", host), running.authority)
        assert (_ask(client)[0].status == 200) is heard
        client.close()


@pytest.mark.parametrize("name", BALANCERS)
def test_many_clients_at_once_are_counted_exactly(name: str, run: Running):
    running = run(name, "roundrobin")
    before = running.requests()

    def ask(_: int) -> list[str]:
        client = client_of(running.url)
        met = [_ask(client)[1] for _ in range(40)]
        client.close()
        return met

    with ThreadPoolExecutor(8) as pool:
        met = Counter(each for names in pool.map(ask, range(8)) for each in names)
    assert _since(before, running.requests()) == met
    assert met.total() == 320


@pytest.mark.parametrize("name", BALANCERS)
def test_who_has_least_under_way_is_next(name: str, run: Running):
    running = run(name, "leastconn")
    with ThreadPoolExecutor(1) as pool:
        slow, client = client_of(running.url), client_of(running.url)
        waiting = pool.submit(_ask, slow, b"/slow")
        assert running.begun.wait(5)
        met = Counter(_ask(client)[1] for _ in range(20))
        running.go.set()
        _, busy, _ = waiting.result()
    assert busy not in met
    assert len(met) == 2
    for each in (slow, client):
        each.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", BALANCERS)
def test_sticky_keeps_a_user_with_one_replica_which_never_sees_how(name: str, tls: bool, run: Running):  # noqa: FBT001
    running = run(name, "sticky", tls=tls)
    users = []
    for number in range(6):
        client = client_of(running.url, running.authority)
        # a refusal sets the cookie like any other answer
        answer, home, _ = _ask(client, b"/refused")
        (cookie,) = answer.set_cookies
        parts = {part.strip().lower() for part in cookie.split(b";")}
        assert {b"httponly", b"path=/"} < parts
        assert (b"secure" in parts) == tls
        assert _ask(client)[0].headers[b"cache-control"] == b"private", "for a cache this answer is one user's"
        route = followed(NOWHERE, answer.head)
        assert route == b"route=" + home.encode()
        for lines in (b"", b"Cookie: a=b; c=d\r\n"):
            answer, met, got = _ask(client, lines=lines_with(lines, route))
            assert met == home, number
            assert got.get("cookie") == ("a=b; c=d" if lines else None)
            assert answer.set_cookies == []
        before_others = lines_with(b"Cookie: x=y\r\n", route).replace(b"x=y; " + route, route + b"; x=y")
        assert _ask(client, lines=before_others)[2]["cookie"] == "x=y"
        users.append(home)
        client.close()
    assert len(set(users)) > 1, "new users are shared out"


@pytest.mark.parametrize("name", BALANCERS)
def test_who_comes_with_a_cookie_of_nobody_gets_a_new_one(name: str, run: Running):
    running = run(name, "sticky")
    client = client_of(running.url)
    answer, met, _ = _ask(client, lines=b"Cookie: route=replica-9\r\n")
    assert followed(NOWHERE, answer.head) == b"route=" + met.encode()
    client.close()


@pytest.mark.parametrize("name", BALANCERS)
def test_the_users_of_a_replica_that_died_go_to_another_and_stay_there(name: str, run: Running):
    running = run(name, "sticky")
    client = client_of(running.url)
    answer, home, _ = _ask(client)
    route = followed(NOWHERE, answer.head)
    running.replicas[home].end()
    newcomers = [_ask(client)[0] for _ in range(3)]  # whom turns lead to each of the three
    assert all(each.set_cookies == [] for each in newcomers if each.status in (502, 503))
    refused = 0
    until = time.monotonic() + 15
    while time.monotonic() < until:
        answer, met, _ = _ask(client, lines=lines_with(b"", route))
        if answer.status == 200:
            break
        refused += 1
        assert answer.status in (502, 503), answer.failure
        assert answer.set_cookies == [], "nobody is bound to a replica that did not answer"
    assert refused >= 1, "a connection that is refused is a failed request: nothing is tried twice"
    assert met not in ("", home)
    route = followed(route, answer.head)
    assert route == b"route=" + met.encode()
    before = running.requests()
    assert {_ask(client, lines=lines_with(b"", route))[1] for _ in range(5)} == {met}
    assert _since(before, running.requests()) == {each: 5 * (each == met) for each in before}
    client.close()


@pytest.mark.parametrize("name", BALANCERS)
def test_what_reaches_a_replica(name: str, run: Running):
    running = run(name, "roundrobin")
    client = client_of(running.url)
    began_us = time.time_ns() // 1000
    answer, _, got = _ask(client, lines=b"X-Request-Start: t=1\r\nX-Forwarded-For: 10.9.8.7\r\nCookie: a=b\r\n")
    assert got["cookie"] == "a=b"
    assert got["host"] == running.url.removeprefix("http://")
    assert got["x-forwarded-for"].rpartition(",")[2].strip() == "127.0.0.1"
    if balancer.facts(name).stamps:
        assert began_us - 1000 <= int(got["x-request-start"].removeprefix("t=")) <= time.time_ns() // 1000
    else:
        assert "x-request-start" not in got, "a client's own would be taken for the balancer's"
    assert {b"date", b"server"} <= set(answer.headers)
    assert b"BaseHTTP" in answer.headers[b"server"], "the replica's own, as behind any balancer"
    client.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must say whose the worker is")
def test_nginx_serves_as_who_started_it(run: Running, tmp_path: Path):
    run("nginx", "roundrobin")
    assert (tmp_path / "nginx.conf").read_text().splitlines()[1].startswith("user root ")


@pytest.mark.parametrize(
    ("has", "usual"),
    [(("haproxy", "nginx"), "haproxy"), (("nginx",), "nginx"), ((), "haproxy")],
)
def test_the_usual_balancer_is_the_first_there_is(has: tuple[str, ...], usual: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binaries, "present", lambda name: name in has)
    assert balancer.usual() == usual


def test_one_that_the_environment_names_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTHSCALE_HAPROXY", "/nonexistent/haproxy")
    assert binaries.present("haproxy"), "so that its absence is told, and not passed over"
    monkeypatch.delenv("AUTHSCALE_HAPROXY")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not binaries.present("memcached")


def test_a_policy_that_a_balancer_lacks_is_refused(monkeypatch: pytest.MonkeyPatch):
    lacking = dataclasses.replace(nginx.FACTS, policies=("roundrobin", "leastconn"))
    monkeypatch.setattr(nginx, "FACTS", lacking)
    assert Topology("control", "none", 2, "sticky").balancer == "haproxy"
    with pytest.raises(SpecError, match="nginx cannot balance by sticky, but by: roundrobin, leastconn"):
        Topology("control", "none", 2, "sticky", options={"balancer": "nginx"})
