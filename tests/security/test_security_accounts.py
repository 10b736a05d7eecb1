"""Passwords, administrators and disabled users from outside (OWASP ASVS 5.0, chapters 6 and 7)."""

import contextlib
import http.client
import sqlite3
import statistics
import threading
import time
from types import SimpleNamespace

import pytest

from servers import users
from servers.users import PASSWORD

ADMIN, READERS = 0, range(1, 100)
NEW = "another horse, another battery"
# scheme, and whether the server can end a sign-in
KINDS = ["session", "hybrid", "token", "signed_cookie"]
ENDING = ["session", "hybrid"]


class Client:
    """One signed-in user, whatever the scheme."""

    def __init__(self, replica, number, password=PASSWORD):
        self.replica, self.name = replica, users.user_name(number, 200)
        reply = replica.ask("POST", "/login", body={"username": self.name, "password": password})
        assert reply.status == 200, reply.body
        self.take(reply)

    def take(self, reply):
        self.credential = reply.json["credential"]
        self.csrf = {}
        if self.credential["kind"] == "bearer":
            self.headers = {"Authorization": f"Bearer {self.credential['access_token']}"}
        else:
            self.headers = {"Cookie": reply.header("Set-Cookie").partition(";")[0]}
            self.csrf = {self.credential["csrf_header"]: self.credential["csrf_token"]}

    def ask(self, method, path, body=None):
        return self.replica.ask(method, path, self.headers | self.csrf, body)

    def password(self, current=PASSWORD, new=NEW):
        return self.ask("POST", "/password", {"current_password": current, "new_password": new})

    def is_live(self):
        """Whether the sign-in goes on: as a session, or by its refresh token, which this uses."""
        if "refresh_token" not in self.credential:
            return self.ask("GET", "/me").status == 200
        reply = self.replica.ask("POST", "/refresh", body={"refresh_token": self.credential["refresh_token"]})
        if reply.status == 200:
            self.take(reply)
        return reply.status == 200


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("accounts") / "users.db"
    users.seed(path, 200, users.HashCost.parse("fast"))
    return path


@pytest.fixture(scope="module")
def replicas(start, valkey_url, table):
    known = {}

    def of(scheme):
        if scheme not in known:
            known[scheme] = start(AUTH_SCHEME=scheme, STORE_URL=valkey_url, USERS_DB=str(table))
        return known[scheme]

    return of


@pytest.fixture(scope="module")
def numbers():
    """A reader whom no other test has used."""
    return iter(READERS)


@pytest.fixture
def site_of(replicas, numbers):
    return lambda scheme: SimpleNamespace(
        replica=replicas(scheme), number=next(numbers), administrator=lambda: Client(replicas(scheme), ADMIN)
    )


@pytest.mark.parametrize("scheme", ENDING)
def test_a_new_password_ends_every_earlier_sign_in_and_goes_on_with_a_new_one(site_of, scheme):
    here = site_of(scheme)
    own, other = Client(here.replica, here.number), Client(here.replica, here.number)
    before = Client(here.replica, here.number)
    before.__dict__ |= own.__dict__  # what the client had until then
    changed = own.password()
    assert changed.status == 200, changed.body
    assert changed.json.keys() == {"credential"}
    own.take(changed)
    assert (own.is_live(), before.is_live(), other.is_live()) == (True, False, False)
    assert own.ask("GET", "/me").json["user"] == own.name
    listed = own.ask("GET", "/sessions").json["sessions"]
    assert [each["current"] for each in listed] == [True]


@pytest.mark.parametrize("scheme", KINDS)
def test_the_new_password_signs_in_and_the_old_one_does_not(site_of, scheme):
    here = site_of(scheme)
    client = Client(here.replica, here.number)
    assert client.password().status == 200
    old = here.replica.ask("POST", "/login", body={"username": client.name, "password": PASSWORD})
    assert old.status == 401
    assert Client(here.replica, here.number, NEW).ask("GET", "/me").status == 200


