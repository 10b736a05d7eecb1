"""Notebooks are committed without outputs, define nothing, and run on a suite: the committed one, if there is one."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from analysis.notebook_pages import NOTEBOOKS, executed, main, page
from analysis.synthetic import Plan, write_run

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="module")
def shown(suite: Path) -> dict[str, Any]:
    """All notebooks, executed in one kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        return executed(NOTEBOOKS, suite)


def test_there_is_one_for_each_question():
    assert {path.stem for path in NOTEBOOKS} == {*DRAW, "revocation-and-faults"}


def test_it_is_committed_without_outputs(notebook: Any):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_it_defines_nothing(notebook: Any):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, defined)]


@pytest.mark.filterwarnings("ignore:.*:UserWarning:zmq")  # the kernel's transport, on loopback
@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_it_runs_and_shows_what_the_run_has(name: str, suite: Path, shown: dict[str, Any]):
    outputs = str([output.get("data", {}) for cell in shown[name].cells for output in cell.get("outputs", [])])
    parts = {part["experiment"] for part in json.loads((suite / "suite.json").read_text())["parts"]}
    assert "experiment `" in outputs
    if name in DRAW or parts & {"faults", "revocation"}:
        assert "<svg" in outputs
    else:
        assert "This run has no figure of fault" in outputs


@pytest.mark.filterwarnings("ignore:.*:UserWarning:zmq")
def test_its_page_loads_nothing(shown: dict[str, Any]):
    for name, notebook in shown.items():
        text = page(name, notebook, tuple(shown))
        assert "<h1" in text
        assert not re.findall(r"""(?:\bsrc=|\bhref=|@import|url\(|\bfrom)\s*["']?(?:https?:)?//[^"')\s]+""", text)
        assert len(text) < 5_000_000
        assert text.count('<div class="scroll" tabindex="0"') >= text.count('class="dataframe"')
        assert 'border="1"' not in text


def test_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("analysis.notebook_pages.executed", lambda *_: {})
    assert main(["--run", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "make bench" in said
