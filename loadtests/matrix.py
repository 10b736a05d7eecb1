"""From an experiment's TOML and the command line's changes to the cells; whatever is unknown is refused by name."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loadtests import load_rules
from loadtests.experiment import Cell, Experiment, Load
from loadtests.keys import check_keys
from loadtests.pairs import pairs
from loadtests.precision import LEAST_BLOCKS, Precision
from loadtests.study import USUAL, Study, check_load, module, resolve
from loadtests.targets import sections
from loadtests.targets.people import people_of
from loadtests.targets.reading import targets_of
from loadtests.thresholds import ThresholdError, check_cells, parse
from servers import schemes
from topology import balancer
from topology.spec import (
    HASH_COST,
    MAX_REPLICAS,
    MAX_THREADS,
    NO_STORE,
    SpecError,
    Topology,
    every_option,
    in_range,
    one_of,
    option_names,
    scheme_names,
    store_names,
    uses_store,
)

EXPERIMENTS = Path(__file__).parent / "experiments"
SCENARIOS = Path(__file__).parent / "scenarios"

# section -> key -> what it takes
_KEYS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "axes": {"schemes": list, "stores": list, "replicas": list, "policies": list, "threads": (int, list)},
    "load": load_rules.REQUIRED,
    "plan": {"blocks": int, "seed": int, "accounts": int, "hash_cost": (str, list)},
}  # fmt: skip
# keys that may be left out
_OPTIONAL: dict[str, dict[str, type | tuple[type, ...]]] = {
    "axes": {"variants": list},
    "load": load_rules.OPTIONAL,
    "plan": {"precision": (str, float), "max_blocks": int, "copies": int, "thresholds": list},
}
_MAX_BLOCKS, _MAX_ACCOUNTS = 1_000, 10_000_000
_USUAL_MAX_BLOCKS = 30
_MAX_COPIES = 199


class ExperimentError(ValueError):
    """An experiment that cannot be run as asked; the message says which value, why, and what would do."""


def experiment_names() -> tuple[str, ...]:
    """Every experiment there is a file of."""
    return tuple(sorted(path.stem for path in EXPERIMENTS.glob("*.toml")))


def scenario_names() -> tuple[str, ...]:
    """Every scenario there is a file of, but the one that is a target's own."""
    return tuple(sorted({path.stem for path in SCENARIOS.glob("[a-z]*.py")} - {sections.SCENARIO}))


def load_experiment(name: str, changes: Mapping[str, Any]) -> Experiment:
    """The experiment `name`, or of the file at that path, with `changes` (key to value, as in the TOML) laid over it.

    Raises:
        ExperimentError: for an unknown experiment, key or value, before anything starts.

    """
    try:
        path = _path(name)
        document = _read(path)
        if sections.TARGET in document:
            return _of_targets(path, document, changes)
        for section, keys in _KEYS.items():
            known = (*keys, *_OPTIONAL.get(section, ()))
            document[section] |= {key: changes[key] for key in known if changes.get(key) is not None}
        asked = changes.get("options", {})
        variants = _at_each_hash_cost(document["axes"].get("variants", [{}]), document["plan"]["hash_cost"])
        document["axes"]["variants"] = _with_options(variants, asked)
        document["axes"]["asked_options"] = list(asked)
        return _resolve(path.stem, document, changes)
    except SpecError as error:
        raise ExperimentError(str(error)) from error


def _path(name: str) -> Path:
    """Of an experiment: of the file that is named outright, or of one of ours by its name."""
    path = Path(name)
    if path.suffix != ".toml":
        return EXPERIMENTS / f"{one_of('experiment', name, experiment_names())}.toml"
    if not re.fullmatch(r"[\w-]+", path.stem):
        raise ExperimentError(f"{path.name}: a run is named after it: letters, digits, - and _ before .toml")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise ExperimentError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # of TOML, and of what is no UTF-8
        raise ExperimentError(f"{path.name}: {error}") from error
    if sections.TARGET in document:
        sections.check(path.name, document)
        return document
    check_keys(path.name, document, {"title": str, **dict.fromkeys(_KEYS, dict)}, {"study": dict})
    for section, keys in _KEYS.items():
        check_keys(f"{path.name} [{section}]", document[section], keys, _OPTIONAL.get(section, {}))
    return document


