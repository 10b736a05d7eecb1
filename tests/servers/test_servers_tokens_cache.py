"""The cache of verified tokens: bounded, and everything that can change is asked for again."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from servers import tokens
from servers.signing_keys import KeyRing, key_set, make_keys, new_key
from servers.tokens import InvalidTokenError, TokenIssuer, TokenVerifier
from servers.verify_cache import VerifyCache

NAMES = {"issuer": "authscale", "audience": "authscale"}


@pytest.fixture
def ring(tmp_path):
    make_keys(tmp_path / "keys", "EdDSA")
    return KeyRing(tmp_path / "keys", "EdDSA")


class Watched:
    """Keys that count their checks."""

    def __init__(self, keys):
        self.checks = 0
        self._set = key_set(keys, "HS256")
        for key in self._set.verifying.values():
            object.__setattr__(key, "verifies", self._counting(key.verifies))

    def _counting(self, verifies):
        def verify(message, signature):
            self.checks += 1
            return verifies(message, signature)

        return verify

    def current(self):
        return self._set

    newest = current


def cached(keys, **more):
    cache = VerifyCache(**more)
    return TokenIssuer(keys, **NAMES), TokenVerifier(keys, **NAMES, cache=cache), cache


def issue(issuer, lives_s=900, **more):
    return issuer.issue({"sub": "user-00001"}, int(time.time()) + lives_s, **more).text


def test_a_signature_is_checked_once():
    keys = Watched([new_key("HS256")])
    issuer, verifier, cache = cached(keys)
    token = issue(issuer)
    first = verifier.verify(token)
    for _ in range(10):
        assert verifier.verify(token) == first
    assert (keys.checks, len(cache)) == (1, 1)


def test_rubbish_neither_comes_in_nor_drives_out():
    keys = Watched([new_key("HS256")])
    issuer, verifier, cache = cached(keys, max_entries=2)
    token = issue(issuer)
    verifier.verify(token)
    other = TokenIssuer(Watched([new_key("HS256")]), **NAMES)
    for wrong in [token[:-2] + "AA", "rubbish", issue(other), issue(issuer, -5), "x.y.z"] * 20:
        with pytest.raises(InvalidTokenError):
            verifier.verify(wrong)
    assert len(cache) == 1


def test_the_least_recently_used_goes_first():
    keys = Watched([new_key("HS256")])
    issuer, verifier, cache = cached(keys, max_entries=3)
    kept, *others = (issue(issuer) for _ in range(4))
    for token in (kept, others[0], others[1], kept, others[2]):
        verifier.verify(token)
    assert (len(cache), keys.checks) == (3, 4)
    verifier.verify(kept)
    assert keys.checks == 4
    verifier.verify(others[0])
    assert keys.checks == 5


@pytest.mark.parametrize(("at_s", "reason"), [(899, None), (900, "expired"), (-10, "not valid yet")])
def test_times_count_at_each_use(monkeypatch, at_s, reason):
    issuer, verifier, _ = cached(Watched([new_key("HS256")]))
    now = int(time.time())
    token = issue(issuer, now=now)
    assert verifier.verify(token)["exp"] == now + 900
    monkeypatch.setattr(tokens.time, "time", lambda: float(now + at_s))
    if reason is None:
        assert verifier.verify(token)
        return
    with pytest.raises(InvalidTokenError, match=reason):
        verifier.verify(token)


def test_an_entry_ends_with_its_key(ring, tmp_path):
    issuer, verifier, cache = cached(ring)
    token = issue(issuer)
    verifier.verify(token)
    make_keys(tmp_path / "keys", "EdDSA")  # the old key is gone
    ring.newest()
    with pytest.raises(InvalidTokenError, match="names a key"):
        verifier.verify(token)
    assert len(cache) == 0


def test_many_threads_share_a_cache_within_its_bound():
    issuer, verifier, cache = cached(Watched([new_key("HS256")]), max_entries=8)
    texts = [issue(issuer) for _ in range(32)]

    def ask(seed):
        return [verifier.verify(texts[(seed * 7 + turn) % len(texts)])["sub"] for turn in range(300)]

    with ThreadPoolExecutor(8) as pool:
        assert all(set(found) == {"user-00001"} for found in pool.map(ask, range(8)))
    assert len(cache) <= 8
