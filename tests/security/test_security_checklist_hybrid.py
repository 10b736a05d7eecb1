"""The checklist of refresh tokens, line by line, against whole topologies (docs/security.md has the table)."""

import threading
import time

from tests.security.checklist import line
from tests.security.client import Login
from tests.security.systems import ADMINISTRATOR, new_user


def refresh(system, token, replica=None):
    return system.ask("POST", "/refresh", body={"refresh_token": token}, replica=replica)


@line("Hybrid", "a refresh token works once", "ASVS 10.4.5; RFC 9700, 4.14.2", lambda t: t.refreshes)
def test_a_refresh_token_works_once(system):
    login = system.log_in()
    first = refresh(system, login.refresh)
    assert first.status == 200
    renewed = Login.of(first)
    assert renewed.refresh not in {None, login.refresh}
    assert renewed.secret != login.secret
    assert system.statuses(renewed.headers) == {200}
    for replica in system.replicas:
        assert refresh(system, login.refresh, replica).status == 401


@line("Hybrid", "its second use kills the family", "ASVS 10.4.5; RFC 9700, 4.14.2", lambda t: t.refreshes)
def test_a_second_use_ends_the_family(system):
    user = new_user()
    login, other = system.log_in(user), system.log_in(user)
    renewed = Login.of(refresh(system, login.refresh))
    renewed = Login.of(refresh(system, renewed.refresh))
    assert refresh(system, login.refresh).status == 401  # thief or client: nobody can tell
    for replica in system.replicas:
        assert refresh(system, renewed.refresh, replica).status == 401
    assert refresh(system, other.refresh).status == 200  # another sign-in of the user is another family


@line("Hybrid", "N parallel refreshes have one winner", "RFC 9700, 4.14.2", lambda t: t.refreshes)
def test_of_parallel_refreshes_one_wins(system):
    replicas = list(system.replicas)
    for _ in range(5):
        login = system.log_in()
        statuses = []
        gate = threading.Barrier(8)

        def run(number, login=login, gate=gate, statuses=statuses):
            gate.wait(10)
            statuses.append(refresh(system, login.refresh, replicas[number % len(replicas)]).status)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(statuses) == [200] + [401] * 7


@line("Hybrid", "absolute expiry", "ASVS 10.4.8; RFC 9700, 4.14.2", lambda t: t.refreshes)
def test_refreshing_does_not_put_the_end_off(system):
    brief = system.variant(SESSION_IDLE_SECONDS="2", SESSION_ABSOLUTE_SECONDS="2", TOKEN_TTL_SECONDS="1")
    began = time.monotonic()
    login, status = brief.log_in(), 200
    while status == 200:
        assert time.monotonic() - began < 4
        reply = refresh(brief, login.refresh)
        status = reply.status
        if status == 200:
            login = Login.of(reply)
    assert status == 401
    assert time.monotonic() - began > 0.9
    deadline = time.monotonic() + 2  # and no access token outlives it
    while brief.status(login.headers) != 401:
        assert time.monotonic() < deadline


@line("Hybrid", "revocation by user", "ASVS 10.4.9; RFC 7009", lambda t: t.refreshes)
def test_revocation_by_user_ends_every_family(system):
    for how in ("logout-all", "administrator", "logout"):
        user = new_user()
        own, second, other = system.log_in(user), system.log_in(user), system.log_in()
        if how == "administrator":
            administrator = system.log_in(ADMINISTRATOR)
            assert system.ask("DELETE", f"/users/{user}/sessions", administrator.change).status == 200
        else:
            assert system.ask("POST", f"/{how}", own.change).status == 204
        assert refresh(system, own.refresh).status == 401
        assert refresh(system, second.refresh).status == (200 if how == "logout" else 401)
        assert refresh(system, other.refresh).status == 200
