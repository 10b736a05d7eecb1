"""Whatever comes in a header is a 401, never a 500, and never a way in."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.scheme import NotAuthenticatedError
from servers.schemes.hybrid import HybridScheme
from servers.schemes.session import SessionScheme
from servers.schemes.signed_cookie import SignedCookieScheme
from servers.schemes.token import TokenScheme
from servers.settings import Settings
from servers.stores.memory import MemoryStore
from servers.users import Account

FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
LATIN = st.text(st.characters(max_codepoint=255), max_size=300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
SEGMENT = JSON.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode())


@pytest.fixture(scope="module")
def token(environ):
    return TokenScheme(Settings.from_environ(environ | {"AUTH_SCHEME": "token"}))


@pytest.fixture(scope="module")
def good(token):
    return token.log_in(Account("user-00001", "reader", ""), {}).credential["access_token"]


def is_refused(scheme, **environ):
    with pytest.raises(NotAuthenticatedError) as refused:
        scheme.authenticate(environ)
    assert refused.value.challenge.isascii()
    assert refused.value.challenge.isprintable()


@FUZZ
@given(LATIN)
def test_any_authorization(token, value):
    is_refused(token, HTTP_AUTHORIZATION=value)
    is_refused(token, HTTP_AUTHORIZATION=f"Bearer {value}")


@FUZZ
@given(SEGMENT, SEGMENT, st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()))
def test_any_three_segments(token, header, claims, mac):
    is_refused(token, HTTP_AUTHORIZATION=f"Bearer {header}.{claims}.{mac}")


@FUZZ
@given(st.data())
def test_any_change_of_a_good_token(token, good, data):
    place = data.draw(st.integers(0, len(good) - 1))
    character = data.draw(st.characters(max_codepoint=255).filter(lambda drawn: drawn != good[place]))
    is_refused(token, HTTP_AUTHORIZATION=f"Bearer {good[:place]}{character}{good[place + 1 :]}")


@FUZZ
@given(LATIN)
def test_any_cookie(environ, value):
    scheme = SessionScheme(Settings.from_environ(environ), MemoryStore())
    is_refused(scheme, HTTP_COOKIE=value)
    is_refused(scheme, HTTP_COOKIE=f"__Host-session={value}")


@pytest.fixture(scope="module")
def signed_cookie(environ):
    return SignedCookieScheme(Settings.from_environ(environ | {"AUTH_SCHEME": "signed_cookie"}))


@pytest.fixture(scope="module")
def good_cookie(signed_cookie):
    ((_, line),) = signed_cookie.log_in(Account("user-00001", "reader", ""), {}).headers
    return line.partition(";")[0]


@FUZZ
@given(LATIN)
def test_any_signed_cookie(signed_cookie, value):
    is_refused(signed_cookie, HTTP_COOKIE=value)
    is_refused(signed_cookie, HTTP_COOKIE=f"__Host-session={value}")


@FUZZ
@given(st.data())
def test_any_change_of_a_good_signed_cookie(signed_cookie, good_cookie, data):
    # all but the last letter of the MAC: its spare bits make a second spelling of the same cookie
    place = data.draw(st.integers(len("__Host-session="), len(good_cookie) - 2))
    character = data.draw(st.sampled_from(ALPHABET).filter(lambda drawn: drawn != good_cookie[place]))
    assert signed_cookie.authenticate({"HTTP_COOKIE": good_cookie}).user == "user-00001"
    is_refused(signed_cookie, HTTP_COOKIE=f"{good_cookie[:place]}{character}{good_cookie[place + 1 :]}")


@pytest.fixture(scope="module")
def hybrid(environ):
    return HybridScheme(Settings.from_environ(environ | {"AUTH_SCHEME": "hybrid"}), MemoryStore())


@FUZZ
@given(st.text(max_size=300))
def test_any_refresh_token(hybrid, value):
    with pytest.raises(NotAuthenticatedError):
        hybrid.refresh(value, {})
    is_refused(hybrid, HTTP_AUTHORIZATION=f"Bearer {value}")


def test_the_good_token_is_good(token, good):
    assert token.authenticate({"HTTP_AUTHORIZATION": f"Bearer {good}"}).user == "user-00001"
