"""Authentication schemes: one file each, found by `facts()`."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING

from servers.registry import modules_in
from servers.scheme import Scheme, SchemeFacts
from servers.session_store import Store

if TYPE_CHECKING:  # settings asks for the names there are
    from servers.settings import Settings


@functools.cache
def _modules() -> dict[str, ModuleType]:
    return modules_in(__name__)


def facts() -> dict[str, SchemeFacts]:
    """What each scheme declares of itself, by name."""
    return {name: module.FACTS for name, module in _modules().items()}


def check(settings: Settings) -> None:
    """Let the scheme look at the settings as a whole, if it has a `check_settings`. Raises ValueError."""
    look = getattr(_modules()[settings.scheme], "check_settings", None)
    if look is not None:
        look(settings)


def open_scheme(settings: Settings, store: Store | None) -> Scheme:
    """The scheme that the settings name."""
    scheme: Scheme = _modules()[settings.scheme].open_scheme(settings, store)
    return scheme
