"""Refresh tokens from outside: RFC 9700, 4.14; OWASP ASVS 5.0, 10.4."""

import base64
import json
import threading
import time

import pytest

from servers import users
from servers.users import PASSWORD


class SignIn:
    """A client of the hybrid scheme and the tokens that it was given, oldest first."""

    def __init__(self, replica, number=1, headers=None):
        body = {"username": users.user_name(number, 200), "password": PASSWORD}
        reply = replica.ask("POST", "/login", headers, body)
        assert reply.status == 200, reply.body
        self.replica = replica
        self.credential = reply.json["credential"]
        self.refresh_token = self.credential["refresh_token"]

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.credential['access_token']}"}

    def me(self, replica=None):
        return (replica or self.replica).ask("GET", "/me", self.headers)

    def refresh(self, replica=None):
        """The client's next refresh; keeps what it is given."""
        reply = refresh(replica or self.replica, self.refresh_token)
        if reply.status == 200:
            self.credential = reply.json["credential"]
            self.refresh_token = self.credential.get("refresh_token", self.refresh_token)
        return reply.status


def refresh(replica, token, headers=None):
    return replica.ask("POST", "/refresh", headers, {"refresh_token": token})


def claims(sign_in):
    return json.loads(base64.urlsafe_b64decode(sign_in.credential["access_token"].split(".")[1] + "=="))


@pytest.fixture(scope="session")
def hybrid(start, valkey_url):
    return start(AUTH_SCHEME="hybrid", STORE_URL=valkey_url)


@pytest.fixture(scope="session")
def hybrid_neighbour(start, valkey_url):
    return start(AUTH_SCHEME="hybrid", STORE_URL=valkey_url, REPLICA_NAME="replica-1")


@pytest.fixture(scope="session")
def graceful(start, valkey_url):
    return start(AUTH_SCHEME="hybrid", STORE_URL=valkey_url, REFRESH_GRACE_SECONDS="1")


def test_a_refresh_token_gives_a_new_access_token_and_its_own_successor(hybrid, hybrid_neighbour):
    client = SignIn(hybrid)
    seen = {client.refresh_token}
    for replica in (hybrid_neighbour, hybrid, hybrid_neighbour):
        assert client.refresh(replica) == 200
        assert client.me(replica).json["user"] == "user-00001"
        seen.add(client.refresh_token)
    assert len(seen) == 4
    assert client.credential.keys() == {
        "kind", "access_token", "token_type", "expires_in", "refresh_token", "refresh_path",
    }  # fmt: skip


def test_both_parts_of_a_refresh_token_have_128_bits_and_the_secret_is_new_each_time(hybrid):
    tokens = [SignIn(hybrid).refresh_token.split(".") for _ in range(10)]
    assert all(len(base64.urlsafe_b64decode(part + "==")) >= 16 for parts in tokens for part in parts)
    assert len({part for parts in tokens for part in parts}) == 20


def test_an_access_token_is_short_lived(hybrid):
    client = SignIn(hybrid)
    assert client.credential["expires_in"] == 300
    assert claims(client)["exp"] - claims(client)["iat"] == 300


def test_a_second_use_kills_the_family(hybrid, hybrid_neighbour):
    client = SignIn(hybrid)
    stolen = client.refresh_token
    assert client.refresh() == 200
    reused = refresh(hybrid_neighbour, stolen)
    assert reused.status == 401
    assert 'error="invalid_token"' in reused.header("WWW-Authenticate")
    assert client.refresh() == 401  # nobody knows which of the two is the thief
    assert client.me().status == 200  # until it expires: no store is asked


def test_any_earlier_token_kills_the_family_and_no_other(hybrid):
    client, other = SignIn(hybrid), SignIn(hybrid)
    oldest = client.refresh_token
    assert [client.refresh() for _ in range(3)] == [200] * 3
    assert refresh(hybrid, oldest).status == 401
    assert (client.refresh(), other.refresh()) == (401, 200)


def test_of_parallel_refreshes_one_wins(hybrid, hybrid_neighbour):
    for _ in range(10):
        client = SignIn(hybrid)
        statuses = in_parallel(
            8, lambda n, c=client: refresh((hybrid, hybrid_neighbour)[n % 2], c.refresh_token).status
        )
        assert sorted(statuses) == [200] + [401] * 7


def test_within_the_grace_window_losers_get_an_access_token_and_one_gets_the_successor(graceful):
    client = SignIn(graceful)
    replies = in_parallel(8, lambda _: refresh(graceful, client.refresh_token))
    assert [reply.status for reply in replies] == [200] * 8
    (successor,) = [each for reply in replies if (each := reply.json["credential"].get("refresh_token"))]
    for reply in replies:
        bearer = {"Authorization": f"Bearer {reply.json['credential']['access_token']}"}
        assert graceful.ask("GET", "/me", bearer).status == 200
    assert refresh(graceful, successor).status == 200


