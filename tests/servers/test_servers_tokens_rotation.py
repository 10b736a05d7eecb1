"""Keys are replaced while two replicas serve, and no request is refused."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from servers import rotate
from servers.scheme import NotAuthenticatedError
from servers.schemes.token import TokenScheme
from servers.signing_keys import ALGORITHMS, make_keys, new_key
from servers.users import Account

ACCOUNT = Account("user-00001", "reader", "")
ROTATIONS = 4


def bearer(issued):
    return {"HTTP_AUTHORIZATION": f"Bearer {issued.credential['access_token']}"}


@pytest.mark.parametrize("cache", ["off", "on"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rotation_under_load_refuses_nothing(token_settings, tmp_path, monkeypatch, algorithm, cache):
    path = tmp_path / "keys"
    made = [new_key(algorithm) for _ in range(ROTATIONS)]  # before: to search primes among busy threads takes long
    monkeypatch.setattr(rotate, "new_key", lambda _: made.pop())
    make_keys(path, algorithm)
    settings = token_settings(TOKEN_ALGORITHM=algorithm, TOKEN_KEYS_FILE=str(path), VERIFY_CACHE=cache)
    replicas = [TokenScheme(settings) for _ in range(2)]
    ended = threading.Event()
    rotated = threading.Event()

    def ask(seed):
        """Sign in at one replica, and go to both with it at once, as behind a round-robin balancer."""
        asked, kids = 0, set()
        while not ended.is_set():
            issued = replicas[(seed + asked) % 2].log_in(ACCOUNT, {})
            for turn in range(4):
                assert replicas[turn % 2].authenticate(bearer(issued)).user == ACCOUNT.name
                asked += 1
            kids.add(issued.credential["access_token"].partition(".")[0])
            rotated.set()
        return asked, kids

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, seed) for seed in range(4)]
        try:
            for _ in range(ROTATIONS):
                rotate.rotate(path, algorithm, keep=ROTATIONS)  # a token may wait behind many rotations here
                # one replica takes the new key into use at once; the other meets it in a token first
                replicas[0]._keys.newest()
                for _ in range(5):  # each of four threads may still be about a token of before
                    rotated.clear()
                    assert rotated.wait(30)
        finally:
            ended.set()
        done = [each.result(60) for each in asking]
    assert sum(asked for asked, _ in done) >= 4 * ROTATIONS
    assert len(set().union(*(kids for _, kids in done))) >= 3


def test_a_replica_takes_a_new_key_into_use_by_itself(token_settings, tmp_path):
    path = tmp_path / "keys"
    make_keys(path, "ES256")
    scheme = TokenScheme(token_settings(TOKEN_ALGORITHM="ES256", TOKEN_KEYS_FILE=str(path)))
    before = scheme.log_in(ACCOUNT, {})
    kid, _ = rotate.rotate(path, "ES256")
    deadline = time.monotonic() + 5
    while scheme.jwks()[0]["kid"] != kid:
        assert time.monotonic() < deadline
    assert [each["kid"] for each in scheme.jwks()].index(kid) == 0
    assert len(scheme.jwks()) == 2
    assert scheme.authenticate(bearer(before))
    rotate.rotate(path, "ES256", keep=0)
    after = TokenScheme(token_settings(TOKEN_ALGORITHM="ES256", TOKEN_KEYS_FILE=str(path))).log_in(ACCOUNT, {})
    assert scheme.authenticate(bearer(after))
    with pytest.raises(NotAuthenticatedError):  # its key was dropped
        scheme.authenticate(bearer(before))


def test_two_rotations_at_once_lose_no_key(tmp_path):
    path = tmp_path / "keys"
    make_keys(path, "HS256")
    with ThreadPoolExecutor(8) as pool:
        kids = list(pool.map(lambda _: rotate.rotate(path, "HS256", keep=100)[0], range(16)))
    found = [each["kid"] for each in rotate.read_jwks(path)]
    assert set(kids) < set(found)
    assert len(found) == 17
