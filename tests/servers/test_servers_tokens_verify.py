"""`python -m servers.verify`: a verdict for every line, whatever is in it."""

import base64
import functools
import hmac
import json
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from servers.app import create_app
from servers.keys import base64url
from servers.users import PASSWORD
from servers.verify import Expected, verdict

ROOT = Path(__file__).parents[2]
GOOD = {"valid": True, "error": None}
OURS = Expected("authscale", "authscale")


def ec_key(curve):
    return ECAlgorithm.to_jwk(ec.generate_private_key(curve), as_dict=True)


RSA = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=2048), as_dict=True)
RSA.pop("key_ops")
OCT = {"kty": "oct", "k": base64url(bytes(range(64)))}
KEYS = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), OCT),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSA),
    "ES256": ec_key(ec.SECP256R1()),
    "ES384": ec_key(ec.SECP384R1()),
    "ES512": ec_key(ec.SECP521R1()),
    "ES256K": ec_key(ec.SECP256K1()),
    "EdDSA": OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True),
}


def public(jwk):
    return {name: value for name, value in jwk.items() if name in {"kty", "k", "n", "e", "crv", "x", "y"}}


def sign(algorithm, payload=b"foo", jwk=None, **header):
    jwk = jwk or KEYS[algorithm]
    key = jwt.get_algorithm_by_name(algorithm).from_jwk(jwk)
    return jwt.PyJWS().encode(payload, key, algorithm, headers={"kid": "one", **header})


signed_once = functools.cache(sign)


def claims(**other):
    now = int(time.time())
    return json.dumps(
        {
            "iss": "authscale", "aud": "authscale", "sub": "user-00001", "jti": "j", "iat": now, "nbf": now,
            "exp": now + 60, **other,
        }
    ).encode()  # fmt: skip


def line(algorithm, token, **other):
    jwk = public(KEYS[algorithm]) | {"kid": "one"}
    return json.dumps({"jwk": jwk, "token": token, "algorithms": [algorithm], **other})


@pytest.mark.parametrize("algorithm", KEYS)
def test_each_algorithm_with_its_own_key_alone(algorithm):
    token = sign(algorithm)
    assert verdict(line(algorithm, token), None) == GOOD
    assert verdict(line(algorithm, token, algorithms=list(KEYS)), None) == GOOD
    assert verdict(line(algorithm, token, algorithms=[each for each in KEYS if each != algorithm]), None)["error"]
    for other, jwk in KEYS.items():
        if jwk is not KEYS[algorithm]:
            refused = verdict(line(algorithm, token, jwk=public(jwk), algorithms=list(KEYS)), None)
            assert not refused["valid"], other
    assert not verdict(line(algorithm, token[:-8] + "AAAAAAAA"), None)["valid"]


def test_ed448_is_eddsa_too():
    jwk = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate(), as_dict=True)
    token = sign("EdDSA", jwk=jwk)
    assert verdict(line("EdDSA", token, jwk=public(jwk)), None) == GOOD


