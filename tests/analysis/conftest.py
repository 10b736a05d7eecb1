from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.synthetic import Plan, write_run


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick experiment, whole; read only (tests that change a run use `build_run`)."""
    return write_run(tmp_path_factory.mktemp("results") / "quick", Plan())


@pytest.fixture(scope="session")
def stores_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stores experiment, whole: every store with and without sliding expiry; read only."""
    stores = ("memory", "file", "sqlite", "postgres", "redis", "redis-cluster", "memcached", "replicated")
    series = (("control", "none"), *(("session", store) for store in stores), ("token", "none"))
    never = tuple(("session", store, {"touch": "never"}) for store in stores)
    plan = Plan(series=series, extra=never, typical_ms={("control", "none"): 1.0, ("token", "none"): 1.25})
    return write_run(tmp_path_factory.mktemp("results") / "stores", plan)


@pytest.fixture
def build_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a builder of a run of one's own: `build_run(blocks=2, ...)`, fields of `Plan`."""

    def build(name: str = "run", **changes: Any) -> Path:
        return write_run(tmp_path / name, Plan(**changes))

    return build
