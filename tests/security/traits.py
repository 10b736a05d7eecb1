"""What kind of credential a system hands out: observed at its own login, so that a new scheme needs no entry here."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import schemes, users
from servers.app import create_app
from servers.settings import Settings
from tests.security.client import Login, Reply
from tests.security.systems import Kind, system_settings
from topology.local import Accounts, make_secret


@dataclass(frozen=True)
class Traits:
    """By which it is decided what lines of the checklists apply.

    Attributes:
        by_store: a request is recognised by a record on the server's side.
        cookie: a browser sends the credential by itself.
        jwt: the credential of a request is a signed token.
        refreshes: a second credential renews the first.
        ends: the server can end what it issued.

    """

    by_store: bool = False
    cookie: bool = False
    jwt: bool = False
    refreshes: bool = False
    ends: bool = False


@functools.cache
def traits(kind: Kind) -> Traits:
    """Of this kind of system."""
    environ = system_settings(kind.topology, _accounts()) | {"STORE_URL": "memory://", "REPLICA_NAME": "probe"}
    client = create_app(Settings.from_environ(environ)).test_client(use_cookies=False)

    def ask(method: str, path: str, headers: dict[str, str], body: Any = None) -> Reply:
        answer = client.open(path, method=method, headers=headers, json=body)
        return Reply(answer.status_code, list(answer.headers), answer.data)

    login = Login.of(ask("POST", "/login", {}, {"username": users.user_name(1, 100), "password": users.PASSWORD}))
    return Traits(
        by_store=schemes.facts()[kind.scheme].recognises_by_store,
        cookie="Cookie" in login.headers,
        jwt=login.jwt is not None,
        refreshes=login.refresh is not None,
        ends=ask("POST", "/logout-all", login.change).status == 204,
    )


@functools.cache
def _accounts() -> Accounts:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Accounts(folder / "users.db", folder / "secret")
    make_secret(made.secret_file)
    users.seed(made.users_db, 100, users.HashCost.parse("fast"))
    return made
