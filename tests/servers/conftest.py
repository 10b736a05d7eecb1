"""Applications in this process, without a server around them."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from servers import users
from servers.app import create_app
from servers.settings import Settings


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("servers")
    (folder / "secret").write_bytes(secrets.token_bytes(32))
    users.seed(folder / "users.db", 200, users.HashCost.parse("t=1,m=64,p=1"))
    return {
        "USERS_DB": str(folder / "users.db"),
        "SECRET_FILE": str(folder / "secret"),
        "AUTH_SCHEME": "session",
        "STORE_URL": "memory://",
        "REPLICA_NAME": "replica-0",
    }


@pytest.fixture(scope="session")
def app_of(environ: dict[str, str]) -> Callable[[str], Flask]:
    return lambda scheme: create_app(Settings.from_environ(environ | {"AUTH_SCHEME": scheme}))
