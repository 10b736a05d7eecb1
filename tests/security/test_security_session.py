"""Session management from outside: OWASP ASVS 5.0 chapters 3 and 7, Session Management Cheat Sheet."""

import base64
import re
import threading
import time

import pytest

from servers import users


def me(replica, headers):
    return replica.ask("GET", "/me", headers).status


def secret_of(login):
    return login.headers["Cookie"].partition("=")[2]


def until(condition, within_s=10):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline


def test_the_cookie_is_as_guarded_as_cookies_get(with_cookie):
    name_value, *attributes = with_cookie.log_in().reply.header("Set-Cookie").split("; ")
    assert name_value.startswith("__Host-session=")
    assert set(attributes) == {"Secure", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"}
    assert len(with_cookie.log_in().reply.header("Set-Cookie")) <= 4096


def test_ids_have_128_bits_and_are_new_each_time(with_cookie):
    ids = [secret_of(with_cookie.log_in()) for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(len(base64.urlsafe_b64decode(each + "==")) >= 16 for each in ids)


def test_the_id_is_in_no_body(with_cookie):
    login = with_cookie.log_in()
    change = with_cookie.ask("POST", "/profile", login.change, {"display_name": "x"})
    for reply in (login.reply, change, *(with_cookie.ask("GET", p, login.headers) for p in ("/me", "/sessions"))):
        assert secret_of(login).encode() not in reply.body


def test_an_id_in_the_url_is_ignored(with_cookie):
    cookie = with_cookie.log_in().headers["Cookie"]
    assert me(with_cookie, {}) == with_cookie.ask("GET", f"/me?{cookie}").status == 401


def test_an_id_that_the_server_did_not_issue_is_never_adopted(with_cookie):
    fixed = {"Cookie": "__Host-session=" + "A" * 22}
    assert me(with_cookie, fixed) == 401
    assert secret_of(with_cookie.log_in(headers=fixed)) != "A" * 22
    assert me(with_cookie, fixed) == 401


@pytest.mark.parametrize("value", ["", "x", "A" * 5000, "é" * 22, '"quoted"', "a=b=c", "%00", "../../etc/passwd"])
def test_rubbish_cookies_are_401(with_cookie, value):
    assert me(with_cookie, {"Cookie": f"__Host-session={value}".encode().decode("latin-1")}) == 401


def test_two_cookies_of_the_name_are_none(with_cookie):
    cookie = with_cookie.log_in().headers["Cookie"]
    assert me(with_cookie, {"Cookie": f"a=b; {cookie}; c=d"}) == 200
    assert me(with_cookie, {"Cookie": f"{cookie}; {cookie}"}) == 401


def test_the_stored_id_does_not_open_the_session(with_cookie):
    login = with_cookie.log_in(2)
    (handle,) = [s["id"] for s in with_cookie.ask("GET", "/sessions", login.headers).json["sessions"] if s["current"]]
    assert me(with_cookie, {"Cookie": f"__Host-session={handle}"}) == 401


def test_a_login_ends_the_session_that_came_with_it(with_cookie):
    old = with_cookie.log_in()
    new = with_cookie.log_in(headers=old.headers)
    assert (me(with_cookie, old.headers), me(with_cookie, new.headers)) == (401, 200)


def test_a_login_ends_another_users_session_that_came_with_it(with_cookie):
    old = with_cookie.log_in(1)
    with_cookie.log_in(2, headers=old.headers)
    assert me(with_cookie, old.headers) == 401


def test_logout_works_on_every_replica_at_once(session, neighbour):
    login = session.log_in()
    assert me(neighbour, login.headers) == 200
    cleared = session.ask("POST", "/logout", login.change)
    assert "Max-Age=0" in cleared.header("Set-Cookie")
    assert me(session, login.headers) == me(neighbour, login.headers) == 401


def test_a_store_per_process_is_unknown_to_the_neighbour(in_memory, session):
    assert me(session, in_memory.log_in().headers) == 401


def test_logout_all_ends_all_of_the_user_and_no_one_elses(with_cookie):
    own = [with_cookie.log_in(3) for _ in range(3)]
    other = with_cookie.log_in(4)
    assert with_cookie.ask("POST", "/logout-all", own[0].change).status == 204
    assert [me(with_cookie, each.headers) for each in own] == [401] * 3
    assert me(with_cookie, other.headers) == 200


def test_a_user_sees_own_sessions_alone_with_all_fields(with_cookie):
    other, login = with_cookie.log_in(6), with_cookie.log_in(5, headers={"User-Agent": "a browser"})
    listed = with_cookie.ask("GET", "/sessions", login.headers).json["sessions"]
    (own,) = listed
    assert own["current"] is True
    assert own["user_agent"] == "a browser"
    assert own["address"] == "127.0.0.1"
    assert own["created"] <= own["last_accessed"] < own["expires"]
    assert own["expires"] - own["created"] == pytest.approx(43200)
    assert own["id"] not in {s["id"] for s in with_cookie.ask("GET", "/sessions", other.headers).json["sessions"]}


def test_a_user_ends_own_sessions_alone(with_cookie):
    attacker, victim, second = with_cookie.log_in(7), with_cookie.log_in(8), with_cookie.log_in(8)
    listed = with_cookie.ask("GET", "/sessions", victim.headers).json["sessions"]
    (handle,) = [each["id"] for each in listed if not each["current"]]
    assert with_cookie.ask("DELETE", f"/sessions/{handle}", attacker.change).status == 404
    assert me(with_cookie, second.headers) == 200
    assert with_cookie.ask("DELETE", f"/sessions/{handle}", victim.change).status == 204
    assert (me(with_cookie, second.headers), me(with_cookie, victim.headers)) == (401, 200)
    assert with_cookie.ask("DELETE", f"/sessions/{handle}", victim.change).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/profile"), ("POST", "/logout"), ("POST", "/logout-all"), ("DELETE", "/sessions/x")],
)
def test_changes_need_the_csrf_token_of_this_session(with_cookie, method, path):
    login, other = with_cookie.log_in(9), with_cookie.log_in(9)
    body = {"display_name": "x"}
    for csrf in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "wrong"}, other.csrf, {"X-CSRF-Token": "\xff" * 43}):
        assert with_cookie.ask(method, path, login.headers | csrf, body).status == 403
    for site in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert with_cookie.ask(method, path, login.change | site, body).status == 403
    assert with_cookie.ask("GET", "/me", login.headers).json["serial"] == 0