def _resolve(name: str, document: dict[str, Any], changes: Mapping[str, Any]) -> Experiment:
    plan = document["plan"]
    one_of("scenario", document["load"]["scenario"], scenario_names())
    load = load_rules.load_of(document["load"], changes)
    in_range("blocks", plan["blocks"], 1, _MAX_BLOCKS)
    in_range("copies", plan.get("copies", 1), 1, _MAX_COPIES)
    in_range("accounts", plan["accounts"], 1, _MAX_ACCOUNTS)
    if load.users > plan["accounts"]:
        raise ExperimentError(
            f"users ({load.users}) must not exceed accounts ({plan['accounts']}): each signs in as somebody else"
        )
    study = resolve(document.get("study", {}), changes.get("study", {}))
    check_load(study, load)
    cells = _cells(document["axes"], plan.get("copies", 1), study, load)
    precision = _precision(plan, cells)
    return Experiment(
        name=name,
        title=document["title"],
        cells=cells,
        load=load,
        blocks=max(plan["blocks"], LEAST_BLOCKS) if precision else plan["blocks"],
        precision=precision,
        seed=plan["seed"],
        settings={"accounts": plan["accounts"], "hash_cost": " ".join(_hash_costs(cells))},
        thresholds=_thresholds(plan.get("thresholds", []), cells),
        study=study,
    )


def _of_targets(path: Path, document: dict[str, Any], changes: Mapping[str, Any]) -> Experiment:
    """The experiment of services that others started: its cells are they, and the first is the one run twice."""
    sections.lay_over(document, changes)
    plan, load = document["plan"], load_rules.load_of(document["load"], changes)
    in_range("blocks", plan["blocks"], 1, _MAX_BLOCKS)
    in_range("copies", plan.get("copies", 1), 1, _MAX_COPIES)
    targets = targets_of(document[sections.TARGET], path.parent)
    copies = range(1, plan.get("copies", 1) + 1)
    duplicates = (Cell(targets[0], duplicate_of=targets[0].id, copy=number) for number in copies)
    cells = (*(Cell(each) for each in targets), *duplicates)
    precision = _precision(plan, cells)
    return Experiment(
        name=path.stem,
        title=document["title"],
        cells=cells,
        load=load,
        blocks=max(plan["blocks"], LEAST_BLOCKS) if precision else plan["blocks"],
        precision=precision,
        seed=plan["seed"],
        settings={"accounts": max(1, *(len(people_of(each)) for each in targets))},
        thresholds=_thresholds(plan.get("thresholds", []), cells),
        study=resolve({}, {}),
    )


def _precision(plan: Mapping[str, Any], cells: tuple[Cell, ...]) -> Precision | None:
    """The adaptive stop, if it is asked for, as a share: 5% or 0.05."""
    text, most = plan.get("precision"), plan.get("max_blocks")
    if text is None:
        if most is not None:
            raise ExperimentError("max_blocks does nothing without a precision; for a fixed number name blocks")
        return None
    try:
        asked = float(str(text).removesuffix("%")) / (100 if str(text).endswith("%") else 1)
    except ValueError as error:
        raise ExperimentError(f"precision {text!r} is not a share, such as 5% or 0.05") from error
    if not 0 < asked < 1:
        raise ExperimentError(f"precision must lie between 0 and 1, such as 5% or 0.05, not {text}")
    least = max(plan["blocks"], LEAST_BLOCKS)
    most = max(_USUAL_MAX_BLOCKS, least) if most is None else most
    in_range("max_blocks", most, least, _MAX_BLOCKS)
    if not any(pairs([cell for cell in cells if cell.duplicate_of is None]).values()):
        raise ExperimentError("precision: no two of these cells are compared, so there is no interval to narrow")
    return Precision(asked, most)


def _thresholds(texts: list[Any], cells: tuple[Cell, ...]) -> tuple[str, ...]:
    try:
        thresholds = parse(texts)
        check_cells(thresholds, [cell.id for cell in cells])
    except ThresholdError as error:
        raise ExperimentError(str(error)) from error
    return tuple(each.text for each in thresholds)


