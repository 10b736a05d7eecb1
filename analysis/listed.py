"""What lies in the folder of all runs: runs, suites, browser labs and comparisons, each in a line of facts.

Everything is read from the small files (run.json, summary.json, suite.json, lab.json, compare.json), no sample is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.suite import LAB, SUITE
from analysis.wording import count, joined

_COMPARED = "compare.json"

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Listed:
    """One result.

    Attributes:
        kind: run, suite, browser lab or comparison.
        name: its folder within the folder of all runs; of a part of a suite with the suite's before it.
        started: UTC, as in its file; empty where it does not say.
        answer: the first sentence of its report, or what is wrong with it.
        verdicts: how its comparisons, or its claims, were judged.
        trials: how many are valid, of how many.
        comparable: whether it can be one side of a comparison.

    """

    kind: str
    name: str
    folder: Path
    id: str
    title: str
    started: str
    experiment: str
    machine: str
    answer: str
    verdicts: str
    trials: str
    page: str
    comparable: bool = False


@dataclass(frozen=True)
class Pair:
    """A comparison of two results by their names, and its page within the folder of all runs."""

    a: str
    b: str
    page: str


def listed_in(results: Path) -> tuple[Listed, ...]:
    """Return everything in the folder, the newest first; parts of a suite follow it."""
    found = sorted((each for each in results.iterdir() if each.is_dir() and not each.is_symlink()), key=_age)
    return tuple(each for folder in reversed(found) for each in _listed(folder, folder.name))


def compared_in(results: Path) -> tuple[Pair, ...]:
    """Return the comparisons that `make compare` has made of runs that lie here."""
    by_id = {each.id: each.name for each in listed_in(results) if each.kind == "run" and "/" not in each.name}
    made = []
    for path in sorted(results.glob(f"compare-*/{_COMPARED}")):
        document = _read(path)
        if document.get("a") in by_id and document.get("b") in by_id:
            page = f"{path.parent.name}/compare.html"
            made.append(Pair(by_id[document["a"]], by_id[document["b"]], page))
    return tuple(made)


def _age(folder: Path) -> tuple[str, str]:
    for name in ("run.json", SUITE):
        if (folder / name).is_file():
            return str(_read(folder / name).get("started", "")), folder.name
    return folder.name, folder.name


def _listed(folder: Path, name: str) -> Iterable[Listed]:
    if (folder / SUITE).is_file():
        yield _suite(folder, name)
        suite = _read(folder / SUITE)
        for part in suite.get("parts", ()):
            if (folder / part["name"]).is_dir():
                for each in _listed(folder / part["name"], f"{name}/{part['name']}"):
                    yield replace(each, id=f"{suite.get('id', name)}/{each.id}")  # a part's own is its name alone
    elif (folder / LAB).is_file():
        yield _lab(folder, name)
    elif (folder / "run.json").is_file():
        yield _run(folder, name)
    elif (folder / _COMPARED).is_file():
        yield _comparison(folder, name)


def _run(folder: Path, name: str) -> Listed:
    run, summary = _read(folder / "run.json"), _read(folder / "summary.json")
    cells = summary.get("cells", ())
    valid = sum(cell["valid_blocks"] for cell in cells)
    total = valid + sum(cell["invalid_blocks"] for cell in cells)
    return Listed(
        kind="run",
        name=name,
        folder=folder,
        id=str(run.get("id", name)),
        title=str(run.get("title", "")),
        started=str(run.get("started", "")),
        experiment=str(run.get("experiment", "")),
        machine=_machine(run),
        answer=_answer(run, summary, f"make report RUN=results/{name}"),
        verdicts=_tally(each["verdict"] for each in summary.get("comparisons", ())),
        trials=f"{valid} of {total}" if total else "",
        page=f"{name}/report.html" if (folder / "report.html").is_file() else "",
        comparable=bool(cells),
    )


def _suite(folder: Path, name: str) -> Listed:
    suite, summary = _read(folder / SUITE), _read(folder / "summary.json")
    return Listed(
        kind="suite",
        name=name,
        folder=folder,
        id=str(suite.get("id", name)),
        title=str(suite.get("title", "")),
        started=str(suite.get("started", "")),
        experiment=str(suite.get("suite", "")),
        machine="",
        answer=_answer(suite, summary, f"make report RUN=results/{name}"),
        verdicts=_tally(each["verdict"] for each in summary.get("claims", ())),
        trials="",
        page=f"{name}/report.html" if (folder / "report.html").is_file() else "",
    )


def _lab(folder: Path, name: str) -> Listed:
    lab = _read(folder / LAB)
    rows = len(lab.get("storage", ())), len(lab.get("csrf", ()))
    return Listed(
        kind="browser lab",
        name=name,
        folder=folder,
        id=str(lab.get("id", name)),
        title="What a browser gives away",
        started=_of_folder(str(lab.get("id", name))),
        experiment="browser-lab",
        machine=_machine(lab),
        answer=f"{count(rows[0], 'place')} of a credential and {count(rows[1], 'attempt')} from other origins tried.",
        verdicts="",
        trials="",
        page=f"{name}/lab.html" if (folder / "lab.html").is_file() else "",
    )


def _comparison(folder: Path, name: str) -> Listed:
    document = _read(folder / _COMPARED)
    timed = [each["verdict"] for each in document.get("timed", ())]
    changed = sum(each["verdict"] == "changed" for each in document.get("counted", ()))
    return Listed(
        kind="comparison",
        name=name,
        folder=folder,
        id=name,
        title="Two runs compared",
        started="",
        experiment="",
        machine="",
        answer=f"{document.get('b')} against {document.get('a')}: {count(changed, 'counted figure')} changed.",
        verdicts=_tally(timed),
        trials="",
        page=f"{name}/compare.html" if (folder / "compare.html").is_file() else "",
    )


def _of_folder(name: str) -> str:
    """Return 2026-11-25T10:22:29Z of 20261125T102229Z-browser-lab; empty of another name."""
    stamp = name.split("-", 1)[0]
    if len(stamp) != len("20261125T102229Z") or not stamp.endswith("Z"):
        return ""
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}Z"


def _machine(document: Document) -> str:
    machine = document.get("machine", {})
    return f"{machine['cpu']}, {count(machine['cores'], 'core')}" if {"cpu", "cores"} <= set(machine) else ""


def _answer(own: Document, summary: Document, command: str) -> str:
    if not own:
        return "Its file cannot be read."
    return " ".join(summary.get("answer", ())[:1]) or f"It has no report; {command} makes one."


def _tally(verdicts: Iterable[str]) -> str:
    return joined(f"{verdict} {number}" for verdict, number in Counter(verdicts).most_common())


def _read(path: Path) -> Document:
    """Return a document; nothing of one that is missing or damaged, which its own report tells."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