@pytest.mark.parametrize("scheme", ["token", "signed_cookie"])
def test_what_the_server_keeps_nothing_about_lives_until_it_expires(site_of, scheme):
    here = site_of(scheme)
    own, other = Client(here.replica, here.number), Client(here.replica, here.number)
    assert own.password().status == 200
    assert own.ask("GET", "/me").status == other.ask("GET", "/me").status == 200  # its price, told in openapi.yaml
    disabled = here.administrator().ask("POST", f"/users/{own.name}/disable")
    assert disabled.json == {"ended": None}
    assert other.ask("GET", "/me").status == 200


@pytest.mark.parametrize("scheme", KINDS)
def test_a_wrong_current_password_changes_nothing(site_of, scheme):
    here = site_of(scheme)
    client = Client(here.replica, here.number)
    assert client.password(current="wrong").status == 403
    assert client.is_live()
    assert Client(here.replica, here.number).is_live()


@pytest.mark.parametrize("new", ["", "seven77", "x" * 1025, "\ud800" * 9])
def test_a_password_that_is_none_is_400(site_of, new):
    here = site_of("session")
    client = Client(here.replica, here.number)
    assert client.password(new=new).status == 400
    assert client.is_live()
    assert Client(here.replica, here.number).is_live()


@pytest.mark.parametrize("scheme", ["session", "signed_cookie"])
@pytest.mark.parametrize("path", ["/password", "/users/user-00099/disable"])
def test_with_a_cookie_they_need_the_csrf_token(site_of, scheme, path):
    here = site_of(scheme)
    administrator = here.administrator()
    body = {"current_password": PASSWORD, "new_password": NEW}
    for csrf in ({}, {"X-CSRF-Token": "wrong"}, Client(here.replica, ADMIN).csrf):
        assert here.replica.ask("POST", path, administrator.headers | csrf, body).status == 403
    foreign = administrator.headers | administrator.csrf | {"Sec-Fetch-Site": "cross-site"}
    assert here.replica.ask("POST", path, foreign, body).status == 403
    assert Client(here.replica, ADMIN).is_live()
    assert Client(here.replica, 99).is_live()


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("request_", [("DELETE", "/users/user-00099/sessions"), ("POST", "/users/user-00099/disable")])
def test_administrators_alone(site_of, scheme, request_):
    here = site_of(scheme)
    victim = Client(here.replica, 99)
    assert Client(here.replica, here.number).ask(*request_).status == 403
    assert victim.ask(*request_).status == 403  # not on oneself either
    assert here.replica.ask(*request_).status == 401
    assert victim.is_live()
    assert Client(here.replica, 99).is_live()


@pytest.mark.parametrize("scheme", ENDING)
def test_an_administrator_ends_the_sign_ins_of_a_user_and_no_one_elses(site_of, numbers, scheme):
    here = site_of(scheme)
    own = [Client(here.replica, here.number) for _ in range(3)]
    other, administrator = Client(here.replica, next(numbers)), here.administrator()
    ended = administrator.ask("DELETE", f"/users/{own[0].name}/sessions")
    assert ended.json == {"ended": 3}
    assert [each.is_live() for each in own] == [False] * 3
    assert other.is_live()
    assert administrator.is_live()
    assert Client(here.replica, here.number).is_live()  # who was thrown out may come back


@pytest.mark.parametrize("scheme", KINDS)
def test_a_disabled_user_is_out_and_stays_out(site_of, scheme):
    here = site_of(scheme)
    client = Client(here.replica, here.number)
    for _ in range(2):  # disabling twice must not undo it
        assert here.administrator().ask("POST", f"/users/{client.name}/disable").status == 200
        reply = here.replica.ask("POST", "/login", body={"username": client.name, "password": PASSWORD})
        unknown = here.replica.ask("POST", "/login", body={"username": "nobody", "password": PASSWORD})
        assert (reply.status, reply.body) == (401, unknown.body)
    if scheme in ENDING:
        assert not client.is_live()
    else:
        assert client.password().status == 403  # a token that lives on lets nobody in again


@pytest.mark.parametrize(
    "name",
    [
        "nobody", "USER-00098", "user-00098%20", "%20user-00098", "user-00098%00", "user-00098%0a", "%2e%2e", "*",
        "%25", "/user-00098", "user-00098/",
        "user-00098%2f", "user-0009%2538", "user-000%EF%BC%99%EF%BC%98", "%ff%fe", "user-00098;x", "x" * 3000,
        "user-0009_",
    ],
)  # fmt: skip
def test_no_spelling_of_a_name_is_another_user(site_of, name):
    here = site_of("session")
    victim, administrator = Client(here.replica, 98), here.administrator()
    for request_ in (("DELETE", f"/users/{name}/sessions"), ("POST", f"/users/{name}/disable")):
        assert administrator.ask(*request_).status == 404
        assert victim.ask(*request_).status in {403, 404}
    assert victim.is_live()


