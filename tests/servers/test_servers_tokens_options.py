"""The token scheme's options: where a token is carried, how large it is, what ends it early."""

import base64
import json

import pytest

from servers import csrf, permissions
from servers.app import create_app
from servers.cookies import MAX_BYTES
from servers.scheme import NoSessionsError, NotAuthenticatedError
from servers.schemes.token import COOKIE, TokenScheme
from servers.session_store import StoreUnavailableError
from servers.settings import Settings, SettingsError
from servers.signing_keys import ALGORITHMS
from servers.stores.memory import MemoryStore
from servers.users import PASSWORD, Account

WHO = {"username": "user-00001", "password": PASSWORD}
ACCOUNT = Account("user-00001", "reader", "")


def claims_of(text):
    payload = text.split(".")[1]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


def bearer(issued):
    return {"HTTP_AUTHORIZATION": f"Bearer {issued.credential['access_token']}"}


def is_revoked(scheme, environ):
    with pytest.raises(NotAuthenticatedError, match="revoked"):
        scheme.authenticate(environ)


@pytest.fixture
def with_cookie(token_settings):
    return create_app(token_settings(TOKEN_CARRIER="cookie")).test_client(use_cookies=False)


def test_the_cookie_is_one_that_only_the_server_sees(with_cookie):
    login = with_cookie.post("/login", json=WHO)
    line = login.headers["Set-Cookie"]
    assert line.startswith(f"{COOKIE}=")
    assert set(line.split("; ")[1:]) == {"Max-Age=900", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
    credential = login.json["credential"]
    assert credential.keys() == {"kind", "name", "csrf_header", "csrf_token"}
    token = line.partition(";")[0].partition("=")[2]
    assert token not in login.text


def test_a_change_by_cookie_takes_the_csrf_token_of_its_sign_in(with_cookie):
    one, other = (with_cookie.post("/login", json=WHO) for _ in range(2))
    cookie = {"Cookie": one.headers["Set-Cookie"].partition(";")[0]}
    own = {csrf.HEADER: one.json["credential"]["csrf_token"]}
    new = {"display_name": "Grace"}
    assert with_cookie.get("/me", headers=cookie).status_code == 200
    assert with_cookie.post("/profile", headers=cookie, json=new).status_code == 403
    theirs = {csrf.HEADER: other.json["credential"]["csrf_token"]}
    assert with_cookie.post("/profile", headers=cookie | theirs, json=new).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert with_cookie.post("/profile", headers=cookie | own | foreign, json=new).status_code == 403
    changed = with_cookie.post("/profile", headers=cookie | own, json=new)
    assert changed.status_code == 200
    replaced = {"Cookie": changed.headers["Set-Cookie"].partition(";")[0]}
    assert with_cookie.get("/me", headers=replaced).json["display_name"] == "Grace"
    assert changed.json["credential"]["csrf_token"] == own[csrf.HEADER]  # still the same sign-in
    logout = with_cookie.post("/logout", headers=replaced | own)
    assert (logout.status_code, logout.headers["Set-Cookie"].split("; ")[:2]) == (204, [f"{COOKIE}=", "Max-Age=0"])


def test_each_carrier_takes_its_own_alone(with_cookie, token_settings):
    by_header = create_app(token_settings()).test_client(use_cookies=False)
    token = by_header.post("/login", json=WHO).json["credential"]["access_token"]
    in_cookie = {"Cookie": f"{COOKIE}={token}"}
    in_header = {"Authorization": f"Bearer {token}"}
    assert with_cookie.get("/me", headers=in_cookie).status_code == 200
    assert by_header.get("/me", headers=in_header).status_code == 200
    assert with_cookie.get("/me", headers=in_header).status_code == 401
    assert by_header.get("/me", headers=in_cookie).status_code == 401
    twice = {"Cookie": f"{COOKIE}={token}; {COOKIE}={token}"}
    assert with_cookie.get("/me", headers=twice).status_code == 401
    for name in ("token", "__Secure-token", "__host-token", f"{COOKIE}x"):
        assert with_cookie.get("/me", headers={"Cookie": f"{name}={token}"}).status_code == 401


@pytest.mark.parametrize("wanted", [0, 1, 200, 241, 255, 256, 300, 301, 302, 1000, 2500, 6000])
def test_claims_reach_the_size_that_was_asked_for_and_hardly_more(token_settings, wanted):
    scheme = TokenScheme(token_settings(TOKEN_CLAIMS_BYTES=str(wanted)))
    issued = scheme.log_in(ACCOUNT, {})
    payload = claims_of(issued.credential["access_token"])
    plain = claims_of(TokenScheme(token_settings()).log_in(ACCOUNT, {}).credential["access_token"])
    assert len(payload) >= wanted
    if wanted <= len(plain):
        assert len(payload) == len(plain)
        assert permissions.CLAIM not in json.loads(payload)
    else:
        assert len(payload) <= max(wanted, len(plain) + 20) + permissions.MOST_OVER
        assert all(":" in name for name in json.loads(payload)[permissions.CLAIM])
    identity = scheme.authenticate(bearer(issued))
    changed, again = scheme.change(identity, "\U0001f600" * 64)
    assert scheme.authenticate(bearer(again)).display_name == changed.display_name


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cookie_that_browsers_would_drop_is_refused_at_the_start(token_settings, algorithm):
    options = {"TOKEN_ALGORITHM": algorithm, "TOKEN_CARRIER": "cookie"}
    with pytest.raises(SettingsError, match=r"TOKEN_CLAIMS_BYTES=3000 .* browsers keep 4096"):
        token_settings(**options, TOKEN_CLAIMS_BYTES="3000")

    def fits(size):
        try:
            return bool(token_settings(**options, TOKEN_CLAIMS_BYTES=str(size)))
        except SettingsError:
            return False

    largest = max(size for size in range(2000, 3000, 10) if fits(size))
    assert largest >= 2400
    scheme = TokenScheme(token_settings(**options, TOKEN_CLAIMS_BYTES=str(largest)))
    issued = scheme.log_in(ACCOUNT, {})
    identity = scheme.authenticate({"HTTP_COOKIE": issued.headers[0][1].partition(";")[0]})
    _, changed = scheme.change(identity, "\U0001f600" * 64)
    lengths = [len(each.headers[0][1]) for each in (issued, changed)]
    assert MAX_BYTES - 200 < max(lengths) <= MAX_BYTES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_ALGORITHM", "none"), ("TOKEN_ALGORITHM", "HS512"), ("TOKEN_CARRIER", "url"),
        ("TOKEN_CLAIMS_BYTES", "6001"), ("TOKEN_CLAIMS_BYTES", "-1"),
        ("TOKEN_REVOCATION", "off"), ("VERIFY_CACHE", "yes"),
    ],
)  # fmt: skip
def test_a_wrong_option_names_its_variable(environ, name, value):
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ(environ | {"AUTH_SCHEME": "token", name: value})


