"""Every token that this server did not sign, in this spelling, is a 4xx: whatever its algorithm, header and bytes.

The forger here has the server's own signing key where that makes the test harder: then only the check in question
stands in the way.
"""

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt import PyJWK
from jwt.utils import der_to_raw_signature, raw_to_der_signature

from servers.app import create_app
from servers.jwk import signing_key
from servers.signing_keys import ALGORITHMS, read_jwks
from servers.users import PASSWORD

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ASYMMETRIC = ("RS256", "ES256", "EdDSA")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Server:
    """One application with the key it signs with."""

    def __init__(self, app_settings, algorithm):
        self.algorithm = algorithm
        self.client = create_app(app_settings).test_client(use_cookies=False)
        self.jwk = read_jwks(app_settings.token_keys_file)[0]
        self.key = signing_key(self.jwk, algorithm)
        self.good = self.log_in()

    def log_in(self):
        reply = self.client.post("/login", json={"username": "user-00001", "password": PASSWORD})
        return reply.json["credential"]["access_token"]

    @property
    def header(self):
        return {"alg": self.algorithm, "kid": self.key.kid, "typ": "at+jwt"}

    @property
    def claims(self):
        now = int(time.time())
        return {
            "iss": "authscale", "aud": "authscale", "sub": "user-00001", "jti": "j" * 22, "role": "reader",
            "name": "user-00001", "serial": 0, "iat": now, "nbf": now, "exp": now + 600,
        }  # fmt: skip

    def sign(self, header, claims, sign=None):
        parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, claims)]
        signed = ".".join(b64(each) for each in parts)
        return f"{signed}.{b64((sign or self.key.sign)(signed.encode()))}"

    def status(self, token):
        reply = self.client.get("/me", headers={"Authorization": f"Bearer {token}"})
        if reply.status_code != 200:
            assert reply.headers["WWW-Authenticate"].isascii()
            assert reply.headers["Content-Type"] == "application/problem+json"
        return reply.status_code

    def refuses(self, token):
        assert self.status(token) == 401, token


@pytest.fixture(scope="module")
def servers(token_settings):
    return {each: Server(token_settings(TOKEN_ALGORITHM=each), each) for each in ALGORITHMS}


@pytest.fixture(params=ALGORITHMS, scope="module")
def server(request, servers):
    return servers[request.param]


def test_the_forger_can_sign(server):
    assert server.status(server.good) == 200
    assert server.status(server.sign(server.header, server.claims)) == 200
    assert (
        server.status(server.sign(dict(reversed(server.header.items())), server.claims | {"aud": ["authscale"]})) == 200
    )


def public_forms(jwk):
    """What a careless server might take for an HMAC secret."""
    public = PyJWK(jwk).key.public_key()
    own = {name: jwk[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in jwk}
    forms = [json.dumps(own).encode(), json.dumps(own, separators=(",", ":"), sort_keys=True).encode()]
    forms += [
        public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo) for encoding in (Encoding.PEM, Encoding.DER)
    ]
    forms += [forms[2].strip(), *(unb64(jwk[name]) for name in ("n", "x", "y") if name in jwk)]
    return [*forms, *(base64.b64encode(form) for form in forms), b"", jwk["kid"].encode()]


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_no_hmac_with_the_public_key(servers, algorithm, alg):
    server = servers[algorithm]
    for form in public_forms(server.jwk):
        for header in ({"alg": alg}, {"alg": alg, "kid": None}, {}):
            merged = {name: value for name, value in (server.header | header).items() if value is not None}

            def mac(message, form=form):
                return hmac.digest(form, message, f"sha{alg[2:]}")

            server.refuses(server.sign(merged, server.claims, mac))


@pytest.mark.parametrize("theirs", ALGORITHMS)
def test_a_token_of_another_algorithm_is_refused_even_under_its_own_kid(server, servers, theirs):
    other = servers[theirs]
    if other is server:
        return
    server.refuses(other.good)
    server.refuses(server.sign(other.header | {"kid": server.key.kid}, server.claims, other.key.sign))
    server.refuses(server.sign(server.header, server.claims, other.key.sign))
    server.refuses(server.sign(server.header | {"alg": theirs}, server.claims))


@FUZZ
@given(st.lists(st.booleans(), min_size=4, max_size=4), st.sampled_from(["", " ", "\x00", "\n", "\u200b"]))
def test_none_in_every_spelling(server, upper, around):
    alg = "".join(letter.upper() if up else letter for letter, up in zip("none", upper, strict=True))
    for spelling in (alg, alg + around, around + alg, f"{around}{alg}{around}"):
        signed = server.sign(server.header | {"alg": spelling}, server.claims)
        server.refuses(signed)
        server.refuses(signed.rpartition(".")[0] + ".")
        server.refuses(signed.rpartition(".")[0])


