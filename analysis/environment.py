"""What differs between two runs beside their figures, and what that forbids: told before any figure.

pyperf's rule is the model: results whose checked metadata differ do not merge. docs/methodology.md has the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analysis.load import Run
from loadtests.experiment import Load

Rule = Literal["refuse", "counts only", "warn"]
Document = Mapping[str, Any]

MUCH = 2.0
"""A noise reading that differs by this factor is worth a warning."""
_LEAST = {"wake-up noise p99 (us)": 50.0, "load average before": 0.5}
"""Readings below these are quiet, whatever their ratio."""
_MISSING = "not recorded"
_REVISION = 12
"""Digits of a revision that are shown."""


@dataclass(frozen=True)
class Change:
    """One thing that differs: what it is, its value in each run, and what follows by rule."""

    rule: Rule
    what: str
    a: str
    b: str

    def __str__(self) -> str:
        """Return the one line that a user reads."""
        return f"{self.what}: {self.a} in A, {self.b} in B"


def changes(a: Run, b: Run) -> tuple[Change, ...]:
    """Return all that differs, the gravest first."""
    found = [change for rule, read in _RULES for change in _compared(rule, read(a.document), read(b.document))]
    found += _noise(a.document, b.document)
    order: tuple[Rule, ...] = ("refuse", "counts only", "warn")
    return tuple(sorted(found, key=lambda each: order.index(each.rule)))


def _compared(rule: Rule, a: Document, b: Document) -> Iterable[Change]:
    """Yield what differs. What only one run recorded is a warning: an older revision did not ask for it."""
    for name in dict.fromkeys([*a, *b]):
        if a.get(name, _MISSING) != b.get(name, _MISSING):
            yield Change(rule if name in a and name in b else "warn", name, _text(a, name), _text(b, name))


def _load(document: Document) -> Document:
    """Return the load with today's defaults where the run is older than the field."""
    defaults = {each.name: each.default for each in dataclasses.fields(Load)}
    known = {name: value for name, value in defaults.items() if value is not dataclasses.MISSING}
    return {f"load {name}": value for name, value in {**known, **document["load"]}.items()}


def _settings(document: Document) -> Document:
    return {f"setting {name}": value for name, value in document.get("settings", {}).items()}


def _processor(document: Document) -> Document:
    machine = document.get("machine", {})
    return {name: machine[name] for name in ("cpu", "cores") if name in machine}


def _launcher(document: Document) -> Document:
    """Return what ran the servers; before there was a choice they were processes."""
    return {"launcher": document.get("launcher", "local")}


def _machine(document: Document) -> Document:
    names = ("kernel", "os", "python", "governor", "quota_method", "pinning", "memory_bytes")
    machine = document.get("machine", {})
    return {name.replace("_", " "): machine[name] for name in names if name in machine}


def _revision(document: Document) -> Document:
    software = document.get("software", {})
    found = {name: software[key] for name, key in (("git revision", "git_revision"),) if key in software}
    return {**found, "uncommitted changes": bool(software.get("git_dirty")), "seed": document.get("seed")}


def _packages(document: Document) -> Document:
    return {f"package {name}": version for name, version in document.get("software", {}).get("packages", {}).items()}


def _binaries(document: Document) -> Document:
    binaries = document.get("software", {}).get("binaries", {})
    return {f"binary {name}": each.get("version") for name, each in binaries.items()}


def _containers(document: Document) -> Document:
    """Return the engine and the images, of which the digest is the registry's, and the id this machine's."""
    software = document.get("software", {})
    found = {name: software[key] for name, key in (("container engine", "engine"),) if key in software}
    images = software.get("images", {})
    return found | {f"image {name}": f"{each['name']} {each['digest'] or each['id']}" for name, each in images.items()}


_RULES: tuple[tuple[Rule, Callable[[Document], Document]], ...] = (
    ("refuse", _load),
    ("refuse", _settings),
    ("counts only", _processor),
    ("counts only", _launcher),
    ("warn", _machine),
    ("warn", _revision),
    ("warn", _packages),
    ("warn", _binaries),
    ("warn", _containers),
)


def _noise(a: Document, b: Document) -> Iterable[Change]:
    for what, key in (("wake-up noise p99 (us)", "noise_p99_us"), ("load average before", "loadavg_1m_before")):
        readings = [document.get("machine", {}).get(key) for document in (a, b)]
        if None in readings:
            continue
        low, high = sorted(readings)
        if high > _LEAST[what] and high > MUCH * low:
            yield Change("warn", what, f"{readings[0]:.3g}", f"{readings[1]:.3g}")


def _text(values: Document, name: str) -> str:
    shown = _MISSING if name not in values else str(values[name])
    return shown[:_REVISION] if name == "git revision" else shown
