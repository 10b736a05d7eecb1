from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.drawn_data import data_csv
from analysis.lines import Figure
from analysis.synthetic import Plan, write_run


@pytest.fixture(scope="session", autouse=True)
def every_figure_is_for_everybody() -> Iterator[None]:
    """Whatever figure a test here has made, of any part of the report, must be one for who cannot see it as well."""
    make = Figure.__init__

    def checked(self: Figure, *args: Any, **facts: Any) -> None:
        make(self, *args, **facts)
        assert self.title, self.id
        assert self.caption.endswith("."), self.id
        assert len(self.reading) > 20, self.id
        assert self.reading.endswith("."), self.id
        for panel in self.panels:
            assert re.search(r"\d", panel.alt), f"{self.id}: an alternative text without what was found: {panel.alt}"
            assert 'role="img"' in panel.svg, self.id
            found = data_csv([(panel.heading, panel.svg)], dict(self.key)).splitlines()
            assert len(found) > 1, f"{self.id}: no data of panel {panel.heading}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "__init__", checked)
        yield


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
