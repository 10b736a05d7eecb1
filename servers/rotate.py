"""Replace the key that signs tokens: `python -m servers.rotate --keys FILE --algorithm ES256 [--keep COUNT]`.

A new key is put in front, and the newest old ones stay behind it to verify what they signed. Replicas that run notice
by themselves, and no request is refused, as long as a key stays for the life of the last token that it signed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servers.jwk import KeyRefusedError, key_id
from servers.signing_keys import ALGORITHMS, key_set, new_key, read_jwks, write_keys


def main(argv: list[str] | None = None) -> int:
    """The command line; each failure is one line."""
    parser = argparse.ArgumentParser(prog="python -m servers.rotate", description="Put a new signing key in front.")
    parser.add_argument("--keys", type=Path, required=True, metavar="FILE", help="the file; made if there is none")
    parser.add_argument("--algorithm", choices=ALGORITHMS, required=True)
    parser.add_argument("--keep", type=_count, default=1, metavar="COUNT", help="old keys that still verify; default 1")
    arguments = parser.parse_args(argv)
    try:
        kid, kept = rotate(arguments.keys, arguments.algorithm, arguments.keep)
    except KeyRefusedError as error:
        sys.stderr.write(f"authscale: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"authscale: {arguments.keys}: {error.strerror or error}\n")
        return 1
    sys.stdout.write(f"{kid} signs; {kept} older keys verify\n")
    return 0


def rotate(path: Path, algorithm: str, keep: int = 1) -> tuple[str, int]:
    """Replace the file, whole or not at all; returns the new key's kid and how many old keys stay.

    Raises:
        KeyRefusedError: the file holds something else than keys of that algorithm.
        OSError: it cannot be read or written.

    """
    with _alone(path.parent):
        old = _old(path, algorithm) if path.exists() else []
        jwks = [new_key(algorithm), *old[:keep]]
        write_keys(path, jwks)
    return key_id(jwks[0]), len(jwks) - 1


def _old(path: Path, algorithm: str) -> list[Any]:
    try:
        old = read_jwks(path)
        key_set(old, algorithm)
    except KeyRefusedError as error:
        raise KeyRefusedError(f"{path} does not hold keys for {algorithm}; nothing was changed: {error}") from error
    return old


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of two rotations at once the second waits: otherwise one's new key would be lost, and what it signed with it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
