"""A session made by the scheme in another process is the one that POST /login leaves."""

import json
from pathlib import Path

import pytest

from loadtests.making_sessions import OverHttp, by_scheme
from loadtests.verify import VerificationError
from servers.app import create_app
from servers.settings import Settings
from servers.users import PASSWORD, HashCost, seed, user_name
from topology.local import make_secret
from topology.reaper import Reaper

ACCOUNTS = 20


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    seed(tmp_path / "users.db", ACCOUNTS, HashCost.parse("t=1,m=8,p=1"))
    make_secret(tmp_path / "secret")
    (tmp_path / "sessions").mkdir()
    return {
        "AUTH_SCHEME": "session",
        "STORE_URL": f"file://{tmp_path / 'sessions'}",
        "USERS_DB": str(tmp_path / "users.db"),
        "SECRET_FILE": str(tmp_path / "secret"),
    }


def _records(folder: Path) -> list[list]:
    """What each session's file holds, but for its times and its id."""
    lines = [path.read_text().partition("\n")[2] for path in folder.glob("sessions/sessions/*/*")]
    return [[part for place, part in enumerate(json.loads(line)) if place not in (2, 3)] for line in lines]


def test_it_is_the_record_of_a_sign_in_and_its_credential_is_accepted(environment: dict[str, str], tmp_path: Path):
    client = create_app(Settings.from_environ(environment)).test_client()
    bare = {"HTTP_USER_AGENT": ""}
    assert (
        client.post(
            "/login", json={"username": user_name(0, ACCOUNTS), "password": PASSWORD}, environ_overrides=bare
        ).status_code
        == 200
    )
    with (
        Reaper() as reaper,
        (tmp_path / "log").open("w") as log,
        by_scheme(environment, ACCOUNTS, reaper, log) as maker,
    ):
        assert maker.make(0, 1, []) == []
        first, second = _records(tmp_path)
        assert first == second
        kept = maker.make(1, 12, [3, 7])
    assert len(kept) == 2
    assert len(_records(tmp_path)) == 13
    cookie = kept[0].line.decode().strip().partition(": ")[2]
    fresh = create_app(Settings.from_environ(environment)).test_client(use_cookies=False)
    answer = fresh.get("/me", headers={"Cookie": cookie})
    assert answer.status_code == 200
    assert answer.get_json()["user"] == user_name(3, ACCOUNTS)


def test_a_process_that_fails_is_told_with_its_status(environment: dict[str, str], tmp_path: Path):
    wrong = environment | {"STORE_URL": "nowhere://"}
    with (
        Reaper() as reaper,
        (tmp_path / "log").open("w") as log,
        by_scheme(wrong, ACCOUNTS, reaper, log) as maker,
        pytest.raises(VerificationError, match="exit status 1"),
    ):
        maker.make(0, 1, [])
    assert "nowhere" in (tmp_path / "log").read_text()


def test_a_sign_in_that_is_refused_is_no_session(server):
    server.answers = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(VerificationError, match="user-00000: expected 200, got 503"):
        OverHttp({"replica-0": f"http://127.0.0.1:{server.port}"}, ACCOUNTS).make(0, 1, [])
