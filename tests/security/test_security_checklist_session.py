"""The checklist of sessions, line by line, against whole topologies (docs/security.md has the table)."""

import base64
import time

from servers import users
from tests.security.checklist import any_scheme, line
from tests.security.client import Login
from tests.security.systems import ADMINISTRATOR, new_user

CHANGES = [
    ("POST", "/profile"),
    ("POST", "/password"),
    ("POST", "/logout"),
    ("POST", "/logout-all"),
    ("DELETE", "/sessions/x"),
    ("DELETE", "/users/user-00001/sessions"),
    ("POST", "/users/user-00001/disable"),
]
BODY = {"display_name": "x", "current_password": users.PASSWORD, "new_password": "another long password"}


def brief_one(system):
    """With an idle limit of a second and an absolute one of three; a second more of both where touches are rationed.

    The least interval between touches is a second, and an idle limit as short would end what is used.
    """
    more = system.kind.option("touch") == "interval"
    limits = {
        "SESSION_IDLE_SECONDS": 1 + more,
        "SESSION_ABSOLUTE_SECONDS": 3 + more,
        "SESSION_TOUCH_INTERVAL_SECONDS": 1,
    }
    return 1 + more, system.variant(**{name: str(value) for name, value in limits.items()})


@line("Session", "id of 128 random bits or more", "ASVS 7.2.3; Cheat Sheet, Session ID Entropy", lambda t: t.by_store)
def test_ids_hold_128_random_bits(system):
    secrets = [system.log_in(user).secret for user in [new_user()] * 40]
    assert len(set(secrets)) == len(secrets)
    numbers = [int.from_bytes(base64.urlsafe_b64decode(each + "==")) for each in secrets]
    # a bit that is random is the same in 40 ids once in 2^39 times
    ever_one, ever_zero = 0, 0
    for number in numbers:
        ever_one |= number
        ever_zero |= ~number
    assert (ever_one & ever_zero).bit_count() >= 128


@line(
    "Session",
    "new id at login and the old one dead",
    "ASVS 7.2.4; Cheat Sheet, Renew the Session ID",
    lambda t: t.by_store,
)
def test_login_gives_a_new_id_and_ends_the_old(system):
    user = new_user()
    old = system.log_in(user)
    new = system.log_in(user, headers=old.headers)
    assert new.secret != old.secret
    assert system.alive(new)
    assert system.ended(old)
    system.log_in(new_user(), headers=new.headers)  # nor does the next user's browser keep the last one's session
    assert system.ended(new)


@line(
    "Session",
    "an id that the server did not issue is never adopted",
    "ASVS 7.2.1; Cheat Sheet, Strict Session Management",
    lambda t: t.by_store,
)
def test_an_id_not_issued_is_not_adopted(system):
    known = system.log_in()
    made_up = base64.urlsafe_b64encode(b"\x01" * 16).rstrip(b"=").decode()
    assert len(made_up) == len(known.secret)
    fixed = known.holding(made_up)
    assert system.statuses(fixed) == {401}
    assert system.log_in(headers=fixed).secret != made_up
    assert system.statuses(fixed) == {401}


@line("Session", "idle and absolute timeout", "ASVS 7.3.1", lambda t: t.by_store)
def test_an_idle_session_ends(system):
    if system.kind.option("touch") == "never":
        return  # then the absolute limit is the only one, and the test of that one holds
    idle_s, brief = brief_one(system)
    user = new_user()
    began = time.monotonic()
    idle, used = brief.log_in(user), brief.log_in(user)

    def listed():
        reply = brief.ask("GET", "/sessions", used.headers)
        assert reply.status == 200, reply.body  # asking keeps this one alive
        return len(reply.json["sessions"])

    assert listed() == 2
    while listed() == 2:  # asking with the idle one itself would move its limit on
        assert time.monotonic() - began < idle_s + 1.5  # some stores count in whole seconds
    assert time.monotonic() - began > idle_s - 0.3
    assert brief.status(idle.headers) == 401


@line("Session", "idle and absolute timeout", "ASVS 7.3.2", lambda t: t.by_store)
def test_a_used_session_ends_all_the_same(system):
    idle_s, brief = brief_one(system)
    began = time.monotonic()
    login = brief.log_in()
    while brief.status(login.headers) == 200:
        assert time.monotonic() - began < idle_s + 4
    assert time.monotonic() - began > idle_s + 1.2


@line("Session", "logout works on every replica at once", "ASVS 7.4.1", lambda t: t.by_store)
def test_logout_ends_it_on_every_replica(system):
    login = system.log_in()
    assert system.alive(login)
    assert system.ask("POST", "/logout", login.change).status == 204
    assert system.ended(login)


@line(
    "Session",
    "disabling a user, changing a password and an administrator's kill end sessions",
    "ASVS 7.4.2",
    lambda t: t.ends,
)
def test_disabling_a_user_ends_their_sessions(system):
    user = new_user()
    theirs, others = [system.log_in(user), system.log_in(user)], system.log_in()
    administrator = system.log_in(ADMINISTRATOR)
    assert system.ask("POST", f"/users/{user}/disable", theirs[0].change).status == 403
    assert system.ask("POST", f"/users/{user}/disable", administrator.change).status == 200
    assert all(system.ended(each) for each in theirs)
    assert system.try_log_in(user).status == 401
    assert system.alive(others)


