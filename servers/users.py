"""The user table: SQLite, seeded by whoever starts the servers, read by every replica at sign-in.

Every hundredth user is an administrator. `warden` is as long as `reader`, so that the bytes of all users compare.

All users share one password, and a small pool of hashes of it with distinct salts is handed out in turn: seeding ten
thousand users with real argon2id hashes of their own would take minutes. A sign-in verifies its hash in full.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "correct horse battery staple"  # noqa: S105 - the benchmark users' password, which is no secret
_HASH_POOL = 8
_ADMIN_EVERY = 100
_PRESETS = {
    "fast": "t=1,m=1024,p=1",  # so that a run's sign-ins take seconds, not minutes
    "owasp": "t=2,m=19456,p=1",  # OWASP Password Storage Cheat Sheet
}
_MIN_PASSWORD, _MAX_PASSWORD = 8, 1024  # NIST SP 800-63B asks for eight at least
ADMINISTRATOR = "warden"
_WRITE_TIMEOUT_S = 5.0
_DISABLED = "!"  # before the hash, which then is none


@dataclass(frozen=True)
class HashCost:
    """Parameters of argon2id: passes, memory in KiB, lanes."""

    time_cost: int
    memory_kib: int
    parallelism: int

    @classmethod
    def parse(cls, text: str) -> HashCost:
        """From a preset's name, or `t=2,m=19456,p=1`. Raises ValueError, which says what there is."""
        found = re.fullmatch(r"t=(\d{1,3}),m=(\d{1,8}),p=(\d{1,2})", _PRESETS.get(text, text))
        if found is None:
            raise ValueError(
                f"{text!r} is no cost: {', '.join(_PRESETS)}, or t=PASSES,m=KIB,p=LANES as t=2,m=19456,p=1"
            )
        cost = cls(*(int(part) for part in found.groups()))
        if cost.time_cost < 1 or cost.parallelism < 1 or cost.memory_kib < 8 * cost.parallelism:
            raise ValueError(f"{text!r}: t and p must be at least 1, and m at least 8 KiB per lane (RFC 9106)")
        return cost


@dataclass(frozen=True, slots=True)
class Account:
    """One row of the user table."""

    name: str
    role: str
    password_hash: str


def user_name(number: int, count: int) -> str:
    """The name of user `number` of `count`; all names of one table are equally long, so that bytes compare."""
    return f"user-{number:0{max(5, len(str(count - 1)))}d}"


def seed(path: Path, count: int, cost: HashCost) -> None:
    """Make the user table, whole or not at all. Raises OSError or sqlite3.Error."""
    hasher = _hasher(cost)
    pool = [hasher.hash(PASSWORD) for _ in range(min(_HASH_POOL, count))]
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    database = sqlite3.connect(draft)
    try:
        with database:
            database.execute("CREATE TABLE users (name TEXT PRIMARY KEY, role TEXT, password_hash TEXT) WITHOUT ROWID")
            database.executemany(
                "INSERT INTO users VALUES (?, ?, ?)",
                (
                    (
                        user_name(number, count),
                        "reader" if number % _ADMIN_EVERY else ADMINISTRATOR,
                        pool[number % len(pool)],
                    )
                    for number in range(count)
                ),
            )
    finally:
        database.close()
    draft.rename(path)


class UserTable:
    """Reads a seeded table; one connection per thread."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ValueError(f"USERS_DB: there is no user table at {path}")
        self._path = path
        self._uri = f"file:{path}?mode=ro"
        self._threads = threading.local()
        try:
            self._decoy()
        except (sqlite3.Error, TypeError) as error:
            raise ValueError(f"USERS_DB: {path} is no seeded user table: {error}") from error

    def find(self, name: str) -> Account | None:
        """The account of that name."""
        if not re.fullmatch(r"[a-z0-9-]{1,64}", name):
            return None
        row = self._database().execute("SELECT name, role, password_hash FROM users WHERE name = ?", (name,)).fetchone()
        return None if row is None else Account(*row)

    def verify(self, name: str, password: str) -> Account | None:
        """The account, if the password is right. A name that does not exist costs as much as a wrong password."""
        from argon2 import PasswordHasher  # noqa: PLC0415 - see servers.registry on start-up
        from argon2.exceptions import VerificationError  # noqa: PLC0415

        account = self.find(name)
        if account is not None and account.password_hash.startswith(_DISABLED):
            account = None
        if len(password) > _MAX_PASSWORD:
            return None
        try:
            PasswordHasher().verify(account.password_hash if account else self._decoy(), password)
        except (VerificationError, UnicodeEncodeError):
            return None
        return account

    def set_password(self, account: Account, password: str) -> None:
        """Replace the password, at the cost of the present one. Raises ValueError for one that is too short or long."""
        from argon2 import PasswordHasher, extract_parameters  # noqa: PLC0415

        if not _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
            raise ValueError(f"a password takes {_MIN_PASSWORD} to {_MAX_PASSWORD} characters")
        hashed = PasswordHasher.from_parameters(extract_parameters(account.password_hash)).hash(password)
        self._write("UPDATE users SET password_hash = ? WHERE name = ?", hashed, account.name)

    def disable(self, name: str) -> bool:
        """Let the user sign in no more; False when there is none."""
        statement = "UPDATE users SET password_hash = ? || ltrim(password_hash, ?) WHERE name = ?"
        return self._write(statement, _DISABLED, _DISABLED, name)

    def _write(self, statement: str, *values: str) -> bool:
        database = sqlite3.connect(self._path, timeout=_WRITE_TIMEOUT_S)
        try:
            with database:
                return database.execute(statement, values).rowcount > 0
        finally:
            database.close()

    @functools.cache  # noqa: B019 - one table per process, as long as it lives
    def _decoy(self) -> str:
        row = self._database().execute("SELECT ltrim(password_hash, ?) FROM users LIMIT 1", (_DISABLED,)).fetchone()
        return str(row[0])

    def _database(self) -> sqlite3.Connection:
        database: sqlite3.Connection | None = getattr(self._threads, "database", None)
        if database is None:
            database = self._threads.database = sqlite3.connect(self._uri, uri=True)
        return database


def _hasher(cost: HashCost) -> Any:
    from argon2 import PasswordHasher, Type  # noqa: PLC0415

    return PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism, type=Type.ID)