def test_after_the_grace_window_a_second_use_kills(graceful):
    client = SignIn(graceful)
    used = client.refresh_token
    assert client.refresh() == 200
    deadline = time.monotonic() + 10
    while refresh(graceful, used).status == 200:
        assert time.monotonic() < deadline
    assert client.refresh() == 401


def test_the_grace_window_is_for_the_token_before_the_present_one_alone(graceful):
    client = SignIn(graceful)
    oldest = client.refresh_token
    assert [client.refresh(), client.refresh()] == [200, 200]
    assert refresh(graceful, oldest).status == 401
    assert client.refresh() == 401


@pytest.mark.parametrize("request_", ["logout", "logout-all", "sessions", "kill"])
def test_what_has_ended_is_not_refreshed_on_any_replica(hybrid, hybrid_neighbour, request_):
    client = SignIn(hybrid, 120)
    administrator = SignIn(hybrid, 0)
    own = claims(client)["sid"]
    reply = {
        "logout": lambda: hybrid.ask("POST", "/logout", client.headers),
        "logout-all": lambda: hybrid.ask("POST", "/logout-all", client.headers),
        "sessions": lambda: hybrid.ask("DELETE", f"/sessions/{own}", client.headers),
        "kill": lambda: hybrid.ask("DELETE", "/users/user-00120/sessions", administrator.headers),
    }[request_]()
    assert reply.status in {200, 204}
    assert client.refresh(hybrid_neighbour) == 401
    assert hybrid.ask("POST", "/profile", client.headers, {"display_name": "x"}).status == 401
    assert hybrid.ask("POST", "/logout", client.headers).status == 204  # once more does no harm


def test_a_user_sees_and_ends_own_sign_ins_alone(hybrid):
    first, second, other = SignIn(hybrid, 121, {"User-Agent": "a browser"}), SignIn(hybrid, 121), SignIn(hybrid, 122)
    listed = hybrid.ask("GET", "/sessions", second.headers).json["sessions"]
    assert [(each["id"], each["current"]) for each in listed] == [
        (claims(first)["sid"], False),
        (claims(second)["sid"], True),
    ]
    assert (listed[0]["user_agent"], listed[0]["address"]) == ("a browser", "127.0.0.1")
    assert hybrid.ask("DELETE", f"/sessions/{listed[0]['id']}", other.headers).status == 404
    assert first.refresh() == 200
    assert hybrid.ask("DELETE", f"/sessions/{listed[0]['id']}", second.headers).status == 204
    assert (first.refresh(), second.refresh()) == (401, 200)


def test_a_sign_in_with_an_earlier_access_token_ends_that_one(hybrid):
    earlier = SignIn(hybrid)
    later = SignIn(hybrid, 2, earlier.headers)
    assert (earlier.refresh(), later.refresh()) == (401, 200)


def test_a_refresh_token_is_no_access_token_and_the_reverse(hybrid):
    client = SignIn(hybrid)
    for text in (client.refresh_token, *client.refresh_token.split(".")):
        assert hybrid.ask("GET", "/me", {"Authorization": f"Bearer {text}"}).status == 401
    assert refresh(hybrid, client.credential["access_token"]).status == 401
    # as a header, in the path or as a cookie it is not looked at
    assert hybrid.ask("POST", "/refresh", {"Authorization": f"Bearer {client.refresh_token}"}).status == 401
    assert hybrid.ask("POST", f"/refresh?refresh_token={client.refresh_token}").status == 401
    assert hybrid.ask("POST", "/refresh", {"Cookie": f"refresh_token={client.refresh_token}"}).status == 401
    assert client.refresh() == 200


def test_a_signed_token_without_a_sign_in_is_refused(hybrid, forge):
    complete = forge.claims | {"sid": "s" * 43}
    assert hybrid.ask("GET", "/me", {"Authorization": f"Bearer {forge.sign(forge.header, complete)}"}).status == 200
    wrong = [forge.claims, complete | {"sid": 7}, complete | {"serial": True}, complete | {"role": None}]
    for each in wrong:
        reply = hybrid.ask("GET", "/me", {"Authorization": f"Bearer {forge.sign(forge.header, each)}"})
        assert reply.status == 401


def test_the_public_name_of_a_sign_in_opens_nothing_and_ends_nothing(hybrid):
    client = SignIn(hybrid)
    handle = claims(client)["sid"]
    for guess in (handle, f"{handle[:22]}.{'A' * 22}", f"{'A' * 22}.{client.refresh_token[23:]}"):
        assert refresh(hybrid, guess).status == 401
    assert client.refresh() == 200


@pytest.mark.parametrize(
    "token", ["", ".", "x", "a.b", "A" * 22 + "." + "A" * 22, "A" * 9000, "\ud800", "é" * 45, "\x00"]
)
def test_rubbish_is_401(hybrid, token):
    assert refresh(hybrid, token).status == 401