def test_the_profile_changes_on_every_replica(session, neighbour):
    login = session.log_in(10)
    changed = session.ask("POST", "/profile", login.change, {"display_name": "Grace"})
    assert changed.json["serial"] == 1
    assert "credential" not in changed.json
    assert neighbour.ask("GET", "/me", login.headers).json == changed.json


def test_parallel_changes_lose_nothing_unseen(session, neighbour):
    login = session.log_in(11)
    statuses = []

    def change(replica):
        asked = (replica.ask("POST", "/profile", login.change, {"display_name": "x"}) for _ in range(15))
        statuses.extend(reply.status for reply in asked)

    threads = [threading.Thread(target=change, args=(each,)) for each in (session, neighbour, session, neighbour)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(statuses) <= {200, 409}
    assert session.ask("GET", "/me", login.headers).json["serial"] == statuses.count(200)


def test_requests_in_flight_do_not_revive_a_session(session, neighbour):
    for _ in range(5):
        login = session.log_in(12)
        stop = threading.Event()

        def busy(replica, login=login, stop=stop):
            while not stop.is_set():
                replica.ask("POST", "/profile", login.change, {"display_name": "x"})
                replica.ask("GET", "/me", login.headers)

        threads = [threading.Thread(target=busy, args=(each,)) for each in (session, neighbour)]
        for thread in threads:
            thread.start()
        assert session.ask("POST", "/logout", login.change).status == 204
        after = [me(neighbour, login.headers) for _ in range(10)]
        stop.set()
        for thread in threads:
            thread.join(20)
        assert {*after, me(session, login.headers)} == {401}


@pytest.fixture(scope="session")
def short_lived(start, valkey_url):
    limits = {"SESSION_IDLE_SECONDS": "1", "SESSION_ABSOLUTE_SECONDS": "3"}
    return start(AUTH_SCHEME="session", STORE_URL=valkey_url, **limits)


@pytest.fixture(scope="session")
def short_lived_in_memory(start):
    limits = {"SESSION_IDLE_SECONDS": "1", "SESSION_ABSOLUTE_SECONDS": "3"}
    return start(AUTH_SCHEME="session", STORE_URL="memory://", **limits)


@pytest.mark.parametrize("name", ["short_lived", "short_lived_in_memory"])
def test_an_idle_session_ends_and_a_used_one_ends_absolutely(request, name):
    replica = request.getfixturevalue(name)
    began = time.monotonic()
    used, idle = replica.log_in(20), replica.log_in(20)

    def sessions():
        reply = replica.ask("GET", "/sessions", used.headers)
        return len(reply.json["sessions"]) if reply.status == 200 else 0

    assert sessions() == 2
    until(lambda: sessions() == 1)  # the idle one went, while asking kept the other alive
    assert me(replica, idle.headers) == 401
    until(lambda: me(replica, used.headers) == 401)
    assert 2.5 < time.monotonic() - began < 6


def test_the_log_holds_no_id(session, site):
    login = session.log_in(13)
    me(session, login.headers)
    assert all(secret_of(login) not in log.read_text() for log in site.folder.glob("replica-*.log"))


def test_names_are_as_long_as_each_other():
    assert re.fullmatch(r"user-\d{5}", users.user_name(0, 10_000))
    assert len(users.user_name(0, 1_000_000)) == len(users.user_name(999_999, 1_000_000))
