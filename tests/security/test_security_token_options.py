"""The token scheme's options from outside: revocation on every replica, cookies, keys that change under traffic."""

import base64
import signal
import time

import pytest

from servers.rotate import rotate
from servers.signing_keys import make_keys

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


@pytest.fixture
def keys(tmp_path):
    def file(algorithm):
        make_keys(tmp_path / "keys", algorithm)
        return tmp_path / "keys"

    return file


def me(replica, login):
    return replica.ask("GET", "/me", login.headers)


@pytest.mark.parametrize("revocation", ["denylist", "epoch"])
@pytest.mark.parametrize("cache", ["off", "on"])
def test_a_logout_counts_on_every_replica_at_once(start, valkey_url, revocation, cache):
    options = {"TOKEN_REVOCATION": revocation, "VERIFY_CACHE": cache, "STORE_URL": valkey_url}
    one, other = (start(AUTH_SCHEME="token", REPLICA_NAME=f"replica-{number}", **options) for number in range(2))
    login, second = one.log_in(3), one.log_in(3)
    for replica in (one, other):
        assert me(replica, login).status == me(replica, second).status == 200
    assert one.ask("POST", "/logout", login.change).status == 204
    for replica in (one, other):
        assert me(replica, login).status == 401
        assert me(replica, second).status == (200 if revocation == "denylist" else 401)
    again = other.log_in(3)
    assert me(one, again).status == 200
    everywhere = one.ask("POST", "/logout-all", again.change)
    assert everywhere.status == (404 if revocation == "denylist" else 204)
    assert me(other, again).status == (200 if revocation == "denylist" else 401)


def test_a_store_that_is_silent_lets_nobody_in(start, start_valkey, unused_port):
    url, timeout_ms = f"redis://127.0.0.1:{unused_port}/0", "300"
    options = {"TOKEN_REVOCATION": "denylist", "VERIFY_CACHE": "on"}
    replica = start(AUTH_SCHEME="token", STORE_URL=url, STORE_TIMEOUT_MS=timeout_ms, **options)
    login = replica.log_in()  # signing in asks no store
    assert me(replica, login).status == 503
    with start_valkey(unused_port) as valkey:
        deadline = time.monotonic() + 10
        while me(replica, login).status == 503:
            assert time.monotonic() < deadline
        assert me(replica, login).status == 200
        valkey.send_signal(signal.SIGSTOP)
        try:
            reply = me(replica, login)
            assert (reply.status, reply.header("Retry-After")) == (503, "1")
        finally:
            valkey.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cookie_carries_a_token_of_every_algorithm(start, keys, algorithm):
    file = str(keys(algorithm))
    replica = start(AUTH_SCHEME="token", TOKEN_ALGORITHM=algorithm, TOKEN_CARRIER="cookie", TOKEN_KEYS_FILE=file)
    login = replica.log_in()
    assert me(replica, login).status == 200
    assert replica.ask("POST", "/profile", login.headers, {"display_name": "x"}).status == 403
    assert replica.ask("POST", "/profile", login.change, {"display_name": "x"}).status == 200
    refused = replica.ask("GET", "/me")
    assert (refused.status, refused.header("WWW-Authenticate")) == (401, 'Token realm="authscale"')
    kinds = [key["kty"] for key in replica.ask("GET", "/.well-known/jwks.json").json["keys"]]
    assert kinds == {"HS256": [], "RS256": ["RSA"], "ES256": ["EC"], "EdDSA": ["OKP"]}[algorithm]


def test_the_largest_token_gets_through(start, keys):
    file = str(keys("RS256"))
    replica = start(
        AUTH_SCHEME="token", TOKEN_ALGORITHM="RS256", TOKEN_CLAIMS_BYTES="6000", VERIFY_CACHE="on", TOKEN_KEYS_FILE=file
    )
    login = replica.log_in()
    assert 8000 < len(login.headers["Authorization"]) < 9500
    for _ in range(3):
        assert me(replica, login).status == 200


def test_keys_change_under_traffic_and_nothing_is_refused(start, keys):
    file = keys("ES256")
    options = {"AUTH_SCHEME": "token", "TOKEN_ALGORITHM": "ES256", "TOKEN_KEYS_FILE": str(file)}
    replicas = [start(**options, REPLICA_NAME=f"replica-{number}") for number in range(2)]
    first = replicas[0].log_in()
    kid, _ = rotate(file, "ES256", keep=1)
    deadline = time.monotonic() + 10
    while kid not in (header := replicas[0].log_in().headers["Authorization"]) and kid not in _header(header):
        assert time.monotonic() < deadline
        assert me(replicas[1], first).status == 200
    new = replicas[0].log_in()
    for replica in replicas:
        assert me(replica, new).status == me(replica, first).status == 200
        assert replica.ask("GET", "/.well-known/jwks.json").json["keys"][0]["kid"] == kid


def _header(authorization):
    segment = authorization.removeprefix("Bearer ").partition(".")[0]
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "text",
    ["A" * 60_000, "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\xff\xfe", f"{'A' * 9000}.{'A' * 40}.{'A' * 40}", "{}"],
    ids=lambda text: text[:12],
)
def test_rubbish_over_http_is_4xx(algorithm, text, rubbish_takers):
    reply = rubbish_takers[algorithm].ask("GET", "/me", {"Authorization": f"Bearer {text}"})
    assert 400 <= reply.status < 500


@pytest.fixture(scope="module")
def rubbish_takers(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for algorithm in ALGORITHMS:
        make_keys(folder / algorithm, algorithm)
    return {
        each: start(AUTH_SCHEME="token", TOKEN_ALGORITHM=each, TOKEN_KEYS_FILE=str(folder / each))
        for each in ALGORITHMS
    }
