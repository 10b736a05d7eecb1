"""The user table: SQLite, seeded by whoever starts the servers, read by every replica at sign-in.

A replica writes to it when a password changes or a user is disabled. Whoever meets another's lock waits; when the wait
was in vain, as when the table cannot be written at all, that is `UserTableUnavailableError`.

Every hundredth user is an administrator. `warden` is as long as `reader`, so that the bytes of all users compare.

All users share one password, and a small pool of hashes of it with distinct salts is handed out in turn: seeding ten
thousand users with real argon2id hashes of their own would take minutes. A sign-in verifies its hash in full.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

PASSWORD = "correct horse battery staple"  # noqa: S105 - the benchmark users' password, which is no secret
_HASH_POOL = 8
_ADMIN_EVERY = 100
CHEAPEST = "fast"
_PRESETS = {
    CHEAPEST: "t=1,m=1024,p=1",  # so that a run's sign-ins take seconds, not minutes
    "owasp": "t=2,m=19456,p=1",  # OWASP Password Storage Cheat Sheet
}
_MIN_PASSWORD, _MAX_PASSWORD = 8, 1024  # NIST SP 800-63B asks for eight at least
ADMINISTRATOR = "warden"
_LOCK_TIMEOUT_S = 2.0
_DISABLED = "!"  # before the hash, which then is none


class UserTableUnavailableError(Exception):
    """The table was locked for too long, or cannot be read or written at all. Nothing was changed."""


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
    """Reads a seeded table; one connection per thread. Every method may raise UserTableUnavailableError."""

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
        with _unavailable():
            found = self._database().execute("SELECT name, role, password_hash FROM users WHERE name = ?", (name,))
            row = found.fetchone()
        return None if row is None else Account(*row)

    def verify(self, name: str, password: str) -> Account | None:
        """The account, if the password is right and it is not disabled. Every no costs as much as a wrong password."""
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

    def is_current(self, account: Account) -> bool:
        """Whether the account still is as it was read: same password, not disabled since."""
        return self.find(account.name) == account

    def set_password(self, account: Account, password: str) -> Account | None:
        """The account with its new password, hashed at the cost of the present one; None if it has changed since.

        Without that comparison one of two changes at once would be lost, and a user who was disabled meanwhile would be
        let in again.

        Raises:
            ValueError: the password is too short, too long, or no text that could be typed again.

        """
        from argon2 import PasswordHasher, extract_parameters  # noqa: PLC0415

        if not _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
            raise ValueError(f"a password takes {_MIN_PASSWORD} to {_MAX_PASSWORD} characters")
        try:
            hashed = PasswordHasher.from_parameters(extract_parameters(account.password_hash)).hash(password)
        except UnicodeEncodeError as error:
            raise ValueError("a password takes characters that UTF-8 has") from error
        changed = replace(account, password_hash=hashed)
        return changed if self._replace(account, changed) else None

    def restore(self, present: Account, earlier: Account) -> bool:
        """Take back a change of password; False if there has been another one since."""
        return self._replace(present, earlier)

    def disable(self, name: str) -> bool:
        """Let the user sign in no more; False when there is none."""
        if self.find(name) is None:  # also what is no name at all
            return False
        statement = "UPDATE users SET password_hash = ? || ltrim(password_hash, ?) WHERE name = ?"
        return self._write(statement, _DISABLED, _DISABLED, name)

    def _replace(self, old: Account, new: Account) -> bool:
        statement = "UPDATE users SET password_hash = ? WHERE name = ? AND password_hash = ?"
        return self._write(statement, new.password_hash, old.name, old.password_hash)

    def _write(self, statement: str, *values: str) -> bool:
        with _unavailable():
            database = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S)
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
            database = sqlite3.connect(self._uri, uri=True, timeout=_LOCK_TIMEOUT_S)
            self._threads.database = database
        return database


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # locked, read-only, gone, full
        raise UserTableUnavailableError(f"the user table: {error}") from error


def _hasher(cost: HashCost) -> Any:
    from argon2 import PasswordHasher, Type  # noqa: PLC0415

    return PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism, type=Type.ID)
