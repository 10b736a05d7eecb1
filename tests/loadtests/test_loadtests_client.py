"""The client counts exactly what went over the socket, and hides nothing that went wrong."""

import socket

import gevent
import pytest

from loadtests import cooperative
from loadtests.client import HttpClient, blocking

_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello"


@pytest.fixture(params=[blocking, cooperative.connect], ids=["blocking", "cooperative"])
def connect(request):
    return request.param


@pytest.fixture
def client(server, connect):
    made = HttpClient("127.0.0.1", server.port, 0.5, connect)
    yield made
    made.close()


def test_octets_out_and_in_are_those_on_the_wire(server, client):
    server.answers = [_HELLO, _HELLO]
    line = b"Authorization: Bearer abc\r\n"
    read = client.request(b"GET", b"/me", line)
    changed = client.request(b"POST", b"/profile", line, b'{"a": 1}')
    for answer, got in zip((read, changed), server.got, strict=True):
        assert answer.request_head_bytes + answer.request_body_bytes == len(got)
        assert answer.request_head_bytes == got.index(b"\r\n\r\n") + 4
        assert answer.response_head_bytes == _HELLO.index(b"\r\n\r\n") + 4
        assert answer.response_body_bytes == 5
        assert line in got
    assert changed.request_body_bytes == 8


def test_the_answer_is_read_whole(server, client):
    server.answers = [_HELLO]
    answer = client.request(b"GET", b"/")
    assert (answer.status, answer.body, answer.headers[b"x-a"]) == (200, b"hello", b"1")
    assert answer.set_cookies == [b"a=1", b"b=2"]
    assert answer.started_ns < answer.first_byte_ns <= answer.ended_ns


def test_an_answer_in_pieces_and_one_in_chunks(server, client):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    server.answers = [b"HTTP/1.1 200 OK\r\nConte|nt-Length: 5\r\n\r|\nhel|lo", chunked]
    assert client.request(b"GET", b"/").body == b"hello"
    answer = client.request(b"GET", b"/")
    assert answer.body == b"hello world"
    # framing is what the wire carried, too
    assert answer.response_head_bytes + answer.response_body_bytes == len(chunked)


def test_no_body_with_204(server, client):
    server.answers = [b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"]
    answer = client.request(b"POST", b"/logout")
    assert (answer.status, answer.response_body_bytes) == (204, 0)
    assert b"Content-Length: 0\r\n" in server.got[0]


def test_the_connection_is_kept_and_said_to_be(server, client):
    server.answers = [_HELLO, _HELLO]
    assert [client.request(b"GET", b"/").connection_reused for _ in range(2)] == [False, True]
    assert server.connections == 1


def test_connection_close_is_obeyed(server, client):
    server.answers = [_HELLO.replace(b"X-A: 1", b"Connection: close"), None]
    assert client.request(b"GET", b"/").status == 200
    assert client._socket is None


@pytest.mark.parametrize(
    "answer", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhe", b"rubbish\r\n\r\n"]
)
def test_what_is_no_whole_answer_is_a_failure_and_never_tried_again(server, client, answer):
    server.answers = [answer, None]
    if answer:
        server.answers = [answer]
    got = client.request(b"GET", b"/")
    assert got.status == 0
    assert got.failure is not None
    assert got.ended_ns > got.started_ns
    assert len(server.got) == 1


def test_a_server_that_says_nothing_is_a_timeout(server, client):
    server.answers = [b""]
    assert isinstance(client.request(b"GET", b"/").failure, TimeoutError)


def test_nobody_listens(connect):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert isinstance(HttpClient("127.0.0.1", port, 0.5, connect).request(b"GET", b"/").failure, ConnectionRefusedError)


def test_an_answer_of_many_reads_and_a_request_larger_than_any_buffer(server, client):
    large = b"x" * 3_000_000
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(large), large), _HELLO]
    assert client.request(b"GET", b"/").body == large
    answer = client.request(b"POST", b"/", b"", large)
    assert (answer.status, answer.request_body_bytes) == (200, len(large))
    assert len(server.got[1]) == answer.request_head_bytes + len(large)


def test_a_connection_that_ended_while_idle_is_a_failure_and_the_next_request_opens_another(server, client):
    server.answers = [_HELLO, None, _HELLO]
    assert client.request(b"GET", b"/").status == 200
    assert isinstance(client.request(b"GET", b"/").failure, ConnectionError)
    again = client.request(b"GET", b"/")
    assert (again.status, again.connection_reused) == (200, False)


def test_server_timing_is_found_whatever_its_case_and_only_there(server, client):
    plain = b"HTTP/1.1 200 OK\r\nX-Server-Timing: no\r\nContent-Length: 22\r\n\r\n\r\nserver-timing: no body"
    server.answers = [_HELLO.replace(b"X-A: 1", b"SERVER-timing:  auth;dur=1 "), plain]
    assert client.request(b"GET", b"/").server_timing.strip() == b"auth;dur=1"
    assert client.request(b"GET", b"/").server_timing == b""


def test_greenlets_go_on_while_one_waits_and_each_has_its_own_timeout(server):
    server.answers = [b""]
    silent = HttpClient("127.0.0.1", server.port, 0.6, cooperative.connect)
    waiting = gevent.spawn(silent.request, b"GET", b"/")
    ticks = 0
    while not waiting.ready():
        gevent.sleep(0.01)
        ticks += 1
    assert isinstance(waiting.get().failure, TimeoutError)
    assert ticks > 20
    silent.close()
