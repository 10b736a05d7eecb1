"""The user table."""

import sqlite3
import statistics
import time
from contextlib import closing

import pytest

from servers.users import PASSWORD, HashCost, UserTable, seed, user_name

CHEAP = HashCost.parse("t=1,m=64,p=1")


def test_ten_thousand_users_are_seeded_in_two_seconds(tmp_path):
    began = time.monotonic()
    seed(tmp_path / "users.db", 10_000, HashCost.parse("fast"))
    assert time.monotonic() - began < 2
    account = UserTable(tmp_path / "users.db").verify(user_name(9_999, 10_000), PASSWORD)
    assert account is not None
    assert account.name == "user-09999"


def test_hashes_are_argon2id_of_the_cost_asked_for_with_distinct_salts(tmp_path):
    seed(tmp_path / "users.db", 200, CHEAP)
    with closing(sqlite3.connect(tmp_path / "users.db")) as database:
        hashes = {row[0] for row in database.execute("SELECT password_hash FROM users")}
        roles = [row[0] for row in database.execute("SELECT role FROM users")]
    assert len(hashes) >= 8
    assert all(each.startswith("$argon2id$v=19$m=64,t=1,p=1$") for each in hashes)
    assert {len(role) for role in roles} == {6}
    assert sorted(roles.count(role) for role in set(roles)) == [2, 198]


def test_seeding_replaces_the_table_whole(tmp_path):
    seed(tmp_path / "users.db", 200, CHEAP)
    seed(tmp_path / "users.db", 5, CHEAP)
    assert UserTable(tmp_path / "users.db").find("user-00006") is None
    assert [each.name for each in tmp_path.iterdir()] == ["users.db"]


def test_the_table_is_not_writable_through_a_replica(tmp_path):
    seed(tmp_path / "users.db", 5, CHEAP)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        UserTable(tmp_path / "users.db")._database().execute("DELETE FROM users")


@pytest.mark.parametrize("name", ["", "nobody", "user-1", "USER-00001", "user-00001 ", "' OR 1=1 --", "\x00", "\ud800"])
def test_nobody_else_gets_in(tmp_path, name):
    seed(tmp_path / "users.db", 5, CHEAP)
    assert UserTable(tmp_path / "users.db").verify(name, PASSWORD) is None


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", PASSWORD.upper(), "\ud800", "x" * 5000])
def test_no_other_password_does(tmp_path, password):
    seed(tmp_path / "users.db", 5, CHEAP)
    assert UserTable(tmp_path / "users.db").verify("user-00001", password) is None


def test_an_unknown_user_costs_what_a_wrong_password_costs(tmp_path):
    seed(tmp_path / "users.db", 5, HashCost.parse("t=1,m=4096,p=1"))
    table = UserTable(tmp_path / "users.db")
    spent = {"user-00001": [], "nobody": []}
    for _ in range(15):
        for name, durations in spent.items():
            began = time.thread_time_ns()  # argon2 with one lane runs in this thread; wall time would be the machine's
            table.verify(name, "wrong")
            durations.append(time.thread_time_ns() - began)
    known, unknown = (statistics.median(each) for each in spent.values())
    assert 0.5 < unknown / known < 2


@pytest.mark.parametrize("text", ["", "slow", "t=0,m=64,p=1", "t=1,m=7,p=1", "t=1,m=64,p=9", "t=1,m=64"])
def test_a_wrong_cost_is_told(text):
    with pytest.raises(ValueError, match=r"RFC 9106|is no cost"):
        HashCost.parse(text)
