"""The study of an experiment: what its trials do where that is more than one load on healthy servers.

An experiment file names one in `[study]` as `kind`, and gives its settings beside it. Each kind is one file in
`loadtests/studies/` (hyphens as underscores) with

    SETTINGS: tuple[Setting, ...]
    LOADS: bool  # its trials leave samples of a measured phase, as usual trials do
    cases(study, topology) -> tuple[str, ...]  # what each topology is run as in turn; ("",) where there is one thing
    check(study, topologies, load)  # may be left out; raises SpecError for what cannot be run as asked
    run_trial(around, cell, block, position, doing) -> dict  # as `loadtests.trial.run_trial`, which is the usual one
    check_load(load) -> None  # only where it cannot do with every load: raises SpecError

What it found stands in trial.json under `study`; what is learned from that is a file in `analysis/sections/`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loadtests import studies
from topology.spec import SpecError, one_of

USUAL = "load"
"""The study of an experiment that names none: one load, measured."""


@dataclass(frozen=True)
class Setting:
    """A key of `[study]`, and an option of the command line.

    Attributes:
        name: as in the experiment file, for example `slo`; `--slo` and `SLO=` on the command line.
        default: what holds where the file says nothing.
        meaning: one line for people.
        check: raises ValueError for a text that is not a value, with what would be.

    """

    name: str
    default: str
    meaning: str
    check: Callable[[str], object]


@dataclass(frozen=True)
class Study:
    """A kind and its resolved settings, name to text."""

    kind: str = USUAL
    settings: Mapping[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        """The text of a setting."""
        return (self.settings or {})[name]

    @property
    def loads(self) -> bool:
        """Whether trials leave samples of a measured phase, from which the usual figures are made."""
        return self.kind == USUAL or bool(module(self.kind).LOADS)

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return {"kind": self.kind, **(self.settings or {})}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Study:
        """The reverse of `as_dict`."""
        return cls(record["kind"], {name: value for name, value in record.items() if name != "kind"})


def check_load(study: Study, load: Any) -> None:
    """Raise SpecError where the study cannot do with this `loadtests.experiment.Load`."""
    check = None if study.kind == USUAL else getattr(module(study.kind), "check_load", None)
    if check:
        check(load)


def kinds() -> tuple[str, ...]:
    """Every study there is a file of."""
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(studies.__path__)))


def module(kind: str) -> Any:
    """The module of a study other than the usual one."""
    return importlib.import_module(f"loadtests.studies.{kind.replace('-', '_')}")


def every_setting() -> dict[str, Setting]:
    """Every setting that any study has."""
    return {setting.name: setting for kind in kinds() for setting in module(kind).SETTINGS}


def resolve(given: Mapping[str, Any], changes: Mapping[str, str]) -> Study:
    """The study that `[study]` (may be empty) describes, with the command line's `changes` laid over it.

    Raises SpecError for an unknown kind or setting, or a value that is none.
    """
    kind = str(given.get("kind", USUAL))
    if kind == USUAL:
        known: dict[str, Setting] = {}
    else:
        known = {setting.name: setting for setting in module(one_of("study", kind, kinds())).SETTINGS}
    for name in changes:
        if name not in known:
            has = ", ".join(known) or "no settings"
            raise SpecError(f"{name} does nothing here: this experiment's study ({kind}) has {has}")
    settings = {name: setting.default for name, setting in known.items()}
    for name, value in {**{n: v for n, v in given.items() if n != "kind"}, **changes}.items():
        setting = known[one_of(f"setting of study {kind}", name, known)]
        settings[name] = str(value)
        try:
            setting.check(str(value))
        except ValueError as error:
            raise SpecError(f"{name}: {error}") from error
    return Study(kind, settings)
