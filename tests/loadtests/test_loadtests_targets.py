"""`[target]`: what it may say, how the service is talked to, and which answers count."""

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests import launchers, pairs, run, samples
from loadtests.client import Answer, client_of
from loadtests.experiment import Cell, Experiment
from loadtests.matrix import ExperimentError, load_experiment, scenario_names
from loadtests.run_folder import SetupError
from loadtests.targets import handing_over
from loadtests.targets.conversation import Asked, Conversation, garbled
from loadtests.targets.cookies import Jar
from loadtests.targets.page import hidden_value, text_at
from loadtests.targets.people import people_of
from loadtests.targets.reading import target_of, targets_of
from loadtests.targets.spec import Target
from topology.ports import free_ports
from topology.spec import SpecError

EXAMPLE = Path(__file__).parents[2] / "examples" / "own.toml"
PERSON = ('m"ember 1', "p&ssword=1")


def example(**said: Any) -> dict[str, Any]:
    """The `[target]` of the example, with keys of its first system said otherwise; None takes one out."""
    section: dict[str, Any] = tomllib.loads(EXAMPLE.read_text())["target"]
    section["systems"][0] |= said
    section["systems"][0] = {name: value for name, value in section["systems"][0].items() if value is not None}
    return section


def first(**said: Any) -> Target:
    return targets_of(example(**said), EXAMPLE.parent)[0]


def login(**said: Any) -> dict[str, Any]:
    return {**example()["systems"][0]["login"], **said}


def answer(status: int, body: str = "", *headers: str, failure: Exception | None = None) -> Answer:
    made = Answer(0)
    made.status, made.body, made.failure = status, body.encode(), failure
    made.head = "\r\n".join((f"HTTP/1.1 {status} X", *headers, "", "")).encode()
    return made


