"""A folder of each replica's own, for a store on disk: a replica on a machine of its own has a disk of its own."""

from __future__ import annotations

from urllib.parse import quote

from topology.backing import Backing, Ground

BINARIES = ()

# A store that keeps everything in one file; the others are given the folder.
_FILE = {"sqlite": "/sessions.db"}


def backing(ground: Ground) -> Backing:
    """Nothing to start: folders alone."""
    urls = {}
    for name in ground.replicas:
        folder = ground.folder / name
        folder.mkdir()
        urls[name] = f"{ground.url_scheme}://{quote(str(folder))}{_FILE.get(ground.url_scheme, '')}"
    return Backing((), urls)
