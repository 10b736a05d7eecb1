"""What a topology holds in memory and on disk, once it has come to rest."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil

from topology.local import RunningTopology

_SAME = 0.001
_PAUSE_S = 0.2
_MOST_PAUSES = 15
_BLOCK_BYTES = 512  # st_blocks counts these, whatever the disk's own are (stat(2))


@dataclass(frozen=True)
class Memory:
    """Octets; None where there is no such thing, or where this system does not tell.

    Attributes:
        store_bytes: what the store says of itself: Valkey's used_memory, memcached's bytes, PostgreSQL's tables with
            their indexes; of all nodes.
        store_pss_bytes: of the store's processes, memory that several share counted once (proportional set size).
        store_keys: records by the store's own count, with what is kept beside them.
        disk_bytes: length of all files of a store on disk.
        disk_blocks_bytes: what they occupy.
        files: how many.
        replica_rss_bytes: resident sets of the replicas.

    """

    store_bytes: int | None
    store_pss_bytes: int | None
    store_keys: int | None
    disk_bytes: int | None
    disk_blocks_bytes: int | None
    files: int | None
    replica_rss_bytes: int


def at_rest(servers: RunningTopology) -> Memory:
    """Read when two readings in a row are alike within a thousandth, or after 3 s. Raises OSError, ComponentError."""
    now = _restless(servers)
    for _ in range(_MOST_PAUSES):
        time.sleep(_PAUSE_S)
        before, now = now, _restless(servers)
        if all(abs(b - a) <= _SAME * a for a, b in zip(before, now, strict=True)):
            break
    return read(servers)


def _restless(servers: RunningTopology) -> tuple[int, int]:
    """What may still change once nobody asks: the store's own count (0 without one), and the replicas' memory."""
    counters = servers.store_counters()
    return (counters.memory_bytes if counters else 0), _replicas_rss_bytes(servers)


def read(servers: RunningTopology) -> Memory:
    """Read once."""
    counters = servers.store_counters()
    pids = [each.pid for each in servers.running if each.component.kind == "store"]
    folder = disk_folder(servers)
    length, blocks, files = (None, None, None) if folder is None else _on_disk(folder)
    return Memory(
        counters.memory_bytes if counters else None,
        _pss_bytes(pids) if pids else None,
        counters.keys if counters else None,
        length,
        blocks,
        files,
        _replicas_rss_bytes(servers),
    )


def _replicas_rss_bytes(servers: RunningTopology) -> int:
    kinds = servers.kinds()
    return sum(each.rss_bytes for name, each in servers.usage().items() if kinds[name] == "replica")


def disk_folder(servers: RunningTopology) -> Path | None:
    """Where the first replica's own store on disk lives; None where the store is no folder or file of its own."""
    url = urlsplit(replica_environment(servers).get("STORE_URL", ""))
    if url.scheme not in ("file", "sqlite"):
        return None
    path = Path(unquote(url.path))
    return path if path.is_dir() else path.parent


def replica_environment(servers: RunningTopology) -> dict[str, str]:
    """The environment that the first replica was given."""
    return dict(next(each.component.env for each in servers.running if each.component.kind == "replica"))


def _pss_bytes(pids: list[int]) -> int | None:
    total = 0
    for pid in pids:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                pss: int | None = getattr(process.memory_full_info(), "pss", None)
            except (psutil.AccessDenied, psutil.NoSuchProcess):
                return None
            if pss is None:
                return None
            total += pss
    return total


def _on_disk(folder: Path) -> tuple[int, int, int]:
    length = blocks = files = 0
    for each in _walk(folder):
        found = each.stat(follow_symlinks=False)
        length += found.st_size
        blocks += found.st_blocks * _BLOCK_BYTES
        files += 1
    return length, blocks, files


def _walk(folder: Path) -> list[os.DirEntry[str]]:
    waiting, files = [str(folder)], []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for each in entries:
                if each.is_dir(follow_symlinks=False):
                    waiting.append(each.path)
                else:
                    files.append(each)
    return files
