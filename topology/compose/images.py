"""The images that topologies run as: ours is made from the files here, the others are fetched once."""

from __future__ import annotations

from collections.abc import Iterable

from topology.compose.engine import Engine, Project
from topology.compose.stores import STORES
from topology.process import ComponentError
from topology.spec import Topology

_PROJECT = "authscale"


def made_ready(engine: Engine, topologies: Iterable[Topology]) -> dict[str, dict[str, str | None]]:
    """Name, id and digest of each image by service, for run.json; the digest is null of one that no registry gave.

    Raises ComponentError when ours cannot be made, or another cannot be fetched.
    """
    project = Project(engine, _PROJECT, None, {})
    project.build()
    named = project.images()
    used = {STORES[each.store].service for each in topologies if each.store in STORES}
    return {service: _known(engine, named[service]) for service in ("replica", "balancer", *sorted(used))}


def _known(engine: Engine, name: str) -> dict[str, str | None]:
    try:
        (found,) = engine.inspect(name)
    except ComponentError:
        engine.pull(name)
        (found,) = engine.inspect(name)
    digests = found.get("RepoDigests") or [None]
    return {"name": name, "id": found["Id"], "digest": digests[0]}
