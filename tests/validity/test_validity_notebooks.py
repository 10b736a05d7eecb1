"""Notebooks are committed without outputs, define nothing, and run on a suite: the committed one, if there is one."""

import ast
import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from analysis.synthetic import Plan, write_run

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "analysis" / "notebooks").glob("*.ipynb"))
REFERENCE = ROOT / "results" / "reference"
DRAW = {"latency", "payload", "scaling", "store-load", "planning"}
"""Those that have something to draw of an ordinary load."""


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Any:
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if (REFERENCE / "suite.json").is_file():
        return REFERENCE
    folder = tmp_path_factory.mktemp("suite") / "full"
    write_run(folder / "quick", Plan(blocks=2, requests=200))
    part = {"name": "quick", "experiment": "quick", "changes": {}, "finished": "2026-11-23T20:03:41Z"}
    facts = {"format": 1, "id": "full", "suite": "full", "title": "Everything", "profile": None}
    (folder / "suite.json").write_text(json.dumps({**facts, "parts": [part]}))
    return folder


def test_there_is_one_for_each_question():
    names = {path.stem for path in NOTEBOOKS}
    assert names == {*DRAW, "revocation-and-faults"}


def test_it_is_committed_without_outputs(notebook: Any):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_it_defines_nothing(notebook: Any):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, defined)]


@pytest.mark.filterwarnings("ignore:.*:UserWarning:zmq")  # the kernel's transport, on loopback
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_the_run_has(path: Path, suite: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTHSCALE_RUN", str(suite))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    client = NotebookClient(nbformat.read(path, as_version=4), timeout=120, resources={"metadata": {"path": str(ROOT)}})
    done = client.execute(env={**os.environ, "AUTHSCALE_RUN": str(suite)})
    shown = str([output.get("data", {}) for cell in done.cells for output in cell.get("outputs", [])])
    parts = {part["experiment"] for part in json.loads((suite / "suite.json").read_text())["parts"]}
    assert "experiment `" in shown
    if path.stem in DRAW or parts & {"faults", "revocation"}:
        assert "<svg" in shown
    else:
        assert "This run has no figure of fault, revocation" in shown