def test_a_store_is_asked_for_only_where_something_is_noted_in_it(token_settings):
    assert token_settings().store_url is None
    for revocation in ("denylist", "epoch"):
        assert token_settings(TOKEN_REVOCATION=revocation).store_url == "memory://"
        with pytest.raises(SettingsError, match="STORE_URL"):
            token_settings(TOKEN_REVOCATION=revocation, STORE_URL="")


class Counting(MemoryStore):
    def __init__(self):
        super().__init__()
        self.asked = []

    def get_mark(self, key):
        self.asked.append(("get", key))
        return super().get_mark(key)

    def put_mark(self, key, value, ttl_s):
        self.asked.append(("put", key, ttl_s))
        super().put_mark(key, value, ttl_s)


@pytest.fixture(params=["off", "on"])
def scheme_of(request, token_settings):
    """Schemes with and without the cache of verified tokens."""

    def make(revocation, **more):
        store = Counting()
        options = {"TOKEN_REVOCATION": revocation, "VERIFY_CACHE": request.param}
        return TokenScheme(token_settings(**options, **more), store), store

    return make


def test_a_denied_token_is_refused_and_its_sign_in_with_it(scheme_of):
    scheme, store = scheme_of("denylist")
    first, other = scheme.log_in(ACCOUNT, {}), scheme.log_in(ACCOUNT, {})
    identity = scheme.authenticate(bearer(first))
    _, replaced = scheme.change(identity, "Grace")
    store.asked.clear()
    scheme.log_out(scheme.authenticate(bearer(replaced)))
    jti = json.loads(claims_of(first.credential["access_token"]))["jti"]
    key = f"denied:authscale:{jti}"
    (got, (put, put_key, ttl_s)) = store.asked
    assert (got, put, put_key) == (("get", key), "put", key)
    assert 899 <= ttl_s <= 902
    is_revoked(scheme, bearer(first))
    is_revoked(scheme, bearer(replaced))
    assert scheme.authenticate(bearer(other)).user == "user-00001"
    with pytest.raises(NoSessionsError):
        scheme.log_out_everywhere("user-00001")


