"""Flask's own session cookie from outside: what it withstands, and what it cannot do."""

import base64
import hmac
import http.cookies
import json
import time
import zlib

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from servers.keys import load_keys


@pytest.fixture(scope="session")
def signed(start):
    return start(AUTH_SCHEME="signed_cookie")


@pytest.fixture(scope="session")
def signed_neighbour(start):
    return start(AUTH_SCHEME="signed_cookie", REPLICA_NAME="replica-1")


@pytest.fixture(scope="session")
def flasks_own(site):
    """Flask's serializer under the servers' key: signs what they never would."""
    app = Flask("any")
    app.secret_key = hmac.digest(load_keys(site.secret_file).token, b"authscale signed cookie", "sha256")
    return SecureCookieSessionInterface().get_signing_serializer(app)


def value_of(login):
    return login.headers["Cookie"].partition("=")[2]


def read(payload):
    """Without any key. A dot in front says that Flask found it shorter when compressed."""
    data = base64.urlsafe_b64decode(payload.lstrip(".") + "==")
    return json.loads(zlib.decompress(data) if payload.startswith(".") else data)


def me(replica, value):
    return replica.ask("GET", "/me", {"Cookie": f"__Host-session={value}"}).status


def test_the_cookie_is_as_guarded_as_cookies_get(signed):
    line = signed.log_in().reply.header("Set-Cookie")
    name_value, *attributes = line.split("; ")
    assert name_value.startswith("__Host-session=")
    assert set(attributes) == {"Secure", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"}
    assert len(http.cookies.SimpleCookie(line)) == 1


def test_a_cookie_never_exceeds_what_browsers_keep(signed):
    login = signed.log_in()
    changed = signed.ask("POST", "/profile", login.change, {"display_name": "\U0001f980" * 64})
    assert changed.status == 200
    assert len(changed.header("Set-Cookie")) <= 4096
    assert me(signed, changed.header("Set-Cookie").partition(";")[0].partition("=")[2]) == 200


def test_it_is_flasks_own_format_signed_and_not_encrypted(signed, flasks_own):
    value = value_of(signed.log_in(5))
    state = flasks_own.loads(value)
    assert state["user"] == "user-00005"
    assert read(value.rsplit(".", 2)[0]) == state  # who has the cookie can read it


def test_replicas_agree_without_talking(signed, signed_neighbour):
    assert me(signed_neighbour, value_of(signed.log_in())) == 200


def test_each_sign_in_is_new(signed):
    logins = [signed.log_in() for _ in range(5)]
    assert len({value_of(each) for each in logins}) == 5
    assert len({each.csrf["X-CSRF-Token"] for each in logins}) == 5


def test_no_change_of_a_cookie_is_accepted(signed):
    value = value_of(signed.log_in())
    payload, stamp, mac = value.rsplit(".", 2)
    forged = base64.urlsafe_b64encode(json.dumps(read(payload) | {"role": "warden"}).encode()).rstrip(b"=").decode()
    later = base64.urlsafe_b64encode(int(time.time() + 3600).to_bytes(4, "big")).rstrip(b"=").decode()
    for wrong in (
        f"{forged}.{stamp}.{mac}", f"{payload}.{later}.{mac}", f"{payload}.{stamp}.", f"{payload}.{stamp}",
        f"{payload}.{stamp}.{mac[::-1]}", f".{value}", f"{value}.{mac}", payload,
    ):  # fmt: skip
        assert me(signed, wrong) == 401


@pytest.mark.parametrize(
    "value", ["", ".", "..", "x", "A" * 5000, "é" * 22, "\xff.\xff.\xff", '"quoted"', "a=b=c", "%00"]
)
def test_rubbish_cookies_are_401(signed, value):
    assert signed.ask("GET", "/me", {"Cookie": f"__Host-session={value}".encode().decode("latin-1")}).status == 401


def test_two_cookies_of_the_name_are_none(signed):
    cookie = signed.log_in().headers["Cookie"]
    assert signed.ask("GET", "/me", {"Cookie": f"a=b; {cookie}; c=d"}).status == 200
    assert signed.ask("GET", "/me", {"Cookie": f"{cookie}; {cookie}"}).status == 401


@pytest.mark.parametrize("key", [b"", b"secret", b"dev", b"\x00" * 32, b"authscale signed cookie"])
def test_no_guessable_key(signed, flasks_own, key):
    state = flasks_own.loads(value_of(signed.log_in()))
    app = Flask("any")
    app.secret_key = key or b"\x00"
    assert me(signed, SecureCookieSessionInterface().get_signing_serializer(app).dumps(state)) == 401


def test_another_schemes_cookie_is_none_and_the_reverse(signed, session):
    assert me(signed, value_of(session.log_in())) == 401
    assert me(session, value_of(signed.log_in())) == 401


@pytest.mark.parametrize(("method", "path"), [("POST", "/profile"), ("POST", "/logout"), ("POST", "/logout-all")])
def test_changes_need_the_csrf_token_of_this_sign_in(signed, method, path):
    login, other = signed.log_in(9), signed.log_in(9)
    body = {"display_name": "x"}
    for csrf in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "wrong"}, other.csrf, {"X-CSRF-Token": "\xff" * 43}):
        assert signed.ask(method, path, login.headers | csrf, body).status == 403
    for site in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert signed.ask(method, path, login.change | site, body).status == 403


