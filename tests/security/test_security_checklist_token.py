"""The checklist of tokens, line by line, against whole topologies (docs/security.md has the table)."""

import hashlib
import hmac
import json
import time
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import get_algorithm_by_name

from servers.signing_keys import new_key, read_jwks, write_keys
from tests.security.checklist import line
from tests.security.forge import Forge, segment

NONES = ("none", "None", "NONE", "nOnE", "nonE", "", " none", None)


def forge(system):
    """A real login, and what can sign in the server's name."""
    login = system.log_in()
    return login, Forge.at(Path(system.setting("TOKEN_KEYS_FILE")), login.jwt)


def is_refused(system, login, text):
    assert system.ask("GET", "/me", login.holding(text)).status == 401, text


def hs256(header, claims, key):
    signed = ".".join(segment(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{segment(hmac.digest(key, signed.encode(), hashlib.sha256))}"


@line("Token", "signature required", "ASVS 9.1.1; RFC 8725, 3.3", lambda t: t.jwt)
def test_a_signature_is_required_and_right(system):
    login, made = forge(system)
    assert system.status(login.holding(made.with_claims())) == 200  # the forge signs what the server takes
    head, body, mac = login.jwt.split(".")
    other = segment(json.dumps(made.claims | {"sub": "user-00002"}).encode())
    for text in (f"{head}.{other}.{mac}", f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.{'A' * len(mac)}"):
        is_refused(system, login, text)


@line("Token", "checked against an allow-list of algorithms", "ASVS 9.1.2; RFC 8725, 3.1", lambda t: t.jwt)
def test_no_other_algorithm(system):
    login, made = forge(system)
    for algorithm in {"HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"} - {made.header["alg"]}:
        is_refused(system, login, made.with_header(alg=algorithm))
    for mac in (hashlib.sha384, hashlib.sha512):
        if "k" in made.key:
            key = get_algorithm_by_name("HS256").from_jwk(made.key)
            header = made.header | {"alg": f"HS{mac().digest_size * 8}"}
            signed = ".".join(segment(json.dumps(part).encode()) for part in (header, made.claims))
            is_refused(system, login, f"{signed}.{segment(hmac.digest(key, signed.encode(), mac))}")


@line("Token", "`none` in any spelling refused", "ASVS 9.1.2; RFC 8725, 3.2", lambda t: t.jwt)
def test_none_in_any_spelling_is_refused(system):
    login, made = forge(system)
    for spelling in NONES:
        text = made.with_header(alg=spelling)
        is_refused(system, login, text)
        is_refused(system, login, text.rpartition(".")[0] + ".")


@line("Token", "no HMAC with a public key", "RFC 8725, 2.1", lambda t: t.jwt)
def test_no_hmac_with_a_public_key(system):
    login, made = forge(system)
    published = system.ask("GET", "/.well-known/jwks.json").json["keys"]
    assert bool(published) == ("k" not in made.key)
    if not published:  # then nobody has a public key of this server's; one of somebody else's is no key either
        published = [new_key("RS256")]
    for jwk in published:
        key = get_algorithm_by_name(jwk["alg"]).from_jwk(jwk)
        public = key.public_key() if hasattr(key, "public_key") else key
        texts = [
            public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
            for encoding in (Encoding.PEM, Encoding.DER)
        ]
        for text in [*texts, texts[0].rstrip(b"\n"), json.dumps(jwk).encode()]:
            is_refused(system, login, hs256(made.header | {"alg": "HS256"}, made.claims, text))
            is_refused(system, login, hs256(made.header | {"alg": "HS256", "kid": jwk["kid"]}, made.claims, text))


@line("Token", "`jwk`, `jku`, `x5u` in a header ignored", "ASVS 9.1.3; RFC 8725, 3.10", lambda t: t.jwt)
def test_a_header_brings_no_key(system):
    login, made = forge(system)
    own = new_key(made.key["alg"])
    for extra in (
        {"jwk": own}, {"jku": "http://127.0.0.1:9/keys"}, {"x5u": "http://127.0.0.1:9/chain"}, {"x5c": ["AAAA"]},
    ):  # fmt: skip
        is_refused(system, login, made.sign(made.header | extra, made.claims, own))
        is_refused(system, login, made.sign(made.header | extra | {"kid": own["kid"]}, made.claims, own))


@line("Token", "`kid` never a path or a query", "ASVS 9.1.3; RFC 8725, 3.10", lambda t: t.jwt)
def test_a_kid_is_a_name_alone(system):
    login, made = forge(system)
    secret = b"0" * 32
    known = Path(system.accounts.secret_file).with_name("known-to-all")
    known.write_bytes(secret)
    for kid in (
        str(known), f"../{known.name}", f"file://{known}", "/dev/null", "../../secret", "' OR '1'='1",
        "' UNION SELECT 'x",
        f"{made.header['kid']}'", f"{made.header['kid']}/", "", "\x00", 7, None, [], {},
    ):  # fmt: skip
        is_refused(system, login, made.with_header(kid=kid))
        for key in (secret, b""):
            is_refused(system, login, hs256(made.header | {"alg": "HS256", "kid": kid}, made.claims, key))


@line("Token", "unknown `crit` refused", "RFC 7515, 4.1.11", lambda t: t.jwt)
def test_an_unknown_crit_is_refused(system):
    login, made = forge(system)
    for crit in (["exp"], ["b64"], ["urn:example:unknown"], [], None, "exp", 7):
        is_refused(system, login, made.with_header(crit=crit))
    is_refused(system, login, made.with_header(crit=["b64"], b64=True))
    is_refused(system, login, made.with_header(crit=["urn:x"], **{"urn:x": 1}))


@line(
    "Token", "exp, nbf, iss, aud, sub, jti required and checked", "ASVS 9.2.1-9.2.4; RFC 8725, 3.8-3.9", lambda t: t.jwt
)
def test_every_claim_is_required(system):
    login, made = forge(system)
    for claim in ("exp", "nbf", "iss", "aud", "sub", "jti"):
        claims = made.claims
        del claims[claim]
        is_refused(system, login, made.sign(made.header, claims))


@line(
    "Token", "exp, nbf, iss, aud, sub, jti required and checked", "ASVS 9.2.1-9.2.4; RFC 8725, 3.8-3.9", lambda t: t.jwt
)
def test_every_claim_is_checked(system):
    login, made = forge(system)
    now = int(time.time())
    for wrong in (
        {"exp": now - 1}, {"exp": -1}, {"exp": "never"}, {"exp": None}, {"exp": True}, {"nbf": now + 60}, {"nbf": "x"},
        {"iss": "evil"}, {"iss": None}, {"aud": "another"}, {"aud": []}, {"aud": None}, {"sub": 7}, {"sub": None},
        {"jti": 7}, {"jti": None},
    ):  # fmt: skip
        is_refused(system, login, made.with_claims(**wrong))


@line("Token", "a refresh token is no access token and the reverse", "ASVS 9.2.2; RFC 8725, 3.11", lambda t: t.jwt)
def test_one_kind_of_token_is_not_another(system):
    login, made = forge(system)
    for kind in ("JWT", "rt+jwt", "refresh+jwt", "", None, 7):
        is_refused(system, login, made.with_header(typ=kind))
    reply = system.ask("POST", "/refresh", body={"refresh_token": login.jwt})
    assert reply.status == (401 if login.refresh else 404)
    if login.refresh:
        is_refused(system, login, login.refresh)
        assert system.ask("POST", "/refresh", body={"refresh_token": login.refresh}).status == 200


@line("Token", "RFC 6750 errors", "RFC 6750, 3 and 3.1", lambda t: t.jwt and not t.cookie)
def test_errors_are_those_of_rfc_6750(system):
    login, made = forge(system)
    for headers in ({}, {"Authorization": "Basic dXNlcjpwYXNz"}):  # no token: no error either
        reply = system.ask("GET", "/me", headers)
        assert (reply.status, reply.header("WWW-Authenticate")) == (401, 'Bearer realm="authscale"')
    for text in (made.with_claims(exp=1), made.with_header(alg="none"), "x", "a.b.c"):
        reply = system.ask("GET", "/me", login.holding(text))
        assert reply.status == 401
        assert reply.header("WWW-Authenticate") == 'Bearer realm="authscale", error="invalid_token"'
        assert reply.header("Content-Type") == "application/problem+json"


@line("Token", "no token in a query string", "ASVS 14.2.1; RFC 6750, 5.3", lambda t: t.jwt)
def test_a_token_in_a_query_string_or_a_form_is_none(system):
    login = system.log_in()
    cookies = [value.partition("=")[0] for name, value in login.headers.items() if name == "Cookie"]
    names = ("access_token", "token", "jwt", *cookies)
    for name in names:
        assert system.ask("GET", f"/me?{name}={login.jwt}").status == 401
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert system.ask("POST", "/profile", form, raw=f"{name}={login.jwt}".encode()).status == 401


@line("Token", "keys of full strength", "ASVS 11.2.3; RFC 8725, 3.5; RFC 7518, 3.2-3.3", lambda t: t.jwt)
def test_keys_are_strong_and_no_weak_one_counts(system):
    login, made = forge(system)
    for jwk in system.ask("GET", "/.well-known/jwks.json").json["keys"]:
        assert not {"d", "k", "p", "q"} & jwk.keys()
        if jwk["kty"] == "RSA":
            assert get_algorithm_by_name("RS256").from_jwk(jwk).key_size >= 2048
    for key in (b"", b"\x00", b"\x00" * 32, b"secret", b"authscale", b"authscale" * 4, made.key["kid"].encode()):
        is_refused(system, login, hs256(made.header | {"alg": "HS256"}, made.claims, key))
    signature = login.jwt.rpartition(".")[2]
    assert len(signature) >= 43  # of 256 bits


@line("Token", "rotation by kid with overlap", "RFC 8725, 3.10; ASVS 11.1.1", lambda t: t.jwt)
def test_keys_rotate_and_the_old_ones_tokens_still_count(system):
    path = Path(system.setting("TOKEN_KEYS_FILE"))
    before = read_jwks(path)
    old = system.log_in()
    made = Forge.at(path, old.jwt)
    new = new_key(before[0]["alg"])
    try:
        write_keys(path, [new, *before])
        signed_by_new = Forge(old.jwt, new).sign(made.header | {"kid": new["kid"]}, made.claims)
        # at once and on every replica, though none has looked at the file since
        assert system.statuses(old.holding(signed_by_new)) == {200}
        assert system.statuses(old.headers) == {200}
        deadline = time.monotonic() + 3
        while Forge.at(path, system.log_in().jwt).key["kid"] != new["kid"]:
            assert time.monotonic() < deadline
        write_keys(path, [new])  # the overlap ends: so does what the old key signed
        while system.statuses(old.headers) != {401}:
            assert time.monotonic() < deadline
    finally:
        write_keys(path, before)
        system.wait_until(lambda: system.statuses(old.headers) == {200})
