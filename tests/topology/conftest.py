"""Fixtures of the topology room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import users
from topology.local import Accounts, make_secret
from topology.reaper import Reaper


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    with Reaper() as context:
        yield context


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    folder: Path = tmp_path_factory.mktemp("accounts")
    made = Accounts(folder / "users.db", folder / "secret")
    make_secret(made.secret_file)
    users.seed(made.users_db, 100, users.HashCost.parse("fast"))
    return made