def test_a_change_under_way_does_not_outlive_the_logout(scheme_of):
    for revocation in ("denylist", "epoch"):
        scheme, _ = scheme_of(revocation)
        identity = scheme.authenticate(bearer(scheme.log_in(ACCOUNT, {})))
        scheme.log_out(identity)
        _, late = scheme.change(identity, "late")  # it was authenticated before
        is_revoked(scheme, bearer(late))


def test_an_epoch_ends_all_of_a_users_tokens_and_no_others(scheme_of):
    scheme, store = scheme_of("epoch")
    first, second = scheme.log_in(ACCOUNT, {}), scheme.log_in(ACCOUNT, {})
    theirs = scheme.log_in(Account("user-00002", "reader", ""), {})
    scheme.log_out(scheme.authenticate(bearer(first)))
    for each in (first, second):
        is_revoked(scheme, bearer(each))
    again = scheme.log_in(ACCOUNT, {})
    assert scheme.authenticate(bearer(again)).user == "user-00001"
    assert scheme.log_out_everywhere("user-00001") == 0
    is_revoked(scheme, bearer(again))
    store.asked.clear()
    assert scheme.authenticate(bearer(theirs)).user == "user-00002"
    assert store.asked == [("get", "epoch:user-00002")]


def test_under_an_epoch_a_token_without_one_is_refused(scheme_of):
    plain, _ = scheme_of("none")
    scheme, _ = scheme_of("epoch")
    with pytest.raises(NotAuthenticatedError):
        scheme.authenticate(bearer(plain.log_in(ACCOUNT, {})))


def test_a_sign_in_over_another_ends_it_where_a_denylist_and_a_cookie_allow(scheme_of):
    scheme, _ = scheme_of("denylist", TOKEN_CARRIER="cookie")
    environ = {"HTTP_COOKIE": scheme.log_in(ACCOUNT, {}).headers[0][1].partition(";")[0]}
    assert scheme.authenticate(environ)
    scheme.log_in(Account("user-00002", "reader", ""), environ)
    is_revoked(scheme, environ)
    scheme.log_in(ACCOUNT, {"HTTP_COOKIE": f"{COOKIE}=rubbish"})


class Down(MemoryStore):
    def get_mark(self, key):
        raise StoreUnavailableError(key)

    put_mark = get_mark


@pytest.mark.parametrize("revocation", ["denylist", "epoch"])
def test_while_the_store_is_down_nobody_is_let_in(scheme_of, revocation):
    scheme, _ = scheme_of(revocation)
    token = bearer(scheme.log_in(ACCOUNT, {}))
    assert scheme.authenticate(token)
    scheme._store = Down()
    with pytest.raises(StoreUnavailableError):
        scheme.authenticate(token)
