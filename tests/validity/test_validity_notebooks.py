"""Notebooks are committed without outputs, define nothing, and run on a real run."""

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "analysis" / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Any:
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_it_is_committed_without_outputs(notebook: Any):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_it_defines_nothing(notebook: Any):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, defined)]


@pytest.mark.bench
@pytest.mark.filterwarnings("ignore:.*:UserWarning:zmq")  # the kernel's transport, on loopback
def test_it_runs_and_draws(notebook: Any, small_run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTHSCALE_RUN", str(small_run))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    done = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert any("<svg" in str(output.get("data", {})) for output in shown)