@FUZZ
@given(
    st.sampled_from(["kid", "jku", "x5u", "jwk", "x5c", "crit", "b64", "typ", "alg", "zip", "cty", "enc"]),
    st.one_of(
        st.sampled_from([
            "../../secret", "/dev/null", "/etc/passwd", "file:///dev/null", "' OR '1'='1", "'; DROP TABLE users; --",
            "' UNION SELECT 'key' --", "http://127.0.0.1:1/keys.json", "https://[", "\x00", "%00", "$(id)", "`id`",
            "{{7*7}}", "x" * 5000, "", [], ["at+jwt"], {}, {"kty": "oct", "k": "AAAA"}, None, True, False, 0, 1e300,
        ]),
        st.text(max_size=50),
        st.lists(st.text(max_size=5), max_size=3),
    ),
)  # fmt: skip
def test_a_header_chooses_nothing(server, name, value):
    wrong = server.header | {name: value}
    harmless = name in {"zip", "cty", "enc"} or wrong == server.header
    if not harmless:
        server.refuses(server.sign(wrong, server.claims))
    # and with a key of the forger's own
    for secret in (b"", b"\x00" * 32, b"key"):
        server.refuses(
            server.sign(wrong, server.claims, lambda message, secret=secret: hmac.digest(secret, message, "sha256"))
        )


@FUZZ
@given(st.data())
def test_any_cut_and_any_change_is_refused(server, data):
    good = server.good
    cut = data.draw(st.integers(0, len(good) - 1))
    server.refuses(good[:cut])
    server.refuses(good[cut:] if cut else good[1:])
    place = data.draw(st.integers(0, len(good) - 1))
    drawn = data.draw(st.characters(max_codepoint=255).filter(lambda each: each != good[place] and each not in "\r\n"))
    server.refuses(f"{good[:place]}{drawn}{good[place + 1 :]}")
    if drawn != " " or place not in {0, len(good)}:
        server.refuses(f"{good[:place]}{drawn}{good[place:]}")


def test_padding_and_spare_bits_make_no_second_spelling(server):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = server.good.split(".")
    for index, part in enumerate(parts):
        spellings = {part + "=", part + "==", part + "=" * (-len(part) % 4), part + "A", part.replace("-", "+")}
        spellings |= {part[:-1] + letter for letter in alphabet if unb64(part[:-1] + letter) == unb64(part)}
        spellings |= {part + "\t", " " + part, part.replace("_", "/")}
        for spelling in spellings - {part}:
            server.refuses(".".join([*parts[:index], spelling, *parts[index + 1 :]]))
    # signed as it stands: what the signature covers is right, and its spelling is not
    for head, body in ((parts[0] + "=", parts[1]), (parts[0], parts[1] + "=="), (b64(b'{"a":1}') + "B", parts[1])):
        signed = f"{head}.{body}"
        server.refuses(f"{signed}.{b64(server.key.sign(signed.encode()))}")


TIMES = st.sampled_from(["exp", "nbf", "iat"])


@FUZZ
@given(
    TIMES,
    st.one_of(
        st.floats(),
        st.text(max_size=10),
        st.integers(min_value=2**38),
        st.integers(max_value=-1),
        st.sampled_from([None, True, False, [], {}, 10**400, "1e9", [int(time.time()) + 600]]),
    ),
)
def test_a_time_is_a_whole_number_of_seconds(server, name, value):
    server.refuses(server.sign(server.header, server.claims | {name: value}))


@pytest.mark.parametrize("text", ["1e400", "-1e400", "NaN", "Infinity", "1" * 5000, "9999999999.0", "-0", "0x7fffffff"])
@pytest.mark.parametrize("name", ["exp", "nbf"])
def test_a_time_spelled_oddly_is_refused(server, name, text):
    claims = server.claims | {name: "HERE"}
    if name == "nbf" and text == "-0":
        return  # the number 0
    server.refuses(server.sign(server.header, json.dumps(claims).replace('"HERE"', text).encode()))


@FUZZ
@given(st.sampled_from(["iss", "aud", "sub", "jti", "role", "name", "serial"]), st.data())
def test_a_claim_of_another_type_is_refused(server, name, data):
    other = st.none() | st.booleans() | st.floats() | st.lists(st.integers(), max_size=2) | st.just({})
    if name != "serial":
        other |= st.integers()
    value = data.draw(other if name != "serial" else other | st.text())
    server.refuses(server.sign(server.header, server.claims | {name: value}))
    claims = server.claims
    del claims[name]
    server.refuses(server.sign(server.header, claims))