def _cells(axes: Mapping[str, Any], copies: int, study: Study, load: Load) -> tuple[Cell, ...]:
    for axis, what, known in (
        ("schemes", "scheme", scheme_names()),
        ("stores", "store", store_names()),
        ("policies", "policy", balancer.policies()),
    ):
        for value in _values(axis, axes[axis]):
            one_of(what, value, known)
    for count in _values("replicas", axes["replicas"]):
        if not isinstance(count, int):
            raise ExperimentError(f"replicas: {count!r} is not a whole number")
        in_range("replicas", count, 1, MAX_REPLICAS)
    threads = _values("threads", _listed(axes["threads"]))
    for count in threads:
        if not isinstance(count, int):
            raise ExperimentError(f"threads: {count!r} is not a whole number")
        in_range("threads", count, 1, MAX_THREADS)
    topologies = [
        Topology(scheme, store, count, policy, each, options=options)
        for scheme, store, options in _variants(axes)
        for count, policy, each in itertools.product(axes["replicas"], axes["policies"], threads)
    ]
    if study.kind != USUAL:
        return _cells_of_study(topologies, study, load)
    # the floor, on the fewest servers, is the quietest cell there is; without it the first one asked for
    baseline = min(topologies, key=lambda each: (each.scheme != "control", each.replicas))
    duplicates = (Cell(baseline, duplicate_of=baseline.id, copy=number) for number in range(1, copies + 1))
    return (*(Cell(each) for each in topologies), *duplicates)


def _cells_of_study(topologies: list[Topology], study: Study, load: Load) -> tuple[Cell, ...]:
    """Each topology in every case that the study has for it; no duplicate, as its trials are not compared by time."""
    check = getattr(module(study.kind), "check", None)
    if check:
        check(study, topologies, load)
    made = tuple(Cell(each, case=case) for each in topologies for case in module(study.kind).cases(study, each))
    if not made:
        raise ExperimentError(f"the study {study.kind} has nothing to do on any of these cells")
    return made


def _variants(axes: Mapping[str, Any]) -> list[tuple[str, str, dict[str, str]]]:
    """Every scheme on every store that it can use, in every variant. What a variant says to others is left out."""
    made: list[tuple[str, str, dict[str, str]]] = []
    for scheme in axes["schemes"]:
        for variant in axes["variants"]:
            for store in _stores(scheme, axes["stores"], variant):
                known = option_names(scheme, store)
                own = {name: value for name, value in variant.items() if name in known and value != known[name].default}
                if (scheme, store, own) not in made:
                    made.append((scheme, store, own))
    # what the file varies may be of schemes or stores that the command line left out
    for name in axes.get("asked_options", ()):
        if not any(name in option_names(scheme, store) for scheme, store, _ in made):
            raise ExperimentError(f"{name} changes nothing here: no scheme or store of this experiment has that option")
    return sorted(made, key=lambda each: (axes["schemes"].index(each[0]), _place(axes["stores"], each[1])))


def _stores(scheme: str, asked: list[str], options: Mapping[str, str]) -> list[str]:
    facts = schemes.facts()[scheme]
    if not uses_store(scheme, options):
        return [NO_STORE]
    usable = [store for store in asked if not facts.stores or store in facts.stores]
    if not usable:
        raise ExperimentError(
            f"{scheme} can use none of these stores ({', '.join(asked)}), but: {', '.join(facts.stores)}"
        )
    return usable


def _place(asked: list[str], store: str) -> int:
    return asked.index(store) if store in asked else -1


def _at_each_hash_cost(variants: list[Any], costs: str | list[str]) -> list[Any]:
    """The variants, at every cost of the plan those that name none."""
    listed = _values("hash_cost", _listed(costs))
    return [
        {HASH_COST.name: cost, **variant} if isinstance(variant, dict) else variant
        for cost in listed
        for variant in variants
    ]


def _hash_costs(cells: tuple[Cell, ...]) -> list[str]:
    """Every cost that some cell's passwords are hashed at, in order."""
    return list(dict.fromkeys(cell.topology.every_option[HASH_COST.name] for cell in cells))


def _with_options(variants: list[Any], changes: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """The experiment's variants, each with every combination of the options of the command line laid over it."""
    known = every_option()
    made: list[dict[str, str]] = []
    for variant in variants:
        if not isinstance(variant, dict):
            raise ExperimentError(f"variants: {variant!r} is not a table of options")
        for values in itertools.product(*changes.values()):
            options = {name: str(value) for name, value in variant.items()} | dict(zip(changes, values, strict=True))
            for name, value in options.items():
                one_of("option", name, known)
                try:
                    known[name].check(value)
                except ValueError as error:
                    raise ExperimentError(str(error)) from error
            if options not in made:
                made.append(options)
    if not made:
        raise ExperimentError("an option without a value; name at least one")
    return made


def _listed(value: Any) -> list[Any]:
    """One value of an axis stands for a list of it."""
    return value if isinstance(value, list) else [value]


def _values(axis: str, values: Iterable[Any]) -> list[Any]:
    values = list(values)
    if not values:
        raise ExperimentError(f"{axis}: at least one value is needed")
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise ExperimentError(f"{axis}: {', '.join(repeated)} stands there more than once")
    return values
