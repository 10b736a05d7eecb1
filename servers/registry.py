"""Finds the files of a folder that each add one thing, a scheme or a store, by the `FACTS` they declare."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def modules_in(package: str) -> dict[str, ModuleType]:
    """Every module of `package` that declares FACTS, by the name it declares.

    A new scheme or store is one new file: nothing lists them. Each keeps its costly imports inside the function that
    opens it, so that reading everybody's facts takes milliseconds.
    """
    path = importlib.import_module(package).__path__
    found = [importlib.import_module(f"{package}.{each.name}") for each in pkgutil.iter_modules(path)]
    return {module.FACTS.name: module for module in sorted(found, key=lambda module: module.FACTS.rank)}
