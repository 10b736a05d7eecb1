"""Locust's own clients behind the seam hide nothing: in a process of their own, because they need Locust."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=1; Path=/\r\n\r\nhello"
_ASK = """
import json, sys
import locust  # first: it patches the process
from loadtests import stock_clients
client = stock_clients.make(sys.argv[1], f"http://127.0.0.1:{sys.argv[2]}", None, 0.5)
asked = []
for method, path, lines, body in json.loads(sys.argv[3]):
    answer = client.request(method.encode(), path.encode(), lines.encode(), body.encode())
    asked.append({
        "status": answer.status, "body": answer.body.decode(),
        "timeout": isinstance(answer.failure, TimeoutError), "failed": answer.failure is not None,
        "cookies": [value.decode() for value in answer.set_cookies], "reused": answer.connection_reused,
        "out": answer.request_head_bytes + answer.request_body_bytes,
        "in": answer.response_head_bytes + answer.response_body_bytes,
        "in_order": answer.started_ns <= answer.first_byte_ns <= answer.ended_ns,
    })
client.close()
print(json.dumps(asked))
"""


@pytest.fixture(params=["lean", "fasthttp", "http"])
def ask(request, server):
    def asked(*requests):
        filled = [(*each, *("GET", "/", "", "")[len(each) :]) for each in requests]
        done = subprocess.run(
            [sys.executable, "-c", _ASK, request.param, str(server.port), json.dumps(filled)],
            capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return asked


def test_octets_are_those_on_the_wire_and_cookies_are_not_kept(server, ask):
    refused = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nWWW-Authenticate: Basic\r\n\r\nno"
    moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    empty = b"HTTP/1.1 204 No Content\r\n\r\n"
    server.answers = answers = [_HELLO, refused, moved, chunked, empty]
    octets = [len(each) for each in answers]
    line = "Cookie: mine=1\r\n"
    told = ask(("GET", "/me", line), ("POST", "/profile", line, '{"a": 1}'), ("GET",), ("GET",), ("POST", "/logout"))
    assert [each["status"] for each in told] == [200, 401, 302, 200, 204]
    assert [each["body"] for each in told] == ["hello", "no", "", "hello", ""]
    assert [each["out"] for each in told] == [len(got) for got in server.got]
    assert [each["in"] for each in told] == octets
    assert [each["reused"] for each in told] == [False, True, True, True, True]
    assert told[0]["cookies"] == ["a=1; Path=/"]
    assert all(each["in_order"] for each in told)
    assert [got.lower().count(b"\r\ncookie: mine=1\r\n") for got in server.got] == [1, 1, 0, 0, 0]
    assert b"a=1" not in b"".join(server.got)
    assert b'\r\n\r\n{"a": 1}' in server.got[1]
    assert b"application/json" in server.got[1]
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "timeout"),
    [(None, False), (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", True), (b"rubbish\r\n\r\n", False)],
    ids=["closed", "cut short", "rubbish"],
)
def test_what_is_no_whole_answer_is_a_failure_and_never_tried_again(server, ask, answer, timeout):
    server.answers = [answer, None, None] if answer is None else [answer]
    (told,) = ask(("GET",))
    assert (told["status"], told["failed"], told["timeout"]) == (0, True, timeout)
    assert len(server.got) == 1


def test_a_server_that_says_nothing_is_a_timeout(server, ask):
    server.answers = [b""]
    (told,) = ask(("GET",))
    assert (told["status"], told["timeout"]) == (0, True)
    assert len(server.got) == 1
