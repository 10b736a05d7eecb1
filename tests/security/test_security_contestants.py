"""What Flask-Session and Flask-JWT-Extended do on the same interface, and which of their traps ours do not have.

Interleavings are made by the store: `CLIENT PAUSE WRITE` holds every write back, in the order of their arrival.
"""

import contextlib
import threading
import time

import pytest
import redis

ASKED = 5


@pytest.fixture(scope="module")
def admin(valkey_url):
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture(scope="module")
def flask_session(start, valkey_url):
    return start(AUTH_SCHEME="flask-session", STORE_URL=valkey_url, STORE_TIMEOUT_MS="20000")


@pytest.fixture(scope="module")
def ours(start, valkey_url):
    return start(AUTH_SCHEME="session", STORE_URL=valkey_url, STORE_TIMEOUT_MS="20000")


@pytest.fixture(scope="module")
def flask_jwt_extended(start):
    return start(AUTH_SCHEME="flask-jwt-extended")


@pytest.fixture(params=["flask_session", "flask_jwt_extended"])
def contestant(request):
    return request.getfixturevalue(request.param)


def me(replica, login):
    return replica.ask("GET", "/me", login.headers)


class Held:
    """Requests whose writes the store holds back; released together, first come first served."""

    def __init__(self, admin):
        self._admin = admin
        self._threads = []
        self.replies = []

    def ask(self, replica, *request):
        number = len(self._threads)
        self.replies.append(None)

        def run():
            self.replies[number] = replica.ask(*request)

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()
        deadline = time.monotonic() + 10
        while self._admin.info("clients")["blocked_clients"] <= number:
            assert time.monotonic() < deadline
            assert self.replies[number] is None, self.replies[number].body

    def join(self):
        for each in self._threads:
            each.join(20)
        assert None not in self.replies


@contextlib.contextmanager
def writes_held(admin):
    admin.execute_command("CLIENT", "PAUSE", 30_000, "WRITE")
    held = Held(admin)
    try:
        yield held
    finally:
        admin.execute_command("CLIENT", "UNPAUSE")
        held.join()


def commands_of(admin, ask):
    admin.config_resetstat()
    for _ in range(ASKED):
        ask()
    counted = {name.removeprefix("cmdstat_"): each["calls"] for name, each in admin.info("commandstats").items()}
    return {name: counted[name] for name in counted if name in {"get", "getex", "set", "setex", "expire", "del"}}


def test_flask_session_writes_on_each_request_and_ours_does_not(admin, flask_session, ours):
    theirs, own = flask_session.log_in(), ours.log_in()
    assert commands_of(admin, lambda: me(flask_session, theirs)) == {"get": ASKED, "set": ASKED}
    assert commands_of(admin, lambda: me(ours, own)) == {"getex": ASKED}


def test_flask_session_sets_its_cookie_on_each_answer_and_ours_at_login_alone(flask_session, ours):
    assert len(me(flask_session, flask_session.log_in()).all("Set-Cookie")) == 1
    assert me(ours, ours.log_in()).all("Set-Cookie") == []


@pytest.mark.parametrize(("name", "afterwards"), [("flask_session", 200), ("ours", 401)])
def test_who_revives_a_session_that_was_logged_out(admin, request, name, afterwards):
    replica = request.getfixturevalue(name)
    login = replica.log_in()
    with writes_held(admin) as held:
        held.ask(replica, "POST", "/logout", login.change)
        held.ask(replica, "GET", "/me", login.headers)  # read before the deletion; Flask-Session writes after it
    assert held.replies[0].status == 204
    assert me(replica, login).status == afterwards


@pytest.mark.parametrize(("name", "loses"), [("flask_session", True), ("ours", False)])
def test_who_loses_an_update_that_was_answered(admin, request, name, loses):
    replica = request.getfixturevalue(name)
    login = replica.log_in()
    with writes_held(admin) as held:
        for display_name in ("one", "two"):
            held.ask(replica, "POST", "/profile", login.change, {"display_name": display_name})
    answered = sum(reply.status == 200 for reply in held.replies)
    assert (me(replica, login).json["serial"] < answered) is loses


def test_a_contestant_knows_who_signed_in_and_changes_its_state(contestant):
    login = contestant.log_in()
    assert me(contestant, login).json == {
        "user": "user-00001",
        "role": "reader",
        "display_name": "user-00001",
        "serial": 0,
    }
    changed = contestant.ask("POST", "/profile", login.change, {"display_name": "Ünïcode"})
    assert (changed.status, changed.json["display_name"], changed.json["serial"]) == (200, "Ünïcode", 1)


def test_without_a_credential_or_with_rubbish_a_contestant_refuses(contestant):
    rubbish = ({}, {"Cookie": "session=" + "A" * 43}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Bearer"})
    for headers in rubbish:
        reply = contestant.ask("GET", "/me", headers)
        assert (reply.status, reply.header("Content-Type")) == (401, "application/problem+json")
        assert reply.header("WWW-Authenticate")


def test_a_contestant_lists_no_sessions_and_ends_none_of_others(contestant):
    login = contestant.log_in()
    assert contestant.ask("GET", "/sessions", login.headers).status == 404
    assert contestant.ask("DELETE", "/sessions/any", login.change).status == 404
    assert contestant.ask("POST", "/logout-all", login.change).status == 404


def test_logout_ends_a_session_and_cannot_end_a_token(flask_session, flask_jwt_extended):
    for replica, afterwards in ((flask_session, 401), (flask_jwt_extended, 200)):
        login = replica.log_in()
        assert replica.ask("POST", "/logout", login.change).status == 204
        assert me(replica, login).status == afterwards


def test_flask_sessions_cookie_is_guarded_and_its_id_new_at_login(flask_session):
    first = flask_session.log_in()
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(first.reply.header("Set-Cookie").split("; ")[1:])
    again = flask_session.log_in(headers=first.headers)
    assert again.headers != first.headers
    assert me(flask_session, first).status == 401
    fixed = {"Cookie": "session=" + "A" * 43}
    assert flask_session.log_in(headers=fixed).headers != fixed


def test_flask_sessions_changes_need_the_csrf_token(flask_session):
    login = flask_session.log_in()
    body = {"display_name": "x"}
    assert flask_session.ask("POST", "/profile", login.headers, body).status == 403
    assert flask_session.ask("POST", "/profile", login.change | {"Origin": "https://evil.example"}, body).status == 403


def test_flask_sessions_reading_and_writing_count_as_authentication(flask_session, timing):
    auth, store, _, replica = timing(me(flask_session, flask_session.log_in()))
    assert 0 < store < auth < 1000
    assert replica == "replica-0"


def test_a_contestants_token_is_refused_by_ours_and_the_reverse(flask_jwt_extended, token):
    # both are signed under one key: only the checks stand between them
    assert me(token, flask_jwt_extended.log_in()).status == 401
    assert flask_jwt_extended.ask("GET", "/me", {"Authorization": "Bearer " + "x" * 300}).status == 401


def test_flask_session_answers_500_when_its_store_is_down(start, unused_port):
    replica = start(AUTH_SCHEME="flask-session", STORE_URL=f"redis://127.0.0.1:{unused_port}/0", STORE_TIMEOUT_MS="200")
    reply = replica.ask("GET", "/me", {"Cookie": "session=" + "A" * 43})
    assert (reply.status, reply.header("Content-Type")) == (500, "application/problem+json")
