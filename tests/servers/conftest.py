"""Applications in this process, without a server around them."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from servers import signing_keys, users
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


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The same file of keys for each algorithm, whoever asks."""
    folder: Path = tmp_path_factory.mktemp("keys")

    def file(algorithm: str) -> Path:
        path = folder / f"{algorithm}.json"
        if not path.exists():
            signing_keys.make_keys(path, algorithm)
        return path

    return file


@pytest.fixture(scope="session")
def token_settings(environ: dict[str, str], keys_file: Callable[[str], Path]) -> Callable[..., Settings]:
    """Settings of the token scheme, with variables of its options."""

    def settings(**variables: str) -> Settings:
        keys = str(keys_file(variables.get("TOKEN_ALGORITHM", "HS256")))
        return Settings.from_environ(environ | {"AUTH_SCHEME": "token", "TOKEN_KEYS_FILE": keys} | variables)

    return settings
