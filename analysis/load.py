"""Read a run folder: `run.json`, every finished trial, and the samples when they are asked for.

The format is docs/file-formats.md. A trial folder without `trial.json` never happened and is passed over; anything
else that is missing or broken is a `RunError` that says what, where and what to do.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loadtests import samples as contract

DISTILLED, DISTILLED_FORMAT = "distilled.json.gz", 1
"""What may stand in place of the trials (`analysis.distilled`)."""
FORMAT = 1
"""The version of run.json and trial.json that this reader understands."""


USUAL_THREADS = 4
"""Of a replica, where a run of old does not say; names tell another number."""
NO_STORE = "none"
"""What stands for the store of a cell that uses none."""


class RunError(Exception):
    """A run folder that cannot be analysed: what is wrong, where, and what to do about it."""

    def __init__(self, what: str, *, where: Path, hint: str) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(f"{what}: {where} ({hint})")


@dataclass(frozen=True)
class Cell:
    """One topology under one load, as `run.json` lists it."""

    id: str
    scheme: str
    store: str
    replicas: int
    policy: str
    duplicate_of: str | None
    load: Mapping[str, Any]
    options: Mapping[str, str] = field(default_factory=dict)  # what differs from its default, name to value
    shared: bool = True  # every replica accepts what another issued
    lags: bool = False  # ... a moment later only
    case: str = ""  # of the run's study
    threads: int = USUAL_THREADS
    balancer: str = "haproxy"  # in older runs there was no other
    is_target: bool = False  # a service that others started: its scheme is its name, and its replicas (0) are not known


@dataclass(frozen=True)
class Trial:
    """One execution of a cell: the facts of `trial.json`; the samples stay on disk until `read_samples`."""

    cell: str
    block: int
    valid: bool
    invalid_reasons: tuple[str, ...]
    earlier_attempt: tuple[str, ...]  # reasons against an attempt that this one replaced; empty for a first one
    duration_s: float
    sent: int
    dropped: int
    generator: Mapping[str, Any]
    machine: Mapping[str, Any]
    components: Mapping[str, Mapping[str, Any]]
    store: Mapping[str, Any] | None
    folder: Path
    measured_from_ns: int | None = None  # the generator's clock; None in older runs
    warm_up: Mapping[str, Any] = field(default_factory=dict)  # seconds, rounds, steady, truncated; empty in older runs
    study: Mapping[str, Any] = field(default_factory=dict)  # what the run's study found; its shape is the study's own
    balancer: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, Any] | None = None  # what had to be refused and what had to be let in; None if not asked
    counted_s: float | None = None  # between the two readings of every counter; None in older runs and without a load


@dataclass(frozen=True)
class Run:
    """A whole run: what was asked, on what machine, and the trials that finished, by block and cell."""

    folder: Path
    document: Mapping[str, Any]
    cells: tuple[Cell, ...]
    trials: tuple[Trial, ...]
    distilled: Mapping[str, Any] | None = None
    """What stands in place of raw samples (`analysis.distilled`), of a run that was kept without them."""

    @property
    def blocks_planned(self) -> int:
        """Blocks that the experiment asked for."""
        return int(self.document["blocks"])

    @property
    def trials_planned(self) -> int:
        """Trials that the experiment asked for: every cell once in every block."""
        return self.blocks_planned * len(self.cells)

    @property
    def load(self) -> Mapping[str, Any]:
        """The load of the experiment: model, arrivals, rate, users, durations, scenario."""
        load: Mapping[str, Any] = self.document["load"]
        return load

    @property
    def study(self) -> Mapping[str, str]:
        """The study of the experiment: its `kind` (`load` where it is the usual one) and settings."""
        study: Mapping[str, str] = self.document.get("study", {"kind": "load"})
        return study

    @property
    def of_targets(self) -> bool:
        """Whether its cells are services that others started, of which neither replicas nor a store are known."""
        return any(cell.is_target for cell in self.cells)

    @property
    def loads(self) -> bool:
        """Whether its trials leave samples of a measured phase, from which the usual figures are made."""
        return bool(self.document.get("study_loads", True))

    def cell(self, cell_id: str) -> Cell:
        """Return the cell of that id; KeyError if the run has none."""
        return next((cell for cell in self.cells if cell.id == cell_id), None) or _no_cell(cell_id)


def _no_cell(cell_id: str) -> Cell:
    raise KeyError(cell_id)


def load_run(folder: Path) -> Run:
    """Read the run in `folder` (a link such as `results/latest` will do); raise `RunError` if that cannot be."""
    if not folder.exists():
        raise RunError("no such run", where=folder, hint="`make bench` makes one; --run names another")
    folder = folder.resolve()
    path = folder / "run.json"
    if not path.is_file():
        raise RunError("run.json is missing", where=folder, hint="name a run's own folder, results/<UTC>-<experiment>")
    document = _read_json(path)
    try:
        cells = tuple(_cell(entry, document["load"]) for entry in document["cells"])
        int(document["blocks"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"run.json lacks or garbles {error}", where=path, hint="run `make bench` again") from error
    if (folder / DISTILLED).is_file() and not (folder / "trials").exists():
        return _distilled(folder, document, cells)
    trials = _read_trials(folder, {cell.id for cell in cells})
    return Run(folder=folder, document=document, cells=cells, trials=trials)


def _distilled(folder: Path, document: Mapping[str, Any], cells: tuple[Cell, ...]) -> Run:
    path = folder / DISTILLED
    try:
        distilled = json.loads(gzip.decompress(path.read_bytes()))
        trials = tuple(_kept_trial(each, folder) for each in distilled["trials"])
        found = distilled["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path.name} cannot be read: {error}", where=path, hint="take it from its source") from error
    if found != DISTILLED_FORMAT:
        raise RunError(
            f"{path.name} has format {found!r}, and this reader knows {DISTILLED_FORMAT}",
            where=path,
            hint="read it with the revision of authscale that wrote it",
        )
    return Run(folder=folder, document=document, cells=cells, trials=trials, distilled=distilled)


def _kept_trial(record: Mapping[str, Any], folder: Path) -> Trial:
    facts: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in record.items()}
    return Trial(**facts, folder=folder)


def _read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`, of the format that this reader understands."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path.name} cannot be read: {error}", where=path, hint="the run is damaged; run `make bench` again"
        ) from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise RunError(
            f"{path.name} has format {found!r}, and this reader knows {FORMAT}",
            where=path,
            hint="read it with the revision of authscale that wrote it",
        )
    return dict(document)


def _cell(entry: Mapping[str, Any], load: Mapping[str, Any]) -> Cell:
    return Cell(
        id=str(entry["id"]),
        scheme=str(entry["scheme"]),
        store=str(entry["store"]),
        replicas=int(entry["replicas"]),
        policy=str(entry["policy"]),
        duplicate_of=entry.get("duplicate_of"),
        load=entry.get("load", load),
        options={str(name): str(value) for name, value in entry.get("options", {}).items()},
        # runs from before these fields existed had no store but memory that was not shared, and none that lagged
        shared=bool(entry.get("shared", entry["store"] != "memory")),
        lags=bool(entry.get("lags", False)),
        case=str(entry.get("case", "")),
        threads=int(entry.get("threads", USUAL_THREADS)),
        balancer=str(entry.get("balancer", "haproxy")),
        is_target="target" in entry,
    )


def _read_trials(folder: Path, cell_ids: set[str]) -> tuple[Trial, ...]:
    """Read every finished trial of the run, in order of block and then of the folder's name."""
    paths = sorted(folder.glob("trials/*/*/trial.json"))
    if not paths:
        raise RunError("no trial of this run finished", where=folder, hint="let `make bench` finish one block at least")
    trials = [_trial(path) for path in paths]
    for trial in trials:
        if trial.cell not in cell_ids:
            raise RunError(
                f"run.json knows no cell {trial.cell!r}",
                where=trial.folder / "trial.json",
                hint="the folder is of another run; move it away",
            )
    return tuple(sorted(trials, key=lambda trial: trial.block))


