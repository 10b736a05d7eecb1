"""What the client reads from the twins: credentials and Server-Timing."""

import json
import time

import pytest

from loadtests import credentials, server_timing
from loadtests.credentials import Credential, ProtocolError
from servers import timing


def _reply(**credential: str) -> bytes:
    return json.dumps({"user": "u", "credential": credential}).encode()


def test_a_bearer_token_becomes_a_header_line():
    got = credentials.from_reply(_reply(kind="bearer", access_token="a.b.c"), [])
    assert got == Credential(b"Authorization: Bearer a.b.c\r\n")


def test_a_cookie_becomes_a_header_line_with_its_csrf_token_beside_it():
    reply = _reply(kind="cookie", name="__Host-session", csrf_header="X-CSRF-Token", csrf_token="t")
    got = credentials.from_reply(reply, [b"other=1; Path=/", b"__Host-session=abc; Path=/; Secure"])
    assert got == Credential(b"Cookie: __Host-session=abc\r\n", b"X-CSRF-Token: t\r\n")


def test_a_refresh_token_is_kept_for_its_own_request_alone():
    first = credentials.from_reply(_reply(kind="bearer", access_token="a.b.c", refresh_token="r.1"), [])
    assert first.line == b"Authorization: Bearer a.b.c\r\n"
    assert json.loads(first.refresh_body) == {"refresh_token": "r.1"}
    renewed = credentials.from_reply(_reply(kind="bearer", access_token="d.e.f"), [], first)
    assert (renewed.line, renewed.refresh_body) == (b"Authorization: Bearer d.e.f\r\n", first.refresh_body)
    rotated = credentials.from_reply(_reply(kind="bearer", access_token="g.h.i", refresh_token="r.2"), [], first)
    assert json.loads(rotated.refresh_body) == {"refresh_token": "r.2"}
    assert credentials.from_reply(_reply(kind="none"), [], first) == Credential()


def test_control_sends_nothing():
    assert credentials.from_reply(_reply(kind="none"), []) == Credential()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"credential": 1}',
        _reply(kind="magic"),
        _reply(kind="bearer"),
        _reply(kind="cookie", name="a", csrf_header="h", csrf_token="t"),
    ],
)
def test_a_reply_that_is_not_the_twins_is_an_error(body: bytes):
    with pytest.raises(ProtocolError):
        credentials.from_reply(body, [b"b=1"])


def test_server_timing_is_read_to_the_nanosecond():
    header = b'auth;dur=00000.041123, store;dur=00000.000000, queue;dur=00012.310001, app;dur=1.5, replica;desc="r-3"'
    assert server_timing.parse(header) == (41123, 0, 12310001, 1_500_000, "r-3")


def test_what_a_replica_does_not_say_is_absent():
    assert server_timing.parse(b'auth;dur=00000.041123, replica;desc="r-3"') == (41123, -1, -1, -1, "r-3")


def test_without_server_timing_everything_is_absent():
    assert server_timing.parse(None) == (-1, -1, -1, -1, "")
    assert server_timing.parse(b"cache;dur=1.0") == (-1, -1, -1, -1, "")


def test_a_request_that_nobody_stamped_has_no_queue_time():
    timing.clock.start({})
    read = server_timing.parse(timing.server_timing("replica-1").encode())
    assert (read.auth_ns, read.store_ns, read.queue_ns, read.replica) == (0, 0, -1, "replica-1")


def test_what_the_twins_write_is_what_is_read():
    timing.clock.auth_ns, timing.clock.store_ns, timing.clock.queue_ns = 1_234_567, 89, 10_000_000_000
    timing.clock.began_ns = time.perf_counter_ns() - 5_000_000
    told = server_timing.parse(timing.server_timing("replica-1").encode())
    assert told._replace(app_ns=0) == (1_234_567, 89, 10_000_000_000, 0, "replica-1")
    assert 5_000_000 <= told.app_ns <= time.perf_counter_ns() - timing.clock.began_ns