class Script:
    """Plays back answers and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[Asked] = []
        self._answers = list(answers)
        self.talk: Conversation

    def __call__(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        given = self._answers.pop(0)
        self.talk.heard(given)
        return given


def signed_in(target: Target, *answers: Answer) -> tuple[Conversation, Script]:
    script = Script(*answers)
    script.talk = Conversation(target, PERSON)
    assert script.talk.sign_in(script) == ""
    return script.talk, script


FORM = '<form><input name="csrf_token" type="hidden" value="{}">'
WITH_COOKIES = (
    answer(200, FORM.format("before"), "Set-Cookie: s=none; HttpOnly; Path=/"),
    answer(302, "", "Location: /account", "Set-Cookie: s=in; HttpOnly; Path=/"),
    answer(200, "Account of m&quot;ember 1" + FORM.format("a&amp;b")),
)


def test_the_example_resolves_to_one_cell_a_system_and_the_first_one_twice():
    experiment = load_experiment(str(EXAMPLE), {"rate_rps": 5.0})
    assert [cell.id for cell in experiment.cells] == ["flask-login", "fastapi", "flask-login.aa"]
    assert (experiment.name, experiment.load.scenario, experiment.load.rate_rps) == ("own", "target", 5.0)
    assert "target" not in scenario_names()


def test_run_json_brings_the_experiment_back_and_holds_no_password():
    experiment = load_experiment(str(EXAMPLE), {})
    text = json.dumps(experiment.as_dict())
    assert Experiment.from_dict(json.loads(text)) == experiment
    for _, password in people_of(experiment.targets[0]):
        assert password not in text


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"ulr": "http://127.0.0.1"}, r"'ulr' is unknown \(did you mean 'url'\?\)"),
        ({"url": None}, "'url' is missing"),
        ({"url": "http://10.0.0.1:80"}, "10.0.0.1 is not on loopback.*allow_remote = true"),
        ({"url": "http://example.org"}, "example.org is not on loopback"),
        ({"url": "http://127.0.0.1:80/app"}, "a path belongs to each request's path"),
        ({"url": "127.0.0.1:80"}, "such as http://127.0.0.1:8000"),
        ({"name": "My App"}, "small letters"),
        ({"name": "fastapi"}, "fastapi stands there more than once"),
        ({"requests": []}, "from 1 to 100 are needed"),
        ({"requests": [{"name": "a", "path": "/", "wieght": 2}]}, r"'wieght' is unknown \(did you mean 'weight'\?\)"),
        ({"requests": [{"name": "a", "path": "a"}]}, "begins with /"),
        ({"requests": [{"name": "a", "path": "/", "weight": 0}]}, "weight must lie between 1 and"),
        ({"requests": [{"name": "login", "path": "/"}]}, "none of login"),
        ({"requests": [{"name": "a", "path": "/"}, {"name": "a", "path": "/b"}]}, "requests: a stands there more than"),
        ({"requests": [{"name": "a", "path": "/", "json": {}}]}, "a GET has no body"),
        ({"requests": [{"name": "a", "path": "/", "method": "FETCH"}]}, "method 'FETCH' is unknown"),
        ({"requests": [{"name": "a", "path": "/", "public": True}]}, "every request is public"),
        ({"requests": [{"name": "a", "path": "/", "expect": {"status": 200}}]}, "status has the wrong type"),
        ({"requests": [{"name": "a", "path": "/", "expect": {"status": ["ok"]}}]}, "a list of HTTP statuses"),
        ({"requests": [{"name": "a", "path": "/", "headers": {"Cookie": "a=b"}}]}, "Cookie carries a credential"),
        ({"requests": [{"name": "a", "path": "/{user}"}]}, r"placeholder '\{user\}' is unknown.*\{username\}"),
        ({"requests": [{"name": "a", "path": "/{password}"}]}, "for the sign-in alone"),
        ({"login": login(form={"username": "{username}", "password": "secret"})}, "belongs into the file"),
        ({"login": login(credential="basic")}, "credential 'basic' is unknown"),
        ({"login": login(token="access_token")}, "token does nothing with cookies"),
        ({"login": login(credential="bearer", header="Bearer {token}")}, "no line with one {token}"),
        ({"login": login(page_token={"field": "csrf_token"})}, "'path' is missing"),
        ({"login": login(json={"p": "{password}"})}, "json and form: one body alone"),
        ({"csrf": {"cookie": "csrftoken"}}, "'header' is missing"),
        ({"csrf": {"path": "/"}}, "either field .* or cookie"),
        ({"refused": {"redirect": "/login"}}, r"'redirect' is unknown \(did you mean 'redirect_to'\?\)"),
        ({"login": None}, "account expects {username}, and nobody signs in"),
        ({"credentials_env": "X", "credentials": "a.csv"}, "one source alone"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_with_what_and_where(said: dict[str, Any], complaint: str):
    with pytest.raises(SpecError, match=complaint) as caught:
        first(**said)
    assert "[target" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_service_elsewhere_is_loaded_only_on_demand():
    assert first(url="https://example.org", allow_remote=True).url == "https://example.org"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[axes]\nschemes = ['session']", r"\[axes\] does not apply beside \[target\]"),
        ("[study]\nkind = 'faults'", r"\[study\] does not apply beside \[target\]"),
        ("[polt]\n", r"'polt' is unknown"),
    ],
)
def test_sections_of_topologies_do_not_apply(tmp_path: Path, text: str, complaint: str):
    path = tmp_path / "own.toml"
    path.write_text(EXAMPLE.read_text() + text)
    with pytest.raises(ExperimentError, match=complaint):
        load_experiment(str(path), {})


@pytest.mark.parametrize(
    "changes",
    [
        {"schemes": ["session"]},
        {"stores": ["redis"]},
        {"replicas": [4]},
        {"accounts": 5},
        {"scenario": "mixed"},
        {"options": {"tls": ["on"]}},
        {"study": {"slo": "p99 < 50 ms"}},
    ],
)
def test_knobs_of_topologies_do_not_apply(changes: dict[str, Any]):
    (name,) = changes if next(iter(changes)) not in ("options", "study") else next(iter(changes.values()))
    with pytest.raises(ExperimentError, match=f"^{name}: nothing of ours is started"):
        load_experiment(str(EXAMPLE), changes)


def test_no_launcher_starts_a_target_and_a_target_is_no_launcher_of_ours():
    experiment = load_experiment(str(EXAMPLE), {})
    assert launchers.chosen(experiment, None) == "target"
    with pytest.raises(SetupError, match="compose has nothing to start"):
        launchers.chosen(experiment, "compose")
    with pytest.raises(SetupError, match=r"quick has none"):
        launchers.chosen(load_experiment("quick", {}), "target")


def test_a_service_that_does_not_answer_ends_the_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (port,) = free_ports(1)
    path = tmp_path / "own.toml"
    text = EXAMPLE.read_text().replace("accounts.csv", str(EXAMPLE.with_name("accounts.csv")))
    path.write_text(re.sub(r"127.0.0.1:\d+", f"127.0.0.1:{port}", text))
    status = run.main(["--experiment", str(path), "--results", str(tmp_path / "results")])
    said = capsys.readouterr().err
    assert status == 2
    assert said == (
        f"authscale: flask-login: nothing answers at http://127.0.0.1:{port}; start it first, or correct its url\n"
    )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read: No such file"),
        ("username,password\n", "nobody stands there"),
        ("ann,secret,extra\n", "person 1: a line is username,password"),
        ("ann,secret\nbob\n", "person 2: a line is username,password"),
        ('"ann\nHost: x",secret\n', "person 1: a line is username,password"),
    ],
)
def test_credentials_that_are_none_are_refused_without_being_told(tmp_path: Path, text: str | None, complaint: str):
    path = tmp_path / "people.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=complaint) as caught:
        people_of(first(credentials=str(path)))
    assert "secret" not in str(caught.value)


def test_credentials_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch):
    target = first(credentials_env="OWN_ACCOUNTS")  # in place of the file that all systems share
    with pytest.raises(SpecError, match="OWN_ACCOUNTS is not set"):
        people_of(target)
    monkeypatch.setenv("OWN_ACCOUNTS", 'ann,"a, b"\nbob,c')
    assert people_of(target) == (("ann", "a, b"), ("bob", "c"))


def test_the_generator_is_handed_all_in_a_file_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = first()
    told = handing_over.hand_over(target, tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    monkeypatch.setenv(*next(iter(told.items())))
    assert handing_over.received("http://127.0.0.1:1") == (target, people_of(target))
    monkeypatch.setenv(handing_over.VARIABLE, str(EXAMPLE))  # as by hand
    assert handing_over.received("http://127.0.0.1:1") == (target, people_of(target))


def test_a_browser_signs_in_with_the_token_of_the_page_and_sends_what_it_was_given():
    talk, script = signed_in(first(), *WITH_COOKIES)
    page, sent, csrf = script.asked
    assert (page.operation, page.method, page.path, page.credential) == ("login-page", b"GET", b"/login", b"")
    assert (sent.operation, sent.path, sent.credential) == ("login", b"/login", b"Cookie: s=none\r\n")
    assert sent.body == b"username=m%22ember+1&password=p%26ssword%3D1&csrf_token=before"
    assert sent.lines == b"Content-Type: application/x-www-form-urlencoded\r\n"
    assert (csrf.operation, csrf.path, csrf.credential) == ("csrf-page", b"/account", b"Cookie: s=in\r\n")
    account, note = (talk.asked(each) for each in first().requests)
    assert (account.method, account.credential, account.body) == (b"GET", b"Cookie: s=in\r\n", b"")
    assert note.body == b"text=a+note&csrf_token=a%26b"
    talk.heard(answer(200, "", "Set-Cookie: s=renewed"))
    assert talk.asked(first().requests[0]).credential == b"Cookie: s=renewed\r\n"
    assert talk.asked_by_nobody(first().requests[0]).credential == b""
    assert talk.asked_by_a_forger(first().requests[0]).credential == b"Cookie: s=Aenewed\r\n"


def test_a_token_goes_in_its_header_and_texts_are_escaped_where_they_go():
    request = {"name": "note", "method": "PUT", "path": "/of/{username}", "json": {"by": "{username}"}}
    target = first(
        login={
            "path": "/token", "json": {"name": "{username}", "word": "{password}"}, "credential": "bearer",
            "token": "data.tokens.0", "header": "X-Auth: Token {token}",
        },
        csrf={"cookie": "csrftoken", "header": "X-CSRFToken"},
        requests=[{**request, "expect": {"status": [204], "json": {"by": "{username}"}}}],
    )  # fmt: skip
    reply = answer(200, json.dumps({"data": {"tokens": ["aa.bb.cc"]}}), "set-cookie: csrftoken=42; Path=/")
    talk, script = signed_in(target, reply)
    assert json.loads(script.asked[0].body) == {"name": PERSON[0], "word": PERSON[1]}
    asked = talk.asked(target.requests[0])
    assert (asked.path, json.loads(asked.body)) == (b"/of/m%22ember%201", {"by": PERSON[0]})
    assert asked.credential == b"X-Auth: Token aa.bb.cc\r\n"
    assert b"X-CSRFToken: 42\r\n" in asked.lines
    assert talk.asked_by_a_forger(target.requests[0]).credential == b"X-Auth: Token aa.bb.Ac\r\n"
    assert talk.judge(asked, answer(204, json.dumps({"by": PERSON[0]}))) == samples.OK
    assert talk.judge(asked, answer(204, json.dumps({"by": "another"}))) == samples.ERROR


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ([answer(200, "<form>")], "GET /login: 200 <form> without a field csrf_token"),
        ([answer(0, failure=ConnectionResetError("reset"))], "GET /login: reset"),
        ([WITH_COOKIES[0], answer(200, FORM.format("again"))], "POST /login: 200 <form>"),
        ([*WITH_COOKIES[:2], answer(302, "", "Location: /login?next=x")], "GET /account: 302 to /login"),
    ],
)
def test_a_sign_in_that_fails_says_where(answers: list[Answer], complaint: str):
    script = Script(*answers)
    script.talk = Conversation(first(), PERSON)
    assert script.talk.sign_in(script).startswith(complaint)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(200, 'Account of m"ember 1'), samples.OK),
        (answer(200, "Account of m2"), samples.ERROR),
        (answer(201, 'Account of m"ember 1'), samples.ERROR),
        (answer(401), samples.REFUSED),
        (answer(403), samples.REFUSED),
        (answer(302, "", "Location: /login?next=/account"), samples.REFUSED),
        (answer(302, "", "location: http://127.0.0.1:8001/login"), samples.REFUSED),
        (answer(302, "", "Location: /elsewhere"), samples.ERROR),
        (answer(500), samples.ERROR),
        (answer(0, failure=TimeoutError()), samples.TIMEOUT),
        (answer(0, failure=ConnectionResetError()), samples.FAILED),
    ],
)
def test_an_answer_counts_as_was_declared(given: Answer, outcome: str):
    talk, _ = signed_in(
        first(csrf=None, login=login(page_token={"path": "/", "field": "csrf_token"})), *WITH_COOKIES[:2]
    )
    assert talk.judge(talk.asked(first().requests[0]), given) == outcome


def test_cookies_are_kept_replaced_deleted_and_sent_where_they_belong():
    jar = Jar()
    jar.follow(answer(200, "", "Set-Cookie: a=1", "set-cookie: b=2; Path=/deep; Secure", "Set-Cookie: c=3; Max-Age=60"))
    assert jar.line(b"/") == b"Cookie: a=1; c=3\r\n"
    assert jar.line(b"/deep?x=1") == b"Cookie: b=2; a=1; c=3\r\n"
    assert jar.line(b"/deeper") == b"Cookie: a=1; c=3\r\n"
    jar.follow(answer(200, "nothing new"))
    jar.follow(answer(200, "", "Set-Cookie: a=; Max-Age=0", "Set-Cookie: c=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"))
    assert jar.line(b"/") == b""
    assert jar.line(b"/deep/er") == b"Cookie: b=2\r\n"
    assert (jar.value("b"), jar.value("a")) == ("2", "")


def test_what_a_page_hides_is_found():
    assert hidden_value(b'<meta content="a&amp;b" name="csrf-token"><input name="x" value="y">', "csrf-token") == "a&b"
    assert hidden_value(b"<input value='1' name='t'><input name='t' value='2'>", "t") == "1"
    assert hidden_value(b"<p name='t'>", "t") == ""
    assert text_at(b'{"a": [{"b": 5}]}', "a.0.b") == "5"
    assert [text_at(b'{"a": true}', path) for path in ("a", "b", "a.b")] == [None, None, None]
    assert text_at(b"<html>", "a") is None


@pytest.mark.parametrize("value", ["abc", "Abc", "a.b.c", "a.b.", '"q"', "A"])
def test_a_garbled_credential_is_another_of_the_same_length(value: str):
    assert garbled(value) != value
    assert len(garbled(value)) == len(value)


def test_systems_are_compared_with_the_first_whatever_they_are_called():
    named: Callable[[str], Cell] = lambda name: Cell(replace(first(), name=name))  # noqa: E731
    cells = [named("token"), named("control"), named("session")]
    made = pairs.pairs(cells)
    assert [(one.id, other.id) for one, other in made.pop("target")] == [("control", "token"), ("session", "token")]
    assert not any(made.values())


def test_a_body_has_the_one_content_type_that_it_was_given(server: Any):
    server.answers = [b"HTTP/1.1 204 No Content\r\n\r\n"] * 2
    client = client_of(f"http://127.0.0.1:{server.port}")
    client.request(b"POST", b"/", b"Content-Type: text/plain\r\n", b"x")
    client.request(b"POST", b"/", b"", b"{}")
    client.close()
    said = [re.findall(rb"Content-Type: (\S+)", each) for each in server.got]
    assert said == [[b"text/plain"], [b"application/json"]]


def test_a_target_that_says_nothing_of_systems_is_one():
    section = example()
    alone = {**section["systems"][1], "credentials": "accounts.csv"}
    (target,) = targets_of({**alone, "name": "mine"}, EXAMPLE.parent)
    assert (target.id, target.url) == ("mine", "http://127.0.0.1:8002")
    assert target_of(target.document) == target


@pytest.mark.parametrize(("at", "name"), [("http://127.0.0.1:8002/", "fastapi"), ("http://127.0.0.1:9", "flask-login")])
def test_a_worker_of_another_host_takes_the_system_at_the_address_that_it_is_told(
    monkeypatch: pytest.MonkeyPatch, at: str, name: str
):
    monkeypatch.setenv(handing_over.VARIABLE, str(EXAMPLE))
    assert handing_over.received(at)[0].name == name