def test_a_profile_change_gives_a_new_cookie_of_the_same_end_and_the_same_csrf_token(signed, flasks_own):
    login = signed.log_in()
    first = flasks_own.loads(value_of(login))
    soon = flasks_own.dumps(first | {"exp": int(time.time()) + 60})
    changed = signed.ask(
        "POST", "/profile", {"Cookie": f"__Host-session={soon}"} | login.csrf, {"display_name": "Grace"}
    )
    assert (changed.json["display_name"], changed.json["serial"]) == ("Grace", 1)
    line = changed.header("Set-Cookie")
    assert 0 < int(line.partition("Max-Age=")[2].partition(";")[0]) <= 60
    new = line.partition(";")[0].partition("=")[2]
    assert flasks_own.loads(new)["exp"] == flasks_own.loads(soon)["exp"]  # a stolen one is not prolonged for ever
    assert changed.json["credential"]["csrf_token"] == login.csrf["X-CSRF-Token"]
    assert me(signed, new) == 200


def test_a_cookie_ends_absolutely(start):
    limits = {"SESSION_IDLE_SECONDS": "1", "SESSION_ABSOLUTE_SECONDS": "2"}
    brief = start(AUTH_SCHEME="signed_cookie", **limits)
    login = brief.log_in()
    began = time.monotonic()
    headers = login.headers
    while True:
        reply = brief.ask("POST", "/profile", headers | login.csrf, {"display_name": "x"})
        if reply.status != 200:
            break
        headers = {"Cookie": reply.header("Set-Cookie").partition(";")[0]}
        assert time.monotonic() - began < 10
    assert reply.status == 401
    assert me(brief, headers["Cookie"].partition("=")[2]) == me(brief, value_of(login)) == 401


def test_the_end_in_the_payload_counts_beside_flasks_own(signed, flasks_own):
    state = flasks_own.loads(value_of(signed.log_in()))
    assert me(signed, flasks_own.dumps(state)) == 200
    assert me(signed, flasks_own.dumps(state | {"exp": int(time.time()) - 1})) == 401


def test_signing_out_clears_the_browser_and_ends_nothing(signed, signed_neighbour):
    login = signed.log_in()
    reply = signed.ask("POST", "/logout", login.change)
    assert reply.status == 204
    assert reply.header("Set-Cookie").startswith("__Host-session=; Max-Age=0;")
    assert '"cookies"' in reply.header("Clear-Site-Data")
    assert me(signed_neighbour, value_of(login)) == 200  # a copy stays good: the cost of keeping nothing


def test_there_are_no_sessions_to_list_or_end(signed):
    change = signed.log_in().change
    for method, path in (
        ("GET", "/sessions"),
        ("POST", "/logout-all"),
        ("DELETE", "/sessions/x"),
        ("POST", "/refresh"),
    ):
        assert signed.ask(method, path, change).status == 404


def test_no_store_is_asked(signed, timing):
    auth, store, _, _ = timing(signed.ask("GET", "/me", signed.log_in().headers))
    assert auth > 0
    assert store == 0


def test_the_value_is_in_no_body_and_no_log(signed, site):
    login = signed.log_in()
    assert value_of(login).encode() not in login.reply.body
    assert all(value_of(login) not in log.read_text() for log in site.folder.glob("replica-*.log"))
