"""Files that end at a time of their own, in sharded folders that threads and processes share.

A name is a SHA-256, so that none leads anywhere else; its first two digits are the shard. A file's modification time
is when it ends: to move the end is to set it. Who changes anything holds a lock on the shard's folder. Who reads holds
none: a file appears and changes by renaming a complete one over it, and an end moves on what was opened, be it removed
since. Nothing is synced: a power cut may cost the newest files, or leave them empty.
"""

# ruff: noqa: PTH102, PTH104, PTH107, PTH110, PTH116, PTH120, PTH208 - a Path costs more than the call it makes

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator

from servers.session_store import StoreUnavailableError

SHARDS = tuple(f"{number:02x}" for number in range(256))
NEW = ".new"
_LOCK_POLL_S = 0.0005


def name_of(text: str) -> str:
    """What the file for `text` is called."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Folder:
    """A folder that must be there, and what is below it, made as it is needed. Raises OSError for all that fails."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def place(self, kind: str, name: str) -> str:
        """The path of a file of that kind."""
        return f"{self.path}/{kind}/{name[:2]}/{name}"

    def read(self, path: str, idle_s: int | None = None) -> bytes | None:
        """What is there and has not ended; with `idle_s`, it ends so much later from now on."""
        now = time.time()
        value, ends = read_ended(path, now, idle_s)
        if value is None:
            os.stat(self.path)  # raises where not one file is missing but all
        return value if now < ends else None

    def names(self, path: str) -> list[str]:
        """What is in a folder below this one; nothing when it has not been made yet."""
        try:
            return os.listdir(path)
        except FileNotFoundError:
            os.stat(self.path)
            return []

    def touch(self, path: str) -> None:
        """An empty file."""
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        except FileNotFoundError:
            self._make(os.path.dirname(path))
            file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.close(file)

    @contextlib.contextmanager
    def locked(self, kind: str, name: str) -> Iterator[None]:
        """Hold the shard of a name; StoreUnavailableError after the timeout. The lock of who is killed goes with it."""
        shard = f"{self.path}/{kind}/{name[:2]}"
        try:
            lock = os.open(shard, os.O_RDONLY)
        except FileNotFoundError:
            self._make(shard)
            lock = os.open(shard, os.O_RDONLY)
        try:
            deadline = time.monotonic() + self._timeout_s
            while not _lock(lock):
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(f"somebody holds the lock of {kind}/{name[:2]}")
                time.sleep(_LOCK_POLL_S)
            yield
        finally:
            os.close(lock)

    def _make(self, path: str) -> None:
        # only below this one: a disk that is not mounted must not be taken for an empty one
        made = self.path
        for part in path.removeprefix(f"{self.path}/").split("/"):
            made = f"{made}/{part}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(made, 0o700)


def read_ended(path: str, now: float, idle_s: int | None = None) -> tuple[bytes | None, float]:
    """What is there, ended or not, and when it ends or ended; None and 0 when there is nothing."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None, 0.0
    try:
        facts = os.fstat(file)
        if idle_s is not None and now < facts.st_mtime:
            os.utime(file, (now, now + idle_s))
        return os.read(file, facts.st_size), facts.st_mtime
    finally:
        os.close(file)


def write(path: str, value: bytes, ends: float) -> None:
    """In place of what is there, whole or not at all. Only for who holds the lock."""
    file = os.open(path + NEW, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if os.write(file, value) != len(value):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        os.utime(file, (ends, ends))
    finally:
        os.close(file)
    os.rename(path + NEW, path)


def end_of(path: str) -> float:
    """When a file ends; never, when there is none."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return float("inf")


def exists(path: str) -> bool:
    """Whether there is a file, ended or not."""
    return os.path.exists(path)


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
