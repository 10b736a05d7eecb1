"""Watching log-outs, against servers that revoke when they say."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtests.credentials import Credential
from loadtests.revoking import LOG_OUT, LOG_OUT_ALL, LogOut, Plan, Unable, ends_at, watch
from loadtests.verify import VerificationError

FEW = Plan(log_outs=3, rate=50, at_once=3, begin_within_s=5, observe_s=0.6, seed=1)


def _jwt(exp: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


class Servers:
    """Replicas that share when each user signed out; each decides by the seconds since then whether to accept."""

    def __init__(self, accepts: list[Callable[[float], bool]], log_out_status: int = 204) -> None:
        self.signed_out: dict[str, float] = {}
        self.exp = time.time() + 900
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler(each, log_out_status)) for each in accepts]
        self.urls = {f"replica-{n}": f"http://127.0.0.1:{each.server_port}" for n, each in enumerate(self._servers)}
        for each in self._servers:
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def close(self) -> None:
        for each in self._servers:
            each.shutdown()
            each.server_close()

    def _handler(self, accepts: Callable[[float], bool], log_out_status: int) -> type[BaseHTTPRequestHandler]:
        servers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _user(self) -> str:
                return self.headers["Authorization"].rpartition(".")[2]

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/login":
                    token = f"{_jwt(servers.exp).rpartition('.')[0]}.{json.loads(body)['username']}"
                    self._answer(200, {"credential": {"kind": "bearer", "access_token": token}})
                else:
                    servers.signed_out[self._user()] = time.monotonic()
                    self._answer(log_out_status, {"detail": "no such thing here"} if log_out_status == 404 else None)

            def do_GET(self) -> None:
                since = time.monotonic() - servers.signed_out.get(self._user(), float("inf"))
                self._answer(200 if accepts(since) else 401, {})

            def _answer(self, status: int, document: object) -> None:
                body = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler


@pytest.fixture
def start() -> Iterator[Callable[..., Servers]]:
    started: list[Servers] = []

    def begin(*accepts: Callable[[float], bool], **settings: int) -> Servers:
        started.append(Servers(list(accepts), **settings))
        return started[-1]

    yield begin
    for each in started:
        each.close()


def _watched(servers: Servers, plan: Plan = FEW, way: str = LOG_OUT) -> tuple[LogOut, ...]:
    found = watch(servers.urls, 10, way, plan, everywhere=True)
    assert not isinstance(found, Unable)
    return found


def after(seconds: float) -> Callable[[float], bool]:
    return lambda since: since < seconds


def test_the_last_replica_counts_and_the_truth_lies_between_acceptance_and_refusal(start):
    for each in _watched(start(after(0), after(0.2))):
        assert each.known_by == 2
        assert each.accepted_ms is not None
        assert each.revoked_ms is not None
        # the servers' clock starts before the acknowledgement arrives, by less than sending it took
        assert each.accepted_ms <= 200 <= each.revoked_ms + each.sending_ms
        assert each.asked >= 6


def test_what_is_refused_at_once_was_never_accepted(start):
    for each in _watched(start(after(0), after(0))):
        assert each.accepted_ms is None
        assert each.revoked_ms is not None


def test_a_replica_that_accepts_again_has_not_refused_yet(start):
    def flapping(since: float) -> bool:
        return since < 0 or 0.1 < since < 0.2  # below 0 is not signed out yet

    for each in _watched(start(flapping, after(0.15))):
        assert each.accepted_ms is not None
        assert each.revoked_ms is not None
        assert each.revoked_ms + each.sending_ms >= 200


def test_what_outlives_the_watch_has_no_end(start):
    for each in _watched(start(after(0), after(60))):
        assert each.revoked_ms is None
        assert each.accepted_ms is not None
        assert each.accepted_ms >= 400
        assert each.observed_ms >= 600


def test_what_the_credential_says_of_its_end_is_kept(start):
    servers = start(after(0))
    for each in _watched(servers):
        assert each.remaining_ms is not None
        assert 890_000 < each.remaining_ms <= 900_000


def test_signing_out_everywhere_is_watched_by_another_sign_in(start):
    servers = start(after(0), after(0))
    assert all(each.revoked_ms is not None for each in _watched(servers, way=LOG_OUT_ALL))


def test_a_way_that_the_scheme_has_not_is_said_and_not_skipped(start):
    servers = start(after(0), log_out_status=404)
    assert watch(servers.urls, 10, LOG_OUT_ALL, FEW, everywhere=True) == Unable(404, "no such thing here")


def test_an_answer_that_is_none_of_ours_is_no_measurement(start):
    servers = start(after(0), log_out_status=500)
    with pytest.raises(VerificationError, match="POST /logout: expected 204"):
        watch(servers.urls, 10, LOG_OUT, FEW, everywhere=True)


def test_no_more_begin_than_there_is_time_for(start):
    servers = start(after(60))
    plan = Plan(log_outs=50, rate=1000, at_once=2, begin_within_s=0.1, observe_s=0.3, seed=1)
    assert len(_watched(servers, plan)) == 3  # the first by itself, and then two at once


@pytest.mark.parametrize(
    ("line", "end"),
    [
        (f"Authorization: Bearer {_jwt(1234)}\r\n", 1234.0),
        (f"Cookie: __Host-token={_jwt(77)}\r\n", 77.0),
        ("Cookie: __Host-session=abcdefghijklmnopqrstuv\r\n", None),
        ("Cookie: session=eyJ1IjoxfQ.aaaa.bbbb\r\n", None),
        ("", None),
    ],
)
def test_the_end_that_a_credential_names(line: str, end: float | None):
    assert ends_at(Credential(line.encode())) == end