@line(
    "Session",
    "disabling a user, changing a password and an administrator's kill end sessions",
    "ASVS 7.4.3",
    lambda t: t.ends,
)
def test_a_new_password_ends_other_sessions(system):
    user, new = new_user(), "another long password"
    own, other = system.log_in(user), system.log_in(user)
    body = {"current_password": "wrong password", "new_password": new}
    assert system.ask("POST", "/password", own.change, body).status == 403
    assert system.alive(other)
    changed = system.ask("POST", "/password", own.change, body | {"current_password": users.PASSWORD})
    assert changed.status == 200
    assert system.ended(other)
    assert system.ended(own)
    assert system.alive(Login.of(changed))
    assert system.try_log_in(user).status == 401
    assert system.try_log_in(user, new).status == 200


@line(
    "Session",
    "disabling a user, changing a password and an administrator's kill end sessions",
    "ASVS 7.4.5",
    lambda t: t.ends,
)
def test_an_administrators_kill_ends_sessions(system):
    user = new_user()
    theirs, others = [system.log_in(user), system.log_in(user)], system.log_in()
    administrator = system.log_in(ADMINISTRATOR)
    assert system.ask("DELETE", f"/users/{user}/sessions", others.change).status == 403
    assert system.alive(theirs[0])
    assert system.ask("DELETE", f"/users/{user}/sessions", administrator.change).status == 200
    assert all(system.ended(each) for each in theirs)
    assert system.alive(others)
    assert system.alive(system.log_in(user))


@line(
    "Session",
    "`__Host-` cookie, Secure, HttpOnly, SameSite, at most 4096 bytes",
    "ASVS 3.3.1-3.3.5",
    lambda t: t.cookie,
)
def test_cookies_are_as_guarded_as_they_get(system):
    set_cookies = system.log_in().reply.all("Set-Cookie")
    assert set_cookies
    for each in set_cookies:
        pair, *attributes = each.split("; ")
        assert pair.startswith("__Host-")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(attributes)
        assert {"SameSite=Strict", "SameSite=Lax"} & set(attributes)
        assert not [attribute for attribute in attributes if attribute.lower().startswith("domain")]
        assert len(each) <= 4096


@line("Session", "id never in a body or URL", "ASVS 14.2.1; Cheat Sheet, Session ID Exchange", lambda t: t.cookie)
def test_the_credential_is_in_no_body_and_no_url(system):
    login = system.log_in()
    change = system.ask("POST", "/profile", login.change, {"display_name": "x"})
    replies = [login.reply, change, *(system.ask("GET", path, login.headers) for path in ("/me", "/sessions"))]
    for reply in replies:
        assert login.secret.encode() not in reply.body
        assert not reply.all("Location")
    ((name, value),) = login.headers.items()
    assert name == "Cookie"
    assert system.ask("GET", f"/me?{value}").status == 401


@line("Session", "CSRF token on state changes", "ASVS 3.5.1", lambda t: t.cookie)
def test_changes_need_the_csrf_token(system):
    user = new_user()
    login, other = system.log_in(user), system.log_in(user)
    ((header, own),) = login.csrf.items()
    assert own != other.csrf[header]
    for method, path in CHANGES:
        for csrf in ({}, {header: ""}, {header: "wrong"}, other.csrf):
            assert system.ask(method, path, login.headers | csrf, BODY).status == 403, (path, csrf)
        for site in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            assert system.ask(method, path, login.change | site, BODY).status == 403, (path, site)
    assert system.ask("GET", "/me", login.headers).json["serial"] == 0
    assert system.ask("POST", "/profile", login.change, BODY).status == 200


@line("Session", "no state change on GET", "ASVS 3.5.3; RFC 9110, 9.2.1", any_scheme)
def test_get_changes_nothing(system):
    login = system.log_in()
    before = system.ask("GET", "/me", login.headers)
    for _, path in [*CHANGES, ("POST", "/login"), ("POST", "/refresh")]:
        for method in ("GET", "HEAD"):
            assert system.ask(method, path, login.change).status == 405, path
    after = system.ask("GET", "/me", login.headers)
    assert (after.status, after.body) == (200, before.body)


@line("Session", "`Cache-Control: no-store`", "ASVS 14.3.2", any_scheme)
def test_no_answer_is_cached(system):
    login = system.log_in()
    for method, path, body in [
        ("GET", "/me", None), ("GET", "/sessions", None), ("GET", "/nowhere", None), ("POST", "/refresh", {}),
        ("POST", "/profile", {"display_name": "x"}), ("POST", "/profile", {}), ("POST", "/logout", None),
    ]:  # fmt: skip
        assert system.ask(method, path, login.change, body).all("Cache-Control") == ["no-store"], path
    for reply in (login.reply, system.ask("GET", "/me")):
        assert reply.all("Cache-Control") == ["no-store"]


@line("Session", "Clear-Site-Data on logout", "ASVS 14.3.1", any_scheme)
def test_logout_clears_the_site(system):
    login = system.log_in()
    for path in ("/logout", "/logout-all"):
        login = system.log_in()
        reply = system.ask("POST", path, login.change)
        if reply.status == 404:
            continue  # a scheme that can end nothing has no such path
        assert reply.status == 204
        for kind in ("cache", "cookies", "storage"):
            assert f'"{kind}"' in "".join(reply.all("Clear-Site-Data"))
        names = {each.partition("=")[0] for each in login.reply.all("Set-Cookie")}
        cleared = {each.partition("=")[0] for each in reply.all("Set-Cookie") if "Max-Age=0" in each}
        assert names <= cleared
