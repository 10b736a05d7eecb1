"""Contestants without a server around them: every backend that Flask-Session has here, and a missing package."""

import importlib.util
import shutil
import socket
import subprocess
import time

import pytest

from loadtests.matrix import ExperimentError, load_experiment
from servers.app import create_app
from servers.settings import Settings, SettingsError
from servers.users import PASSWORD
from topology.spec import SpecError, Topology

WHO = {"username": "user-00001", "password": PASSWORD}


@pytest.fixture
def memcached_url():
    binary = shutil.which("memcached")
    if binary is None:
        pytest.skip("there is no memcached on PATH")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([binary, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody"])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
        yield f"memcached://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["file", "sqlite", "memcached"])
def url(request, tmp_path):
    if request.param == "memcached":
        return request.getfixturevalue("memcached_url")
    return {"file": f"file://{tmp_path}/sessions", "sqlite": f"sqlite://{tmp_path}/s.db"}[request.param]


@pytest.fixture
def app(environ, url):
    app = create_app(Settings.from_environ(environ | {"AUTH_SCHEME": "flask-session", "STORE_URL": url}))
    yield app
    if "sqlalchemy" in app.extensions:
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()
    client = app.config.get("SESSION_MEMCACHED")
    if client is not None:
        client.close()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # Flask-Session's, on SQL
def test_flask_session_signs_in_and_out_on_every_backend(app):
    client = app.test_client()
    reply = client.post("/login", json=WHO, base_url="https://localhost")
    csrf = {reply.json["credential"]["csrf_header"]: reply.json["credential"]["csrf_token"]}
    cookie = reply.headers["Set-Cookie"].partition(";")[0]
    sent = {"Cookie": cookie}
    changed = client.post("/profile", json={"display_name": "me"}, headers=sent | csrf, base_url="https://localhost")
    assert (changed.status_code, changed.json["serial"]) == (200, 1)
    asked = client.get("/me", headers=sent, base_url="https://localhost")
    assert asked.json["display_name"] == "me"
    assert "store;dur=00000.000000" not in asked.headers["Server-Timing"]
    assert client.post("/logout", headers=sent | csrf, base_url="https://localhost").status_code == 204
    stale = app.test_client().get("/me", headers=sent, base_url="https://localhost")
    assert stale.status_code == 401


def test_flask_session_takes_no_other_store(environ):
    with pytest.raises(ValueError, match="flask-session takes redis, file, sqlite, memcached"):
        create_app(Settings.from_environ(environ | {"AUTH_SCHEME": "flask-session", "STORE_URL": "memory://"}))
    with pytest.raises(ExperimentError, match="flask-session can use none of these stores"):
        load_experiment("auth", {"schemes": ["flask-session"], "stores": ["memory"]})


@pytest.mark.parametrize("scheme", ["flask-session", "flask-jwt-extended"])
def test_a_package_that_is_not_installed_is_one_line_before_anything_starts(environ, scheme, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    said = rf"scheme {scheme} needs the package \w+, which is not installed: `make contestants`, or pip install"
    with pytest.raises(SettingsError, match=said):
        Settings.from_environ(environ | {"AUTH_SCHEME": scheme, "STORE_URL": "redis://127.0.0.1:1/0"})
    with pytest.raises(SpecError, match=said):
        Topology(scheme, "redis" if scheme == "flask-session" else "none", 1)
    with pytest.raises(ExperimentError, match=said):
        load_experiment("auth", {"schemes": ["control", scheme]})
    assert load_experiment("auth", {"schemes": ["control", "session", "token"]}).cells
