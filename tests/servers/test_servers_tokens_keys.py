"""Keys of tokens: strong enough, for one use, in a file that is replaced whole, published without what is secret."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from servers import rotate, signing_keys
from servers.jwk import KeyRefusedError, signing_key, thumbprint, verification_key
from servers.keys import base64url
from servers.settings import SettingsError
from servers.signing_keys import ALGORITHMS, KeyRing, key_set, make_keys, new_key, read_jwks, write_keys

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def jwks():
    return {algorithm: new_key(algorithm) for algorithm in ALGORITHMS}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_signs_what_it_verifies_and_nothing_else(jwks, algorithm):
    signature = signing_key(jwks[algorithm], algorithm).sign(b"message")
    key = verification_key(jwks[algorithm], algorithm)
    assert key.verifies(b"message", signature)
    assert not key.verifies(b"messagf", signature)
    assert not key.verifies(b"message", signature[:-1] + bytes([signature[-1] ^ 1]))


def test_the_thumbprint_is_that_of_rfc_7638():
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_secret_is_published(jwks, algorithm):
    public = key_set([jwks[algorithm]], algorithm).public
    if algorithm == "HS256":
        assert public == ()
        return
    (one,) = public
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & one.keys()
    assert (one["kid"], one["alg"], one["use"]) == (thumbprint(jwks[algorithm]), algorithm, "sig")
    assert verification_key(one, algorithm)


def test_a_secrets_name_does_not_tell_it(jwks):
    assert len(jwks["HS256"]["kid"]) < 12
    assert jwks["HS256"]["kid"] not in jwks["HS256"]["k"]


@pytest.mark.parametrize(
    ("algorithm", "change"),
    [
        ("HS256", {"k": base64url(b"x" * 31)}),
        ("HS256", {"k": ""}),
        ("HS256", {"k": None}),
        ("HS256", {"k": "=" * 44}),
        ("HS256", {"k": base64url(b"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----")}),
        ("HS256", {"k": base64url(json.dumps({"kty": "RSA", "n": "A" * 40}).encode())}),
        ("HS256", {"kty": "RSA"}),
        ("RS256", {"kty": "oct"}),
        ("RS256", {"alg": "PS256"}),
        ("RS256", {"use": "enc"}),
        ("RS256", {"key_ops": ["encrypt"]}),
        ("RS256", {"key_ops": "verify"}),
        ("RS256", {"kid": 7}),
        ("RS256", {"n": "AQAB"}),
        ("RS256", {"e": "AQ"}),
        ("RS256", {"n": 7}),
        ("ES256", {"crv": "P-384"}),
        ("ES256", {"crv": "secp256k1"}),
        ("ES256", {"crv": None}),
        ("ES256", {"x": base64url(b"\x01" * 32)}),
        ("ES256", {"x": "_" * 42 + "9"}),
        ("EdDSA", {"crv": "X25519"}),
        ("EdDSA", {"x": "AAAA"}),
    ],
    ids=str,
)
def test_a_key_that_is_weak_malformed_or_for_another_use_is_refused(jwks, algorithm, change):
    with pytest.raises(KeyRefusedError):
        verification_key(jwks[algorithm] | change, algorithm)


@pytest.mark.parametrize("jwk", [None, [], "key", 7, {}])
@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "none", "", "HS1", "RS1", "ES999", "Ed448"])
def test_what_is_no_key_is_refused(jwk, algorithm):
    with pytest.raises(KeyRefusedError):
        verification_key(jwk, algorithm)


def test_rsa_under_2048_bits_is_refused():
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505 - the test
    jwk = RSAAlgorithm.to_jwk(weak, as_dict=True)
    with pytest.raises(KeyRefusedError, match="2048"):
        verification_key(jwk, "RS256")


def test_a_public_key_does_not_sign(jwks):
    public = key_set([jwks["ES256"]], "ES256").public
    with pytest.raises(KeyRefusedError, match="private"):
        key_set(public, "ES256")


@pytest.mark.parametrize("kid", ["", "x" * 65, "a b", 'a"b', "é", "a/b"])
def test_a_key_whose_name_cannot_stand_in_every_token_is_refused(jwks, kid):
    with pytest.raises(KeyRefusedError, match="kid takes"):
        key_set([jwks["ES256"] | {"kid": kid}], "ES256")


@pytest.mark.parametrize(("algorithm", "curve"), [("ES256", "P-384"), ("EdDSA", "X25519")])
def test_the_curve_is_the_algorithms(jwks, algorithm, curve):
    with pytest.raises(KeyRefusedError, match="takes a key on"):
        verification_key(jwks[algorithm] | {"crv": curve}, algorithm)


def test_two_keys_of_one_name_are_refused(jwks):
    with pytest.raises(KeyRefusedError, match="same kid"):
        key_set([jwks["ES256"], new_key("ES256") | {"kid": jwks["ES256"]["kid"]}], "ES256")


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"keys": 7}', '{"keys": []}', '{"keys": [7]}', "[" * 5000])
def test_a_file_that_holds_no_keys_names_the_variable(token_settings, tmp_path, content):
    (tmp_path / "keys").write_text(content)
    settings = token_settings(TOKEN_ALGORITHM="ES256", TOKEN_KEYS_FILE=str(tmp_path / "keys"))
    with pytest.raises(ValueError, match="TOKEN_KEYS_FILE"):
        signing_keys.open_keys(settings)


def test_a_file_that_is_not_there_names_the_variable(token_settings, tmp_path):
    with pytest.raises(ValueError, match="TOKEN_KEYS_FILE"):
        signing_keys.open_keys(token_settings(TOKEN_KEYS_FILE=str(tmp_path / "none")))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_an_asymmetric_algorithm_takes_a_file(token_settings, algorithm):
    with pytest.raises(SettingsError, match="TOKEN_KEYS_FILE is not set"):
        token_settings(TOKEN_ALGORITHM=algorithm, TOKEN_KEYS_FILE="")


def test_keys_of_another_algorithm_are_refused(token_settings, keys_file):
    settings = token_settings(TOKEN_ALGORITHM="ES256", TOKEN_KEYS_FILE=str(keys_file("EdDSA")))
    with pytest.raises(ValueError, match="ES256 takes a key of type EC"):
        signing_keys.open_keys(settings)


def test_a_ring_follows_its_file_and_keeps_its_keys_when_the_file_breaks(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    make_keys(path, "EdDSA")
    ring = KeyRing(path, "EdDSA")
    first = ring.current()
    assert ring.newest() is first
    rotate.rotate(path, "EdDSA")
    assert ring.current() is first  # it looked within this second
    monkeypatch.setattr(signing_keys, "_LOOK_EVERY_S", -1.0)
    second = ring.newest()
    assert second.signing.kid != first.signing.kid
    assert second.verifying.keys() == {first.signing.kid, second.signing.kid}
    rotate.rotate(path, "EdDSA")
    third = ring.current()
    assert third.signing.kid not in second.verifying
    assert first.signing.kid not in third.verifying
    path.write_text("broken")
    assert ring.current() is third
    path.unlink()
    assert ring.newest() is third


def test_a_broken_file_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    make_keys(path, "HS256")
    ring = KeyRing(path, "HS256")
    reads = []
    monkeypatch.setattr(signing_keys, "read_jwks", lambda found: reads.append(found) or [])
    path.write_text("broken")
    for _ in range(100):
        ring.newest()
    assert len(reads) == 1


def run(*words):
    argv = [sys.executable, "-m", "servers.rotate", *map(str, words)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_rotation_by_command_line(tmp_path):
    path = tmp_path / "keys"
    first = run("--keys", path, "--algorithm", "ES256")
    assert (first.returncode, first.stderr) == (0, "")
    (one,) = read_jwks(path)
    assert first.stdout == f"{one['kid']} signs; 0 older keys verify\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("--keys", path, "--algorithm", "ES256", "--keep", "2").returncode == 0
    assert run("--keys", path, "--algorithm", "ES256", "--keep", "2").returncode == 0
    three = read_jwks(path)
    assert len(three) == 3
    assert three[-1] == one
    assert run("--keys", path, "--algorithm", "ES256", "--keep", "0").returncode == 0
    assert len(read_jwks(path)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]


def test_a_rotation_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    make_keys(path, "EdDSA")
    before = path.read_bytes()
    wrong = run("--keys", path, "--algorithm", "ES256")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert run("--keys", tmp_path / "none" / "keys", "--algorithm", "ES256").returncode == 1
    assert run("--keys", path, "--algorithm", "none").returncode == 2
    assert run("--keys", path, "--algorithm", "EdDSA", "--keep", "-1").returncode == 2

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(signing_keys.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_keys(path, [new_key("EdDSA")])
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]