def _trial(path: Path) -> Trial:
    document = _read_json(path)
    try:
        return Trial(
            cell=str(document["cell"]),
            block=int(document["block"]),
            valid=bool(document["valid"]),
            invalid_reasons=tuple(str(reason) for reason in document["invalid_reasons"]),
            earlier_attempt=tuple(str(reason) for reason in document["earlier_attempt"] or ()),
            duration_s=float(document["duration_s"]),
            sent=int(document["sent"]),
            dropped=int(document["dropped"]),
            generator=document["generator"],
            machine=document["machine"],
            components=document["components"],
            store=document["store"],
            folder=path.parent,
            measured_from_ns=document.get("measured_from_ns"),
            warm_up=document.get("warm_up", {}),
            study=document.get("study", {}),
            balancer=document.get("balancer", {}),
            accuracy=document.get("accuracy"),
            counted_s=document.get("counted_s"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"trial.json lacks or garbles {error}", where=path, hint="delete that trial's folder and run again"
        ) from error


def read_samples(trial: Trial, columns: Sequence[str] = tuple(contract.SCHEMA.names)) -> pa.Table:
    """Return the named columns of every sample of a trial, the files of several generator processes put together.

    Columns, units and types are those of `loadtests.samples.SCHEMA`. Times of several workers are each since the start
    of the measured phase by the worker's own clock, laid onto the trial's (`measured_from_ns`): no clock is taken from
    another. Text stays in dictionaries, one per chunk and not
    alike: `loadtests.samples.among` and `counts` read them. Raw samples are merged here, before any quantile is taken:
    quantiles of parts do not average to the quantile of the whole.
    """
    paths = sorted(trial.folder.glob("samples*.parquet"))
    if not paths:
        raise RunError(
            "samples.parquet is missing", where=trial.folder, hint="delete that trial's folder and run again"
        )
    began_ns = {
        f"samples-{each['worker']}.parquet": each["measured_from_ns"] for each in trial.generator.get("workers", ())
    }
    tables = []
    for path in paths:
        table = _read_parquet(path, columns)
        if path.name in began_ns and trial.measured_from_ns is not None:
            table = _moved(table, trial.measured_from_ns - began_ns[path.name])
        tables.append(table)
    return pa.concat_tables(tables)


_TIMES = ("due_ns", "started_ns", "first_byte_ns", "ended_ns")


def _moved(table: pa.Table, by_ns: int) -> pa.Table:
    """Return the samples with their times moved; a 0 is no time, but says that there was none."""
    for name in set(_TIMES) & set(table.column_names):
        times = np.asarray(table[name].to_numpy())
        moved = pa.array(np.where(times == 0, 0, times + by_ns), pa.int64())
        table = table.set_column(table.column_names.index(name), table.schema.field(name), moved)
    return table


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            _require_format(path, file.schema_arrow)
            held = set(file.schema_arrow.names)
            table = file.read(columns=[name for name in columns if name in held])
    except (OSError, pa.ArrowException) as error:
        raise RunError(
            f"{path.name} is truncated or no Parquet file ({_first_line(error)})",
            where=path,
            hint="delete that trial's folder and run again",
        ) from error
    for name in columns:
        if name not in held:
            table = table.append_column(name, pa.array([contract.ADDED[name]] * table.num_rows, pa.int64()))
    return table.select(list(columns)).cast(pa.schema([contract.SCHEMA.field(name) for name in columns]))


def _require_format(path: Path, schema: pa.Schema) -> None:
    found = (schema.metadata or {}).get(contract.METADATA_KEY, b"none").decode()
    if found not in map(str, contract.READABLE):
        known = " and ".join(map(str, contract.READABLE))
        raise RunError(
            f"{path.name} has sample format {found}, and this reader knows {known}",
            where=path,
            hint="read it with the revision of authscale that wrote it",
        )
    added = contract.ADDED if found == "1" else {}
    missing = [name for name in contract.SCHEMA.names if name not in schema.names and name not in added]
    if missing:
        raise RunError(
            f"{path.name} lacks the columns {', '.join(missing)}", where=path, hint="delete that trial and run again"
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
