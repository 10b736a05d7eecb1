"""The application by itself: errors of its own, timing, cross-site rules."""

import pytest

from servers import csrf, timing
from servers.session_store import StoreUnavailableError


def test_an_unexpected_error_is_a_problem_that_tells_nothing(app_of, monkeypatch):
    app = app_of("control")
    monkeypatch.setattr("servers.app._told", lambda _: 1 / 0)
    reply = app.test_client().get("/me")
    assert (reply.status_code, reply.content_type) == (500, "application/problem+json")
    assert "Server-Timing" in reply.headers
    assert b"Zero" not in reply.data


@pytest.mark.parametrize(
    ("ns", "told"), [(0, "00000.000000"), (41_123, "00000.041123"), (10**9, "01000.000000"), (10**15, "99999.999999")]
)
def test_durations_have_one_width(ns, told):
    assert timing._ms(ns) == told


def test_a_failed_store_call_is_timed_too():
    class Broken:
        def load(self, *_):
            raise StoreUnavailableError

    timing.clock.start({})
    with pytest.raises(StoreUnavailableError):
        timing.TimedStore(Broken()).load("x", 1)
    assert timing.clock.store_ns > 0
    timing.clock.start({})
    assert timing.clock.store_ns == 0


@pytest.mark.parametrize(
    ("environ", "foreign"),
    [
        ({}, False),
        ({"HTTP_SEC_FETCH_SITE": "none"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, False),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, True),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, True),
        ({"HTTP_ORIGIN": "https://a.example"}, False),
        ({"HTTP_ORIGIN": "https://a.example:444"}, True),
        ({"HTTP_ORIGIN": "https://b.example"}, True),
        ({"HTTP_ORIGIN": "null"}, True),
        ({"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "https://b.example"}, True),
    ],
)
def test_what_is_cross_site(environ, foreign):
    assert csrf.is_cross_site({"HTTP_HOST": "a.example", **environ}) is foreign


def test_csrf_tokens_differ_by_session_and_by_key():
    tokens = {csrf.token_for(key, session) for key in (b"a" * 32, b"b" * 32) for session in ("s", "t")}
    assert len(tokens) == 4
    assert csrf.token_is_right(b"a" * 32, "s", {"HTTP_X_CSRF_TOKEN": csrf.token_for(b"a" * 32, "s")})
    assert not csrf.token_is_right(b"a" * 32, "s", {})
