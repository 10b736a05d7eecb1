"""The description and the application agree, both ways."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from openapi_spec_validator import validate

from servers import app as app_module
from servers.users import PASSWORD

SPEC = yaml.safe_load((Path(app_module.__file__).parent / "openapi.yaml").read_text())


def test_the_description_is_openapi_3_1():
    assert SPEC["openapi"].startswith("3.1")
    validate(SPEC)


@pytest.mark.parametrize("scheme", ["control", "session", "token", "hybrid", "signed_cookie"])
def test_the_same_routes_are_described_and_served(app_of, scheme):
    described = {
        (method.upper(), path)
        for path, methods in SPEC["paths"].items()
        for method in methods
        if method != "parameters"
    }
    served = {
        (method, re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule))
        for rule in app_of(scheme).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == served


def schema_of(method, path, status, kind):
    answer = SPEC["paths"][path][method]["responses"][status]
    if "$ref" in answer:
        answer = SPEC["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return answer["content"][kind]["schema"] | {"components": SPEC["components"]}


def conforms(reply, method, path):
    kind = reply.headers["Content-Type"]
    jsonschema.validate(reply.get_json(force=True), schema_of(method, path, str(reply.status_code), kind))


@pytest.mark.parametrize("scheme", ["control", "session", "token", "hybrid", "signed_cookie"])
def test_answers_are_as_described(app_of, scheme):
    client = app_of(scheme).test_client(use_cookies=False)
    login = client.post("/login", json={"username": "user-00001", "password": PASSWORD})
    conforms(login, "post", "/login")
    credential = login.json["credential"]
    headers = {}
    if credential["kind"] == "bearer":
        headers = {"Authorization": f"Bearer {credential['access_token']}"}
    if credential["kind"] == "cookie":
        cookie = login.headers["Set-Cookie"].partition(";")[0]
        headers = {"Cookie": cookie, credential["csrf_header"]: credential["csrf_token"]}
    conforms(client.get("/healthz"), "get", "/healthz")
    conforms(client.get("/me", headers=headers), "get", "/me")
    conforms(client.get("/sessions", headers=headers), "get", "/sessions")
    conforms(client.get("/.well-known/jwks.json"), "get", "/.well-known/jwks.json")
    conforms(client.post("/profile", headers=headers, json={"display_name": "x"}), "post", "/profile")
    conforms(client.post("/profile", headers=headers, json={}), "post", "/profile")
    conforms(client.post("/login", json={"username": "x", "password": "x"}), "post", "/login")
    pattern = SPEC["components"]["headers"]["ServerTiming"]["schema"]["pattern"]
    assert re.fullmatch(pattern, login.headers["Server-Timing"])