@pytest.mark.parametrize("raw", [b"{", b"[]", b"null", b"{}", b'{"refresh_token": 7}', b"\xff"])
def test_a_malformed_body_is_400_and_another_type_415(hybrid, raw):
    assert hybrid.ask("POST", "/refresh", {"Content-Type": "application/json"}, raw=raw).status == 400
    assert hybrid.ask("POST", "/refresh", {"Content-Type": "text/plain"}, raw=raw).status == 415


def test_another_sites_page_refreshes_nothing(hybrid):
    client = SignIn(hybrid)
    for site in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert refresh(hybrid, client.refresh_token, site).status == 403
    assert client.refresh() == 200


def test_a_profile_change_gives_an_access_token_and_prolongs_nothing(hybrid, hybrid_neighbour):
    client = SignIn(hybrid)
    before = claims(client)
    reply = hybrid.ask("POST", "/profile", client.headers, {"display_name": "Grace"})
    assert (reply.json["display_name"], reply.json["serial"]) == ("Grace", 1)
    stale = client.headers
    assert "refresh_token" not in reply.json["credential"]
    client.credential = reply.json["credential"]
    assert claims(client)["exp"] == before["exp"]
    assert client.me(hybrid_neighbour).json["display_name"] == "Grace"
    assert hybrid_neighbour.ask("POST", "/profile", stale, {"display_name": "Ada"}).status == 409
    assert client.refresh(hybrid_neighbour) == 200  # the same refresh token, and the state goes with its successor
    assert client.me().json["serial"] == 1


def test_a_sign_in_ends_absolutely_however_often_it_is_refreshed(start, valkey_url):
    limits = {"SESSION_IDLE_SECONDS": "2", "SESSION_ABSOLUTE_SECONDS": "3"}
    brief = start(AUTH_SCHEME="hybrid", STORE_URL=valkey_url, **limits)
    began = time.monotonic()
    used, idle = SignIn(brief, 130), SignIn(brief, 130)
    while used.refresh() == 200:
        assert time.monotonic() - began < 10
        assert claims(used)["exp"] <= time.time() + 2
    assert 2 < time.monotonic() - began < 5
    assert used.me().status == 401  # no access token outlives its sign-in
    assert idle.refresh() == 401


def test_an_idle_sign_in_ends(start, valkey_url):
    brief = start(AUTH_SCHEME="hybrid", STORE_URL=valkey_url, SESSION_IDLE_SECONDS="2")
    used, idle = SignIn(brief, 131), SignIn(brief, 131)
    deadline = time.monotonic() + 10

    def live():
        assert used.refresh() == 200
        assert time.monotonic() < deadline
        return len(brief.ask("GET", "/sessions", used.headers).json["sessions"])

    assert live() == 2
    while live() == 2:  # using the one does not keep the other
        pass
    assert (used.refresh(), idle.refresh()) == (200, 401)


def test_recognising_a_user_asks_no_store(hybrid, timing):
    client = SignIn(hybrid)
    auth, store, _, _ = timing(client.me())
    assert auth > 0
    assert store == 0
    assert timing(refresh(hybrid, client.refresh_token))[1] > 0


def test_while_the_store_is_down_access_tokens_count_and_refreshing_is_a_503(start, start_valkey, unused_port):
    url = f"redis://127.0.0.1:{unused_port}/0"
    replica = start(AUTH_SCHEME="hybrid", STORE_URL=url, STORE_TIMEOUT_MS="300")
    with start_valkey(unused_port):
        client = SignIn(replica)
    reply = refresh(replica, client.refresh_token)
    assert (reply.status, reply.header("Retry-After")) == (503, "1")
    assert client.me().status == 200


def test_neither_the_store_nor_the_log_holds_a_refresh_token(hybrid, valkey_url, site):
    redis = pytest.importorskip("redis")
    client = SignIn(hybrid, 133)
    assert client.refresh() == 200
    with redis.Redis.from_url(valkey_url) as store:
        record = store.get(f"session:{claims(client)['sid']}")
        assert b"user-00133" in record
        for part in client.refresh_token.split("."):
            assert part.encode() not in record
    for log in site.folder.glob("replica-*.log"):
        assert client.refresh_token not in log.read_text()


def test_with_a_verified_token_cache_it_is_the_same(start, valkey_url):
    cached = start(AUTH_SCHEME="hybrid", STORE_URL=valkey_url, VERIFY_CACHE="on")
    client = SignIn(cached)
    assert [client.me().status for _ in range(3)] == [200] * 3
    assert client.refresh() == 200


def in_parallel(count, work):
    results = []
    gate = threading.Barrier(count)

    def run(number):
        gate.wait(10)
        results.append(work(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
