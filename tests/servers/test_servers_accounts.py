"""A user who is disabled, or whose password changes, in the very moment of signing in."""

import shutil
from pathlib import Path

import pytest

from servers import users
from servers.app import create_app
from servers.settings import Settings
from servers.users import PASSWORD, Account, UserTable

WHO = {"username": "user-00007", "password": PASSWORD}


@pytest.fixture
def table(environ, tmp_path):
    shutil.copy(environ["USERS_DB"], tmp_path / "users.db")
    return tmp_path / "users.db"


@pytest.mark.parametrize("scheme", ["session", "hybrid", "token", "signed_cookie"])
def test_who_is_disabled_while_being_signed_in_is_out(environ, table, scheme, monkeypatch):
    app = create_app(Settings.from_environ(environ | {"AUTH_SCHEME": scheme, "USERS_DB": str(table)}))
    client = app.test_client(use_cookies=False)
    assert client.post("/login", json=WHO).status_code == 200
    right = UserTable.verify

    def late(self, name, password):
        account = right(self, name, password)
        self.disable(name)  # by an administrator at another replica
        return account

    monkeypatch.setattr(UserTable, "verify", late)
    reply = client.post("/login", json=WHO)
    assert reply.status_code == 401
    assert "credential" not in reply.json
    assert "Set-Cookie" not in reply.headers


def test_a_password_is_replaced_as_it_was_read_or_not_at_all(table):
    accounts = UserTable(table)
    read = accounts.find("user-00007")
    changed = accounts.set_password(read, "another horse, another battery")
    assert changed == accounts.find("user-00007")
    assert accounts.set_password(read, "a third horse, a third battery") is None
    assert accounts.is_current(changed)
    assert not accounts.is_current(read)
    assert accounts.restore(changed, read)
    assert accounts.verify("user-00007", PASSWORD) == read


def test_a_change_of_password_does_not_let_a_disabled_user_in_again(table):
    accounts = UserTable(table)
    read = accounts.find("user-00007")
    assert accounts.disable("user-00007")
    assert accounts.set_password(read, "another horse, another battery") is None
    assert accounts.verify("user-00007", "another horse, another battery") is None


def test_a_new_password_costs_what_the_present_one_does(tmp_path):
    path: Path = tmp_path / "users.db"
    users.seed(path, 3, users.HashCost.parse("t=2,m=128,p=1"))
    accounts = UserTable(path)
    changed = accounts.set_password(accounts.find("user-00001"), "another horse")
    assert isinstance(changed, Account)
    assert changed.password_hash.startswith("$argon2id$v=19$m=128,t=2,p=1$")


@pytest.mark.parametrize("name", ["nobody", "", "\ud800", "user-00007\x00", "USER-00007", "user-0000%"])
def test_who_is_nobody_is_not_disabled(table, name):
    assert not UserTable(table).disable(name)
