"""A replica says what is wrong with its environment before it serves anything."""

import subprocess
import sys
from pathlib import Path

import pytest

from servers.settings import Settings, SettingsError


def test_the_defaults(environ):
    settings = Settings.from_environ(environ)
    assert (settings.session_idle_s, settings.session_absolute_s, settings.token_ttl_s) == (1800, 43200, 900)
    assert settings.store_timeout_ms == 1000


def test_a_scheme_without_a_store_ignores_the_url(environ):
    assert Settings.from_environ(environ | {"AUTH_SCHEME": "token", "STORE_URL": "nonsense"}).store_url is None


@pytest.mark.parametrize("name", ["AUTH_SCHEME", "STORE_URL", "USERS_DB", "SECRET_FILE"])
@pytest.mark.parametrize("empty", [True, False])
def test_what_is_missing_is_named(environ, name, empty):
    lacking = {key: value for key, value in environ.items() if key != name} | ({name: ""} if empty else {})
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ(lacking)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_SCHEME", "sesion"),
        ("SECRET_FILE", "/nonexistent"),
        ("SESSION_IDLE_SECONDS", "0"),
        ("SESSION_IDLE_SECONDS", "-1"),
        ("SESSION_IDLE_SECONDS", "1.5"),
        ("SESSION_IDLE_SECONDS", "99999"),
        ("TOKEN_TTL_SECONDS", "soon"),
        ("STORE_TIMEOUT_MS", "²"),
    ],
)
def test_what_is_wrong_is_named(environ, name, value):
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ(environ | {name: value})


def test_a_short_secret_is_refused(environ, tmp_path):
    (tmp_path / "short").write_bytes(b"x" * 31)
    with pytest.raises(SettingsError, match="at least 32"):
        Settings.from_environ(environ | {"SECRET_FILE": str(tmp_path / "short")})


def test_keys_are_not_in_the_representation(environ):
    settings = Settings.from_environ(environ)
    assert repr(settings.keys.token) not in repr(settings)
    assert settings.keys.token != settings.keys.csrf


def start(environ):
    argv = [sys.executable, "-c", "import servers.wsgi"]
    root = Path(__file__).parents[2]
    return subprocess.run(argv, env=environ, cwd=root, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    "wrong", [{"AUTH_SCHEME": "x"}, {"STORE_URL": "ftp://x"}, {"STORE_URL": "x"}, {"USERS_DB": "/nonexistent"}], ids=str
)
def test_the_replica_exits_2_with_one_line(environ, wrong):
    done = start(environ | wrong)
    assert done.returncode == 2
    assert done.stderr.startswith("authscale replica: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["redis://127.0.0.1:port/0", "redis://127.0.0.1:6379/zero"])
def test_a_bad_redis_url_is_named(environ, url):
    assert "STORE_URL" in start(environ | {"STORE_URL": url}).stderr


def test_a_user_table_that_is_none_is_refused_at_start(environ, tmp_path):
    (tmp_path / "users.db").write_text("this is no database")
    assert start(environ | {"USERS_DB": str(tmp_path / "users.db")}).returncode == 2


@pytest.mark.parametrize("scheme", ["control", "session", "token", "hybrid", "signed_cookie"])
def test_each_scheme_loads_no_other_schemes_libraries(environ, scheme):
    code = "import sys, servers.wsgi; print({'jwt', 'redis'} & set(sys.modules))"
    argv = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    env = environ | {"AUTH_SCHEME": scheme}
    done = subprocess.run(argv, env=env, cwd=root, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == ("{'jwt'}" if scheme in {"token", "hybrid"} else "set()")


def test_the_facts_cost_no_flask():
    code = "import sys; from servers import schemes, stores; schemes.facts(), stores.facts()"
    heavy = "print({'flask', 'jwt', 'redis', 'argon2', 'cryptography'} & set(sys.modules))"
    argv = [sys.executable, "-c", f"{code}; {heavy}"]
    root = Path(__file__).parents[2]
    assert subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True).stdout.strip() == "set()"
