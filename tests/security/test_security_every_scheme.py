"""What holds whatever the scheme."""

import time

import pytest

from servers.users import PASSWORD

WHO = {"username": "user-00001", "password": PASSWORD}


def is_problem(reply, status):
    assert reply.status == status, reply.body
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.json["status"] == status
    assert {"title", "detail"} <= reply.json.keys()


def test_healthz(replica):
    reply = replica.ask("GET", "/healthz")
    assert (reply.status, reply.json) == (200, {"status": "ok"})


def test_login_tells_what_to_send_and_me_then_knows_the_user(replica, control):
    login = replica.log_in()
    me = replica.ask("GET", "/me", login.headers)
    expected = "user-00000" if replica is control else "user-00001"
    assert me.json == {"user": expected, "role": "reader", "display_name": expected, "serial": 0}
    assert me.header("Cache-Control") == login.reply.header("Cache-Control") == "no-store"


def test_answers_of_all_schemes_are_equally_long(control, session, token):
    lengths = set()
    for replica in (control, session, token):
        reply = replica.ask("GET", "/me", replica.log_in().headers)
        lengths.add((len(reply.body), sum(len(name) + len(value) for name, value in reply.headers)))
    assert len(lengths) == 1


def test_without_a_credential_401_and_a_challenge_without_error(guarded):
    for method, path in (("GET", "/me"), ("POST", "/profile"), ("POST", "/logout"), ("GET", "/sessions")):
        reply = guarded.ask(method, path)
        is_problem(reply, 401)
        assert "error=" not in reply.header("WWW-Authenticate")


def test_the_other_schemes_credential_is_none(session, token):
    is_problem(session.ask("GET", "/me", token.log_in().headers), 401)
    is_problem(token.ask("GET", "/me", session.log_in().headers), 401)


def test_a_wrong_password_and_an_unknown_user_are_told_alike(replica):
    wrong = replica.ask("POST", "/login", body=WHO | {"password": "wrong"})
    unknown = replica.ask("POST", "/login", body=WHO | {"username": "nobody"})
    right_of_nobody = replica.ask("POST", "/login", body={"username": "nobody", "password": PASSWORD})
    for reply in (wrong, unknown, right_of_nobody):
        is_problem(reply, 401)
        assert reply.header("WWW-Authenticate")
        assert reply.body == wrong.body


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"username": 1, "password": 2}', b'{"username": "user-00001"}'],
)
def test_a_malformed_login_is_400(replica, raw):
    is_problem(replica.ask("POST", "/login", {"Content-Type": "application/json"}, raw=raw), 400)


@pytest.mark.parametrize("name", ["\x00", "\ud800", "' OR 1=1 --", "x" * 2000, "üser"])
def test_strange_names_and_passwords_are_just_wrong(token, name):
    is_problem(token.ask("POST", "/login", body={"username": name, "password": PASSWORD}), 401)
    is_problem(token.ask("POST", "/login", body={"username": "user-00001", "password": name}), 401)


def test_a_deeply_nested_body_is_400(token):
    is_problem(token.ask("POST", "/login", {"Content-Type": "application/json"}, raw=b"[" * 10_000), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_login_takes_json_alone(replica, kind):
    is_problem(replica.ask("POST", "/login", {"Content-Type": kind}, raw=b"{}"), 415)


def test_a_body_too_large_is_413(replica):
    is_problem(replica.ask("POST", "/login", body=WHO | {"more": "x" * 20_000}), 413)


def test_unknown_paths_and_methods_are_problems(replica):
    is_problem(replica.ask("GET", "/nowhere"), 404)
    wrong = replica.ask("GET", "/login")
    is_problem(wrong, 405)
    assert "POST" in wrong.header("Allow")


@pytest.mark.parametrize("path", ["/login", "/profile", "/logout", "/logout-all"])
def test_nothing_changes_on_get(replica, path):
    is_problem(replica.ask("GET", path), 405)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
    ],
)
def test_another_sites_login_is_403(replica, headers):
    reply = replica.ask("POST", "/login", headers, WHO)
    is_problem(reply, 403)
    assert reply.all("Set-Cookie") == []


def test_ones_own_pages_may_log_in(replica):
    own = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{replica.port}"}
    assert replica.log_in(headers=own).reply.status == 200


def test_every_answer_has_server_timing(replica, timing):
    for path in ("/healthz", "/me", "/nowhere"):
        assert timing(replica.ask("GET", path))[3] == "replica-0"


def test_timing_tells_auth_and_store_apart(session, token, control, timing):
    auth, store, _, _ = timing(session.ask("GET", "/me", session.log_in().headers))
    assert 0 < store < auth < 1000
    auth, store, _, _ = timing(token.ask("GET", "/me", token.log_in().headers))
    assert auth > 0
    assert store == 0
    assert timing(control.ask("GET", "/me"))[1] == 0


def test_queue_time_is_since_the_balancers_stamp(control, timing):
    stamp = f"t={time.time_ns() // 1000 - 500_000}"
    assert 500 <= timing(control.ask("GET", "/healthz", {"X-Request-Start": stamp}))[2] < 5000
    ahead = f"t={time.time_ns() // 1000 + 10**9}"
    assert timing(control.ask("GET", "/healthz", {"X-Request-Start": ahead}))[2] == 0
    for odd in ("", "t=", "t=x", "t=-5", "t=" + "9" * 30):
        assert timing(control.ask("GET", "/healthz", {"X-Request-Start": odd}))[2] is None
    assert timing(control.ask("GET", "/healthz"))[2] is None, "no wait is known, which is not a wait of 0"


def test_no_key_is_published(replica):
    assert replica.ask("GET", "/.well-known/jwks.json").json == {"keys": []}


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "\ud800", 7, None])
def test_a_bad_display_name_is_400(replica, name):
    is_problem(replica.ask("POST", "/profile", replica.log_in().change, {"display_name": name}), 400)


def test_schemes_without_sessions_say_so(control, token):
    for replica in (control, token):
        change = replica.log_in().change
        for method, path in (("GET", "/sessions"), ("POST", "/logout-all"), ("DELETE", "/sessions/x")):
            is_problem(replica.ask(method, path, change), 404)


def test_logout_is_204_and_clears_the_site(replica):
    reply = replica.ask("POST", "/logout", replica.log_in().change)
    assert (reply.status, reply.body) == (204, b"")
    assert '"cookies"' in reply.header("Clear-Site-Data")
    assert reply.header("Cache-Control") == "no-store"
