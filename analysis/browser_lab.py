"""The page of a browser lab: `python -m analysis.browser_lab`, the second step of `make browser-lab`.

Reads lab.json in the run's folder; writes lab.html and lab.md beside it. Exit status: 0 written; 2 bad input.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from analysis.report import lab_page

FORMAT = 1
"""Of lab.json, as this reader understands it."""


def main(argv: list[str] | None = None) -> int:
    """Write both pages; prints what was found and where it stands."""
    parser = argparse.ArgumentParser(prog="python -m analysis.browser_lab", description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a browser lab")
    folder = parser.parse_args(argv).run.resolve()
    try:
        page = lab_page.page_of(_read(folder / "lab.json"))
        (folder / "lab.html").write_text(lab_page.html(page), encoding="utf-8")
        (folder / "lab.md").write_text(lab_page.markdown(page), encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"authscale: {error.filename}: {error.strerror}; `make browser-lab` makes one\n")
        return 2
    except (ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"authscale: {folder / 'lab.json'} cannot be read: {error!r}\n")
        return 2
    sys.stdout.write("".join(f"• {sentence}\n" for sentence in page.answer) + f"{folder / 'lab.html'}\n")
    return 0


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']}, and this reader knows {FORMAT}")
    return document


if __name__ == "__main__":
    sys.exit(main())
