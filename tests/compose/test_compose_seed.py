"""`python -m servers.seed`: makes what replicas read, keeps what fits, and says in one line what is wrong."""

import re
import sqlite3
import stat
from pathlib import Path

import pytest

from servers.keys import load_keys
from servers.seed import main
from servers.users import PASSWORD, UserTable


def _seed(folder: Path, *more: str) -> int:
    return main(["--users-db", str(folder / "users.db"), "--secret", str(folder / "secret"), *more])


def test_users_and_secret_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _seed(tmp_path, "--count", "20") == 0
    users = UserTable(tmp_path / "users.db")
    assert users.verify("user-00019", PASSWORD) is not None
    assert users.find("user-00020") is None
    secret = tmp_path / "secret"
    assert load_keys(secret).token
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    said = capsys.readouterr().out
    assert said == f"made {tmp_path}/users.db (20 users), made {secret}\n"
    assert secret.read_bytes().hex() not in said
    assert {path.name for path in tmp_path.iterdir()} == {"users.db", "secret"}


def test_a_second_call_keeps_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _seed(tmp_path, "--count", "20") == 0
    made = {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()}
    assert _seed(tmp_path, "--count", "20") == 0
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()} == made
    assert capsys.readouterr().out.splitlines()[1].startswith("kept ")


@pytest.mark.parametrize(
    "other", [("--count", "21"), ("--count", "19"), ("--count", "20", "--hash-cost", "t=2,m=64,p=1")]
)
def test_another_number_or_cost_makes_the_users_anew_and_keeps_the_secret(
    tmp_path: Path, other: tuple[str, ...]
) -> None:
    assert _seed(tmp_path, "--count", "20") == 0
    secret, users = (tmp_path / "secret").read_bytes(), (tmp_path / "users.db").read_bytes()
    assert _seed(tmp_path, *other) == 0
    assert (tmp_path / "secret").read_bytes() == secret
    assert (tmp_path / "users.db").read_bytes() != users


def test_a_draft_that_was_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "secret.tmp").write_bytes(b"half")
    assert _seed(tmp_path, "--count", "5") == 0
    assert len((tmp_path / "secret").read_bytes()) == 32


@pytest.mark.parametrize(
    "options",
    [("--count", "0"), ("--count", "-1"), ("--count", "many"), ("--hash-cost", "cheap"), ("--hash_cost", "fast")],
)
def test_a_wrong_option_is_told_and_makes_nothing(
    tmp_path: Path, options: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _seed(tmp_path, *options)
    assert options[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "said"), [("secret", "at least 32"), ("users.db", "not a database")])
def test_a_file_that_is_something_else_is_told_and_left_alone(
    tmp_path: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"something else")
    assert _seed(tmp_path, "--count", "5") == 1
    told = capsys.readouterr().err
    assert told.startswith("authscale seed: ")
    assert told.count("\n") == 1
    assert said in told
    assert str(tmp_path / name) in told
    assert (tmp_path / name).read_bytes() == b"something else"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _seed(tmp_path / "nowhere", "--count", "5") == 1
    assert "nowhere" in capsys.readouterr().err


def test_a_table_of_something_else_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = sqlite3.connect(tmp_path / "users.db")
    database.execute("CREATE TABLE other (name TEXT)")
    database.close()
    assert _seed(tmp_path, "--count", "5") == 1
    assert "no such table: users" in capsys.readouterr().err


def test_keys_and_a_password_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, password = tmp_path / "keys.json", tmp_path / "password"
    more = ("--count", "5", "--keys", str(keys), "--algorithm", "ES256", "--password", str(password))
    assert _seed(tmp_path, *more) == 0
    made = {path: path.read_bytes() for path in (keys, password)}
    # it stands in an URL and in an SQL string
    assert re.fullmatch(r"[0-9a-f]{32}", password.read_text())
    assert stat.S_IMODE(password.stat().st_mode) == 0o444  # the database runs as another user
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert "ES256" in keys.read_text()
    assert _seed(tmp_path, *more) == 0
    assert {path: path.read_bytes() for path in (keys, password)} == made
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(f", made {keys}, made {password}")
    assert second.endswith(f", kept {keys}, kept {password}")
    assert password.read_text() not in first
