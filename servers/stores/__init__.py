"""Session stores: one file each, found by `facts()`, opened by URL."""

from __future__ import annotations

import functools
from types import ModuleType
from urllib.parse import urlsplit

from servers.registry import modules_in
from servers.session_store import Store, StoreFacts


@functools.cache
def _modules() -> dict[str, ModuleType]:
    return modules_in(__name__)


def facts() -> dict[str, StoreFacts]:
    """What each store declares of itself, by name."""
    return {name: module.FACTS for name, module in _modules().items()}


def open_store(url: str, timeout_ms: int) -> Store:
    """The store that `url` names, such as `memory://` or `redis://host:port/0`; connects when first asked.

    Raises:
        ValueError: no store has that URL scheme.

    """
    scheme = urlsplit(url).scheme
    for module in _modules().values():
        if module.FACTS.url_scheme == scheme:
            try:
                store: Store = module.open_store(url, timeout_ms)
            except ValueError as error:
                raise ValueError(f"STORE_URL={url!r}: {error}") from error
            return store
    known = ", ".join(f"{each.url_scheme}://" for each in facts().values())
    raise ValueError(f"STORE_URL={url!r} names no store; there are: {known}")
