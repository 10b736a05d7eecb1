"""The protections that the browser lab takes away: each by itself, and none unless asked."""

import pytest

from servers import users
from servers.app import create_app
from servers.settings import Settings, SettingsError


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(32)))
    users.seed(tmp_path / "users.db", 1, users.HashCost.parse("fast"))
    return {
        "AUTH_SCHEME": "session",
        "STORE_URL": "memory://",
        "USERS_DB": str(tmp_path / "users.db"),
        "SECRET_FILE": str(tmp_path / "secret"),
    }


def _signed_in(environ, **unsafe):
    client = create_app(Settings.from_environ({**environ, **unsafe})).test_client()
    body = {"username": users.user_name(0, 1), "password": users.PASSWORD}
    reply = client.post("/login", json=body, base_url="https://localhost")
    return client, reply


def _change(client, **how):
    return client.post("/profile", base_url="https://localhost", **how).status_code


FORM = {"data": {"display_name": "changed"}}
JSON = {"json": {"display_name": "changed"}}


def test_a_server_is_safe_unless_told_otherwise_and_says_nothing(environ, capsys):
    client, reply = _signed_in(environ)
    assert "SameSite=Strict" in reply.headers["Set-Cookie"]
    assert _change(client, **JSON) == 403
    assert _change(client, **FORM, headers={"X-CSRF-Token": reply.json["credential"]["csrf_token"]}) == 415
    assert "UNSAFE" not in capsys.readouterr().err


@pytest.mark.parametrize(("value", "found"), [("None", "SameSite=None"), ("Lax", "SameSite=Lax"), ("absent", None)])
def test_the_attribute_of_the_cookie(environ, value, found, capsys):
    _, reply = _signed_in(environ, UNSAFE_COOKIE_SAMESITE=value)
    attributes = [each.strip() for each in reply.headers["Set-Cookie"].split(";")]
    assert [each for each in attributes if each.startswith("SameSite")] == ([found] if found else [])
    assert "HttpOnly" in attributes
    assert "UNSAFE" in capsys.readouterr().err


def test_without_the_check_a_change_needs_no_token(environ):
    client, _ = _signed_in(environ, UNSAFE_CSRF_CHECK="off")
    assert _change(client, **JSON) == 200
    assert _change(client, **FORM) == 415


def test_forms_are_taken_and_still_checked(environ):
    client, reply = _signed_in(environ, UNSAFE_FORM_BODIES="on")
    assert _change(client, **FORM) == 403
    assert _change(client, **FORM, headers={"X-CSRF-Token": reply.json["credential"]["csrf_token"]}) == 200


@pytest.mark.parametrize("name", ["UNSAFE_COOKIE_SAMESITE", "UNSAFE_CSRF_CHECK", "UNSAFE_FORM_BODIES"])
def test_a_wrong_value_is_refused_by_name(environ, name):
    with pytest.raises(SettingsError, match=f"{name}='strict' is unknown; there are: "):
        Settings.from_environ({**environ, name: "strict"})


@pytest.mark.parametrize(("check", "status"), [("on", 403), ("token", 200)])
def test_the_token_alone_lets_another_origin_in_that_has_it(environ, check, status):
    client, reply = _signed_in(environ, UNSAFE_CSRF_CHECK=check)
    headers = {"X-CSRF-Token": reply.json["credential"]["csrf_token"], "Sec-Fetch-Site": "cross-site"}
    assert _change(client, **JSON, headers=headers) == status


def test_the_token_alone_refuses_who_has_it_not(environ):
    client, _ = _signed_in(environ, UNSAFE_CSRF_CHECK="token")
    assert _change(client, **JSON, headers={"Sec-Fetch-Site": "cross-site"}) == 403