@pytest.mark.parametrize(
    "constraint",
    [
        {"alg": "HS512"}, {"alg": "none"}, {"use": "enc"}, {"use": None}, {"key_ops": ["sign"]}, {"key_ops": []},
        {"kid": "two"}, {"kid": 1}, {"kty": "RSA"}, {"k": base64url(bytes(31))}, {"k": OCT["k"] + "="}, {"k": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_keys_own_constraints_hold(constraint):
    token = sign("HS256")
    kept = {"alg": "HS256", "use": "sig", "key_ops": ["verify", "sign"], "kid": "one"}
    assert verdict(line("HS256", token, jwk=OCT | kept), None) == GOOD
    assert not verdict(line("HS256", token, jwk=OCT | kept | constraint), None)["valid"]


def test_signature_only_asks_for_neither_claims_nor_type():
    for token in (sign("HS256"), sign("HS256", b""), sign("HS256", b"[]", typ="other")):
        assert verdict(line("HS256", token), None) == GOOD
        assert not verdict(line("HS256", token), OURS)["valid"]


@pytest.mark.parametrize("header", [{"jku": "http://x"}, {"x5u": "http://x"}, {"x5c": []}, {"jwk": OCT}, {"b64": True}])
def test_signature_only_keeps_the_rules_for_headers(header):
    signed = ".".join(base64url(part) for part in (json.dumps({"alg": "HS256"} | header).encode(), b"foo"))
    mac = hmac.digest(bytes(range(64)), signed.encode(), "sha256")
    assert not verdict(line("HS256", f"{signed}.{base64url(mac)}"), None)["valid"]
    assert verdict(line("HS256", sign("HS256")), None) == GOOD


def test_the_claims_are_those_of_the_servers():
    good = sign("ES256", claims(), typ="at+jwt")
    assert verdict(line("ES256", good), OURS) == GOOD
    assert verdict(line("ES256", good), Expected("other", "authscale"))["error"] == "from another issuer"
    assert verdict(line("ES256", good), Expected("authscale", "other"))["error"] == "for another audience"
    assert verdict(line("ES256", sign("ES256", claims(exp=1), typ="at+jwt")), OURS)["error"] == "expired"
    assert verdict(line("ES256", sign("ES256", claims())), OURS)["error"] == "of another type"
    assert verdict(line("ES256", sign("ES256", claims(exp=None), typ="at+jwt")), OURS)["valid"] is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NUMBER = st.sampled_from(["kty", "k", "n", "e", "d", "p", "q", "dp", "qi", "x", "y", "crv", "alg", "oth", "key_ops"])


@settings(max_examples=150, deadline=None)
@given(JSON | st.fixed_dictionaries({}, optional={"jwk": JSON, "token": JSON | st.just("a.b.c"), "algorithms": JSON}))
def test_any_json_has_a_verdict(document):
    for expected in (None, OURS):
        assert verdict(json.dumps(document), expected)["valid"] is False


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(KEYS)), NUMBER, JSON | st.binary(max_size=300).map(base64url), st.booleans())
def test_any_change_of_a_key_has_a_verdict(algorithm, name, value, private):
    jwk = (KEYS[algorithm] if private else public(KEYS[algorithm])) | {name: value}
    answer = verdict(json.dumps({"jwk": jwk, "token": signed_once(algorithm), "algorithms": [algorithm]}), None)
    assert answer == GOOD or answer["error"]


def run(text, *words):
    argv = [sys.executable, "-m", "servers.verify", *words]
    return subprocess.run(argv, cwd=ROOT, input=text, capture_output=True, timeout=60, check=False)


def test_the_command_line_answers_line_by_line():
    good, foreign = line("EdDSA", sign("EdDSA", claims(iss="me"), typ="at+jwt")), line("EdDSA", sign("EdDSA"))
    lines = [good.encode(), b"", b"{", b"\xff\xfe\x00", b"[" * 10_000, b"1" * 5000, foreign.encode()]
    done = run(b"\n".join(lines) + b"\n", "--issuer", "me")
    assert (done.returncode, done.stderr) == (0, b"")
    answers = [json.loads(each) for each in done.stdout.splitlines()]
    assert answers[0] == GOOD
    assert [each["valid"] for each in answers[1:]] == [False] * 6
    assert all(each["error"] for each in answers[1:])
    alone = run(b"\n".join(lines), "--signature-only")
    assert [json.loads(each)["valid"] for each in alone.stdout.splitlines()] == [True, *[False] * 5, True]


def test_a_wrong_command_line_is_2_and_no_input_is_none():
    assert run(b"", "--nonsense").returncode == 2
    assert run(b"", "--issuer").returncode == 2
    done = run(b"")
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_token_of_the_servers_own_is_good(token_settings):
    client = create_app(token_settings(TOKEN_ALGORITHM="RS256")).test_client()
    login = client.post("/login", json={"username": "user-00001", "password": PASSWORD})
    (jwk,) = client.get("/.well-known/jwks.json").json["keys"]
    token = login.json["credential"]["access_token"]
    assert verdict(json.dumps({"jwk": jwk, "token": token, "algorithms": ["RS256"]}), OURS) == GOOD
    # and by PyJWT on its own, as another service would
    decoded = jwt.decode(token, jwt.PyJWK(jwk), algorithms=["RS256"], audience="authscale", issuer="authscale")
    assert decoded["sub"] == "user-00001"
    assert base64.urlsafe_b64decode(jwk["n"] + "==")