def test_a_name_that_stands_twice_is_refused(server):
    header, claims = json.dumps(server.header), json.dumps(server.claims)
    for doubled in (f'{{"alg": "none", {header[1:]}', f'{header[:-1]}, "alg": "{server.algorithm}"}}'):
        server.refuses(server.sign(doubled.encode(), server.claims))
    for doubled in (
        f'{{"sub": "user-00000", {claims[1:]}',
        f'{claims[:-1]}, "role": "warden"}}',
        '{"exp" :1,' + claims[1:],
    ):
        server.refuses(server.sign(server.header, doubled.encode()))


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"7", b"null", b'"x"', b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{}" * 9]
)
def test_a_part_that_is_no_object_is_refused(server, payload):
    server.refuses(server.sign(server.header, payload))
    server.refuses(server.sign(payload, server.claims))


@pytest.mark.parametrize("depth", [10, 500, 3000])
def test_deep_and_huge_parts_are_refused(server, depth):
    deep = json.dumps(server.claims)[:-1].encode() + b', "deep": ' + b"[" * depth
    server.refuses(server.sign(server.header, deep))
    server.refuses(server.sign(b'{"deep": ' + b'{"a":' * depth, server.claims))
    server.refuses(server.sign(server.header | {"more": "x" * 50_000}, server.claims))
    server.refuses(server.sign(server.header, server.claims | {"more": "x" * 50_000}))


@FUZZ
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(server, raw):
    server.refuses(raw.decode("latin-1").replace("\r", "").replace("\n", ""))
    server.refuses(f"{b64(raw)}.{b64(raw)}.{b64(raw)}")
    server.refuses(f"{server.good.rpartition('.')[0]}.{b64(raw)}")


@FUZZ
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_unicode_in_claims_is_the_users_own(server, text):
    token = server.sign(server.header, server.claims | {"name": text})
    assert server.status(token) == (200 if text.isprintable() else 401)
    server.refuses(server.sign(server.header | {"kid": text}, server.claims))


@pytest.mark.parametrize("name", ["sub", "role", "name", "jti", "iss", "aud"])
def test_a_lone_surrogate_in_a_claim_is_refused(server, name):
    claims = json.dumps(server.claims | {name: "HERE"}).replace("HERE", "\\ud800").encode()
    server.refuses(server.sign(server.header, claims))


def second_form(token):
    """(r, n - s) is as right a signature as (r, s), and anybody can make it."""
    signed, _, signature = token.rpartition(".")
    curve = PyJWK({"kty": "EC", "crv": "P-256", **_point()}).key.curve
    r, s = decode_dss_signature(raw_to_der_signature(unb64(signature), curve))
    return f"{signed}.{b64(der_to_raw_signature(encode_dss_signature(r, P256_ORDER - s), curve))}"


def _point():
    # the generator (FIPS 186-4, D.1.2.3): any point of the curve will do
    x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    return {"x": b64(bytes.fromhex(x)), "y": b64(bytes.fromhex(y))}


@pytest.mark.parametrize("cache", ["off", "on"])
def test_the_second_form_of_an_es256_signature_does_not_pass_the_denylist(token_settings, cache):
    options = {"TOKEN_ALGORITHM": "ES256", "TOKEN_REVOCATION": "denylist", "VERIFY_CACHE": cache}
    server = Server(token_settings(**options), "ES256")
    first, second = server.good, second_form(server.good)
    assert first != second
    assert server.status(first) == server.status(second) == 200  # both are right
    logout = server.client.post("/logout", headers={"Authorization": f"Bearer {first}"})
    assert logout.status_code == 204
    server.refuses(first)
    server.refuses(second)
    other = server.log_in()
    server.client.post("/logout", headers={"Authorization": f"Bearer {second_form(other)}"})
    server.refuses(other)


def test_a_token_of_another_use_is_refused(server):
    for typ in ("rt+jwt", "JWT", "application/at+jwt", "AT+JWT", "logout+jwt"):
        server.refuses(server.sign(server.header | {"typ": typ}, server.claims))


def test_no_answer_tells_the_key(server):
    secret = server.jwk.get("d") or server.jwk["k"]
    reply = server.client.get("/me", headers={"Authorization": f"Bearer {server.good[:-4]}AAAA"})
    assert secret not in reply.text
    assert hashlib.sha256(unb64(secret)).hexdigest() not in reply.text
    assert secret not in server.client.get("/.well-known/jwks.json").text
