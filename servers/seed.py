"""Makes what every replica reads: the user table, the shared secret, keys, a password: `python -m servers.seed --help`.

For launchers that share a folder or a volume and no process, as containers do. What is already there and fits stays,
so that starting again ends nobody's session.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from servers.keys import SECRET_BYTES, load_keys
from servers.signing_keys import ALGORITHMS, make_keys
from servers.users import HashCost, UserTable, seed, user_name


def main(argv: list[str] | None = None) -> int:
    """The command line; each failure is one line."""
    parser = argparse.ArgumentParser(prog="python -m servers.seed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users-db", type=Path, required=True, help="the user table, an SQLite file")
    parser.add_argument("--secret", type=Path, required=True, help="the secret that the replicas' keys come from")
    parser.add_argument("--count", type=_count, default=10_000, help="how many users (default: %(default)s)")
    parser.add_argument("--hash-cost", type=_cost, default="fast", help="fast, owasp or t=PASSES,m=KIB,p=LANES")
    parser.add_argument("--keys", type=Path, help="the keys that tokens are signed with")
    parser.add_argument("--algorithm", choices=ALGORITHMS, default=ALGORITHMS[0], help="of them (default: %(default)s)")
    parser.add_argument("--password", type=Path, help="a password of random letters, for the replicas' database")
    arguments = parser.parse_args(argv)
    try:
        secret = "made" if _make_secret(arguments.secret) else "kept"
        more = [
            f", {'made' if _make_whole(path, make) else 'kept'} {path}"
            for path, make in (
                (arguments.keys, lambda draft: make_keys(draft, arguments.algorithm)),
                (arguments.password, _write_password),
            )
            if path is not None
        ]
        users = "made" if _make_users(arguments.users_db, arguments.count, arguments.hash_cost) else "kept"
    except sqlite3.Error as error:
        return _fail(f"{arguments.users_db}: {error}")  # SQLite does not say which file
    except (OSError, ValueError) as error:
        return _fail(str(error))
    sys.stdout.write(
        f"{users} {arguments.users_db} ({arguments.count} users), {secret} {arguments.secret}{''.join(more)}\n"
    )
    return 0


def _make_secret(path: Path) -> bool:
    """Whether one was made. Readable by the owner alone, and whole or not there: replicas may already be looking."""
    if path.exists():
        load_keys(path)
        return False
    return _make_whole(path, lambda draft: _write(draft, secrets.token_bytes(SECRET_BYTES), 0o600))


def _write_password(path: Path) -> None:
    """For the database, too, which runs as another user: who may read it is the volume's to say."""
    _write(path, secrets.token_hex(16).encode(), 0o444)


def _make_whole(path: Path, make: Callable[[Path], None]) -> bool:
    """Whether `path` was made; what is there is kept, and what is made is whole or not there."""
    if path.exists():
        return False
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    make(draft)
    draft.rename(path)
    return True


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _make_users(path: Path, count: int, cost: HashCost) -> bool:
    """Whether a table was made: not if the one there has as many users, at the same cost."""
    if path.exists() and _holds(path, count, cost):
        return False
    seed(path, count, cost)
    return True


def _holds(path: Path, count: int, cost: HashCost) -> bool:
    last = UserTable(path).find(user_name(count - 1, count))
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (found,) = database.execute("SELECT count(*) FROM users").fetchone()
    finally:
        database.close()
    parameters = f"$m={cost.memory_kib},t={cost.time_cost},p={cost.parallelism}$"
    return found == count and last is not None and parameters in last.password_hash


def _fail(message: str) -> int:
    sys.stderr.write(f"authscale seed: {message}\n")
    return 1


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= 10_000_000:  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000000")
    return int(text)


def _cost(text: str) -> HashCost:
    try:
        return HashCost.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