def test_the_percent_encoding_of_a_name_is_that_name_and_needs_the_same_role(site_of):
    here = site_of("session")
    client = Client(here.replica, here.number)
    spelled = client.name.replace("u", "%75", 1)
    assert client.ask("POST", f"/users/{spelled}/disable").status == 403
    assert here.administrator().ask("DELETE", f"/users/{spelled}/sessions").json == {"ended": 1}


def test_a_disabled_users_sign_in_costs_what_a_wrong_password_costs(tmp_path):
    users.seed(tmp_path / "users.db", 5, users.HashCost.parse("t=1,m=4096,p=1"))
    table = users.UserTable(tmp_path / "users.db")
    assert table.disable("user-00002")
    spent = {"user-00001": [], "user-00002": []}
    for _ in range(15):
        for name, durations in spent.items():
            began = time.thread_time_ns()
            assert table.verify(name, PASSWORD + "x") is None
            durations.append(time.thread_time_ns() - began)
    wrong, disabled = (statistics.median(each) for each in spent.values())
    assert 0.5 < disabled / wrong < 2


def test_of_password_changes_at_once_one_is_told_that_it_counts(site_of):
    here = site_of("session")
    clients = [Client(here.replica, here.number) for _ in range(4)]
    replies = {}

    def change(client, new):
        replies[new] = client.password(new=new).status

    threads = [threading.Thread(target=change, args=(each, f"{NEW} {n}")) for n, each in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # 401: ended by the one that counts; 403: came after it; 409: met it in the middle
    assert min(replies.values()) == 200
    assert set(replies.values()) <= {200, 401, 403, 409}
    (counts,) = [new for new, status in replies.items() if status == 200]
    assert Client(here.replica, here.number, counts).is_live()


def test_sign_ins_go_on_while_another_process_writes_and_a_lock_that_stays_is_a_503(site_of, table):
    here = site_of("session")
    client = Client(here.replica, here.number)
    with contextlib.closing(sqlite3.connect(table, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # another writer that has not committed: reading goes on
        assert Client(here.replica, here.number).is_live()
        assert_unavailable(client.password())
        other.execute("COMMIT")
        other.execute("BEGIN EXCLUSIVE")  # in the middle of a commit that does not end
        assert_unavailable(here.replica.ask("POST", "/login", body={"username": client.name, "password": PASSWORD}))
        other.execute("ROLLBACK")
    assert client.is_live()
    assert client.password().status == 200


def assert_unavailable(reply):
    assert reply.status == 503, reply.body
    assert reply.header("Retry-After") == "1"
    assert b"sqlite" not in reply.body.lower()


def test_while_the_store_is_down_a_password_stays_as_it_is(start, start_valkey, unused_port, table, numbers):
    url = f"redis://127.0.0.1:{unused_port}/0"
    number = next(numbers)
    # by the access token, which needs no store
    replica = start(AUTH_SCHEME="hybrid", STORE_URL=url, STORE_TIMEOUT_MS="300", USERS_DB=str(table))
    with start_valkey(unused_port):
        client = Client(replica, number)
    assert_unavailable(client.password())
    with start_valkey(unused_port):
        deadline = time.monotonic() + 10
        body = {"username": client.name, "password": PASSWORD}
        while replica.ask("POST", "/login", body=body).status != 200:
            assert time.monotonic() < deadline


def test_a_table_that_cannot_be_written_is_a_503(start, valkey_url, tmp_path):
    path = tmp_path / "users.db"
    users.seed(path, 200, users.HashCost.parse("fast"))
    replica = start(AUTH_SCHEME="session", STORE_URL=valkey_url, USERS_DB=str(path))
    client = Client(replica, 150)
    path.unlink()
    path.mkdir()  # permissions would not stop a test that runs as root
    with contextlib.suppress(http.client.HTTPException):
        assert_unavailable(client.password())
