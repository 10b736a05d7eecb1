"""`python -m analysis.notebook_pages [--run results/latest]`: the notebooks on a run, as pages (`make notebooks`).

All are executed in one kernel, each from an empty namespace, and written into the run's folder, `notebooks/*.html`, in
the look of the report: pages that load nothing. Exits with 0, or with 2 and the cell that failed. Needs nbclient and
nbconvert, which are installed for development only.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from markupsafe import Markup
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from analysis.palette import INKS
from analysis.report import html
from analysis.wording import NOTHING

ROOT = Path(__file__).parents[1]
NOTEBOOKS = tuple(sorted((ROOT / "analysis" / "notebooks").glob("*.ipynb")))
RUN = "AUTHSCALE_RUN"
_FORMAT, _CELL_S = 4, 600


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis.notebook_pages", description="Execute the notebooks.")
    parser.add_argument("--run", type=Path, default=Path("results/latest"), help="the run's or the suite's folder")
    run = parser.parse_args(arguments).run.resolve()
    try:
        made = executed(NOTEBOOKS, run)
        out = run / "notebooks"
        out.mkdir(exist_ok=True)
        for name, notebook in made.items():
            (out / f"{name}.html").write_text(page(name, notebook, tuple(made)), encoding="utf-8")
    except CellExecutionError as error:
        sys.stderr.write(f"error: a notebook failed on {run}: {error.ename}: {error.evalue}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: {error.strerror} (RUN= names a run; `make bench` makes one)\n")
        return 2
    sys.stdout.write(f"{out}\n")
    return 0


def executed(paths: Sequence[Path], run: Path) -> dict[str, NotebookNode]:
    """Return the notebooks by name, with what their cells gave on the run or suite. Raises CellExecutionError."""
    notebooks = {path.stem: nbformat.read(path, as_version=_FORMAT) for path in paths}
    whole = nbformat.v4.new_notebook()
    for name, notebook in notebooks.items():
        for place, cell in enumerate(notebook.cells):
            cell.id = f"{name}-{place}"
        whole.cells += [nbformat.v4.new_code_cell("%reset -f", id=f"{name}-reset"), *notebook.cells]
    # by sockets of the file system: nobody else on the machine can talk to the kernel, which warns of it otherwise
    private = Config({"KernelManager": {"transport": "ipc"}})
    client = NotebookClient(whole, config=private, timeout=_CELL_S, resources={"metadata": {"path": str(ROOT)}})
    client.execute(env={**os.environ, RUN: str(run)})
    return notebooks


def page(name: str, notebook: NotebookNode, names: Sequence[str]) -> str:
    """Return an executed notebook as a page that loads nothing; `names` are those that it leads to."""
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    # pandas brings a style for the whole page, and a table that a phone cannot scroll
    body = re.sub(
        r'<div>\s*<style scoped[^>]*>.*?</style>\s*<table border="1" class="dataframe">',
        '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="dataframe">',
        body,
        flags=re.DOTALL,
    ).replace("<td>NaN</td>", f"<td>{NOTHING}</td>")
    return html.page("notebook.html.j2", title=name, names=names, body=Markup(body), inks=INKS)  # noqa: S704 - our cells


if __name__ == "__main__":
    raise SystemExit(main())
