"""Cookies over TLS, as browsers get them: Secure ones are kept, and sent back over TLS alone."""

import http.cookiejar
import json
import ssl
import urllib.request

import pytest

from servers import users
from tests.security.checklist import checks
from tests.security.systems import Kind, new_user


@pytest.fixture(scope="module")
def over_tls(launcher):
    with launcher.running(Kind("session", "memory"), tls=True) as system:
        yield system


@pytest.mark.parametrize(
    "name",
    ["test_cookies_are_as_guarded_as_they_get", "test_changes_need_the_csrf_token", "test_logout_clears_the_site"],
)
def test_the_cookie_checks_hold_over_tls(over_tls, name):
    checks()[name].test(over_tls)


def test_a_client_that_honours_secure_signs_in_and_out(over_tls):
    trust = ssl.create_default_context(cafile=over_tls.running.authority)
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=trust), urllib.request.HTTPCookieProcessor(jar)
    )

    def ask(method, path, body=None, headers=()):
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **dict(headers)}
        request = urllib.request.Request(over_tls.running.url + path, data, sent, method=method)
        with opener.open(request, timeout=15) as answer:
            return answer.read()

    login = json.loads(ask("POST", "/login", {"username": new_user(), "password": users.PASSWORD}))
    assert [cookie.secure for cookie in jar] == [True]
    assert json.loads(ask("GET", "/me"))["user"] == login["user"]
    credential = login["credential"]
    ask("POST", "/logout", headers={credential["csrf_header"]: credential["csrf_token"]})
    assert not list(jar)
