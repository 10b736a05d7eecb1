"""A store on disk: no server to start, and a disk of each replica's own."""

from pathlib import Path

import pytest

from servers import stores
from topology.backing import Ground, backing, binary_names


@pytest.mark.parametrize(("scheme", "end"), [("file", ""), ("sqlite", "/sessions.db")])
def test_each_replica_has_a_folder_of_its_own(tmp_path: Path, scheme: str, end: str):
    folder = tmp_path / "a folder, 100%"
    folder.mkdir()
    made = backing("folder", Ground(["replica-0", "replica-1"], iter(()), folder, {}, scheme))
    assert made.components == ()
    assert binary_names("folder") == ()
    below = f"{scheme}://{tmp_path}/a%20folder%2C%20100%25"
    assert made.urls == {name: f"{below}/{name}{end}" for name in ("replica-0", "replica-1")}
    for name, url in made.urls.items():
        store = stores.open_store(url, 1000)
        assert store.load("never issued", None) is None
        store.put_mark(name, b"x", 60)
        assert any((folder / name).iterdir())
    assert stores.open_store(made.urls["replica-1"], 1000).get_mark("replica-0") is None
