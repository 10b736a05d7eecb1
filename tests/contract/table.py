"""The tables of docs/stores.md, counted by the stores themselves: `python -m tests.contract.table`."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from servers import stores
from servers.session_store import Session, Store, StoreFacts
from tests.contract.placed import Placed, placed
from topology.backing import StoreCounters, binary_names

IDLE_S = 1800
USER = "user-00001"
NOT_COUNTED = "not counted"
_ALIKE = 5  # readings, on connections of their own: each of memcached's four threads has been asked


Operation = Callable[[Store], object]


def operations() -> dict[str, Operation]:
    """Each operation by what the page calls it; in this order, each after what stands before it.

    Both sessions have the length that sign-ins have, and begin at one moment: ids of 43 characters, a client's address,
    no agent.
    """
    now = float(int(time.time()))
    state = {"display_name": USER, "serial": 0}
    first, second = (
        Session(letter * 43, USER, "reader", now, now, now + 600, "127.0.0.1", "", state) for letter in "ab"
    )
    return {
        "`create`, the user's first": lambda store: store.create(first, IDLE_S),
        "`create`, the second": lambda store: store.create(second, IDLE_S),
        "`load`, sliding": lambda store: store.load(first.id, IDLE_S),
        "`load`, not sliding": lambda store: store.load(first.id, None),
        "`load`, sliding, of none": lambda store: store.load("c" * 43, IDLE_S),
        "`touch`": lambda store: store.touch(first.id, IDLE_S),
        "`list_by_user`, of two": lambda store: store.list_by_user(USER, IDLE_S),
        "`delete`": lambda store: store.delete(second.id, USER),
        "`update`": lambda store: store.update(first, first, IDLE_S),
        "`delete_by_user`, of one": lambda store: store.delete_by_user(USER),
        "`put_mark`": lambda store: store.put_mark("m" * 22, b"1", IDLE_S),
        "`get_mark`": lambda store: store.get_mark("m" * 22),
    }


def counted() -> list[StoreFacts]:
    """The stores whose own server counts what it is asked, in the order of the axis."""
    return [facts for facts in stores.facts().values() if facts.needs and binary_names(facts.needs)]


def section(facts: StoreFacts) -> str:
    """Markdown of one store, counted on servers started for it: what they count must not hang on what was before."""
    assert facts.needs
    lines = [
        f"## {facts.name}",
        "",
        "| operation | commands | octets to the store | octets from it |",
        "|---|---|---|---|",
    ]
    # not pytest's folder: it lets nobody through, which is whom PostgreSQL runs as
    with (
        tempfile.TemporaryDirectory(prefix="authscale-") as folder,
        placed(facts.needs, Path(folder), {"shards": "3"}) as servers,
    ):
        store = stores.open_store(servers.url, 5000)
        store.load("connects", IDLE_S)
        store.get_mark("connects")
        lines += [_row(name, _count(servers, store, work), servers) for name, work in operations().items()]
    return "\n".join(lines) + "\n"


def table() -> str:
    """Every section, in the order of the axis."""
    return "\n".join(section(facts) for facts in counted())


def _count(servers: Placed, store: Store, work: Operation) -> StoreCounters:
    before = _settled(servers)
    work(store)
    return _settled(servers).since(before)


def _settled(servers: Placed) -> StoreCounters:
    """A reading like those before it: memcached counts an answer when it has sent it, and a reading may come first."""
    assert servers.backing.counters
    deadline = time.monotonic() + 10
    read = [servers.backing.counters() for _ in range(_ALIKE)]
    while len({(str(each.commands), each.bytes_in, each.bytes_out) for each in read[-_ALIKE:]}) > 1:
        assert time.monotonic() < deadline, read[-_ALIKE:]
        read.append(servers.backing.counters())
    return read[-1]


def _row(name: str, seen: StoreCounters, servers: Placed) -> str:
    commands = ", ".join(f"{count} {command}" for command, count in sorted(seen.commands.items()))
    alone = len(servers.nodes) == 1
    octets = [str(each) if alone and each is not None else NOT_COUNTED for each in (seen.bytes_in, seen.bytes_out)]
    return f"| {name} | {commands} | {' | '.join(octets)} |"


if __name__ == "__main__":
    sys.stdout.write(table())
