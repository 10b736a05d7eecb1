"""Tokens from outside: RFC 8725, 7515, 7519, 6750; OWASP ASVS 5.0 chapter 9."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def bearer(token, text):
    return token.ask("GET", "/me", {"Authorization": f"Bearer {text}"})


def is_refused(reply):
    assert reply.status == 401, reply.body
    assert reply.header("WWW-Authenticate") == 'Bearer realm="authscale", error="invalid_token"'
    assert reply.header("Content-Type") == "application/problem+json"


def text_of(login):
    return login.reply.json["credential"]["access_token"]


def parts_of(text):
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in text.split(".")[:2]]


def test_what_a_token_carries(token):
    header, claims = parts_of(text_of(token.log_in()))
    assert header["alg"] == "HS256"
    assert header["typ"] == "at+jwt"
    assert header["kid"]
    assert {"sub", "iat", "exp", "nbf", "iss", "aud", "jti", "role"} <= claims.keys()
    assert claims["exp"] - claims["iat"] == 900


def test_each_token_has_its_own_jti(token):
    ids = {parts_of(text_of(token.log_in()))[1]["jti"] for _ in range(10)}
    assert len(ids) == 10


def test_the_forge_signs_what_the_server_takes(token, forge):
    assert bearer(token, forge.sign(forge.header, forge.claims)).status == 200


@pytest.mark.parametrize("claim", ["sub", "iat", "exp", "nbf", "iss", "aud", "jti", "role"])
def test_every_claim_is_required(token, forge, claim):
    claims = forge.claims
    del claims[claim]
    is_refused(bearer(token, forge.sign(forge.header, claims)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": 1}, {"exp": -1}, {"exp": "never"}, {"exp": None}, {"nbf": 2**40}, {"iat": 2**40},
        {"iss": "evil"}, {"aud": "another"}, {"aud": []}, {"sub": 7}, {"sub": None}, {"jti": 7},
        {"role": 7}, {"name": None}, {"serial": "0"}, {"serial": True},
    ],
    ids=str,
)  # fmt: skip
def test_every_claim_is_checked(token, forge, wrong):
    is_refused(bearer(token, forge.sign(forge.header, forge.claims | wrong)))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, "HS384", "HS512", "RS256", "hs256", 7, []])
def test_no_other_algorithm(token, forge, alg):
    signed = forge.sign(forge.header | {"alg": alg}, forge.claims)
    is_refused(bearer(token, signed))
    is_refused(bearer(token, signed.rpartition(".")[0] + "."))


def test_no_hmac_with_a_public_key(token, forge):
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    for encoding in (Encoding.PEM, Encoding.DER):
        key = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        is_refused(bearer(token, forge.sign(forge.header, forge.claims, key)))


@pytest.mark.parametrize("key", [b"", b"\x00" * 32, b"secret", b"authscale"])
def test_no_weak_key(token, forge, key):
    is_refused(bearer(token, forge.sign(forge.header, forge.claims, key)))


@pytest.mark.parametrize(
    "extra",
    [
        {"typ": "JWT"}, {"typ": "rt+jwt"}, {"typ": None}, {"kid": "other"}, {"kid": "../../secret"},
        {"kid": "' OR 1=1"}, {"kid": 7}, {"crit": ["exp"]}, {"crit": ["b64"], "b64": True}, {"crit": []},
        {"b64": False},
        {"jwk": {"kty": "oct", "k": "AAAA"}}, {"jku": "http://127.0.0.1/keys"}, {"x5u": "http://127.0.0.1/c"},
        {"x5c": []},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_chooses_nothing(token, forge, extra):
    is_refused(bearer(token, forge.sign(forge.header | extra, forge.claims)))


@pytest.mark.parametrize("missing", ["typ", "kid", "alg"])
def test_a_header_lacks_nothing(token, forge, missing):
    header = forge.header
    del header[missing]
    is_refused(bearer(token, forge.sign(header, forge.claims)))


def test_one_token_has_one_spelling(token):
    text = text_of(token.log_in())
    head, body, mac = text.split(".")
    spare = mac[:-1] + chr(ord(mac[-1]) + 1)  # the same bytes with other spare bits, or another signature
    for other in (text + "=", f"{head}=.{body}.{mac}", f"{head}.{body}==.{mac}", text + "\n", f"{head}.{body}.{spare}"):
        reply = token.ask("GET", "/me", {"Authorization": f"Bearer {other.strip()}"})
        assert reply.status == (200 if other.strip() == text else 401)


def test_a_changed_payload_or_signature_is_refused(token):
    head, body, mac = text_of(token.log_in()).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "user-00002"}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    for text in (f"{head}.{forged}.{mac}", f"{head}.{body}.{'A' * 43}", f"{head}.{body}.", f"{head}.{body}"):
        is_refused(bearer(token, text))


@pytest.mark.parametrize("text", ["", " ", "x", "..", "a.b.c", "A" * 20_000, "a.b.c.d.e", "\xff\xfe", "%00", '"'])
def test_rubbish_is_401(token, text):
    assert bearer(token, text).status == 401


def test_deeply_nested_parts_are_401(token):
    deep = base64.urlsafe_b64encode(b"[" * 3000).rstrip(b"=").decode()
    for text in (f"{deep}.{deep}.{'A' * 43}", f"{'A' * 4}.{deep}.{'A' * 43}"):
        is_refused(bearer(token, text))


def test_no_credential_at_all_names_no_error(token):
    for headers in ({}, {"Authorization": "Basic dXNlcjpwYXNz"}):
        assert token.ask("GET", "/me", headers).header("WWW-Authenticate") == 'Bearer realm="authscale"'


def test_a_token_in_query_cookie_or_body_is_ignored(token):
    text = text_of(token.log_in())
    assert token.ask("GET", f"/me?access_token={text}").status == 401
    assert token.ask("GET", "/me", {"Cookie": f"access_token={text}"}).status == 401
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert token.ask("POST", "/profile", form, raw=f"access_token={text}".encode()).status == 401


def test_the_scheme_name_is_case_insensitive(token):
    text = text_of(token.log_in())
    assert token.ask("GET", "/me", {"Authorization": f"bEARER {text}"}).status == 200


def test_replicas_agree_without_talking(token, start):
    other = start(AUTH_SCHEME="token", REPLICA_NAME="replica-1")
    assert bearer(other, text_of(token.log_in())).status == 200


def test_another_audience_or_issuer_is_another_service(token, start):
    other = start(AUTH_SCHEME="token", TOKEN_AUDIENCE="elsewhere")
    is_refused(bearer(other, text_of(token.log_in())))
    is_refused(bearer(token, text_of(other.log_in())))


def test_a_profile_change_gives_a_new_token_and_logout_revokes_none(token):
    login = token.log_in()
    changed = token.ask("POST", "/profile", login.headers, {"display_name": "Grace"})
    assert (changed.json["display_name"], changed.json["serial"]) == ("Grace", 1)
    new = changed.json["credential"]["access_token"]
    assert bearer(token, new).json["display_name"] == "Grace"
    assert token.ask("POST", "/logout", login.headers).status == 204
    assert bearer(token, text_of(login)).status == 200  # the cost of keeping nothing


def test_a_profile_change_does_not_prolong(token, forge):
    soon = int(time.time()) + 60
    old = forge.sign(forge.header, forge.claims | {"exp": soon})
    changed = token.ask("POST", "/profile", {"Authorization": f"Bearer {old}"}, {"display_name": "x"})
    assert parts_of(changed.json["credential"]["access_token"])[1]["exp"] <= soon


def test_a_token_expires(start):
    brief = start(AUTH_SCHEME="token", TOKEN_TTL_SECONDS="1")
    login = brief.log_in()
    deadline = time.monotonic() + 5
    while bearer(brief, text_of(login)).status == 200:
        assert time.monotonic() < deadline
    is_refused(bearer(brief, text_of(login)))
