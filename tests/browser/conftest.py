"""A whole, reduced browser lab, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from topology.binaries import BinaryError, find

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def browser():
    """Skips where there is no Chromium, but not where there must be one."""
    try:
        return find("chromium")
    except BinaryError as error:
        if os.environ.get("AUTHSCALE_CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """The folder of a lab with fewer servers."""
    assert browser.version
    results = tmp_path_factory.mktemp("lab")
    for module, arguments in (
        ("loadtests.browser_lab", ["--quick", "--results", str(results)]),
        ("analysis.browser_lab", ["--run", str(results / "latest-browser-lab")]),
    ):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return (results / "latest-browser-lab").resolve()


@pytest.fixture(scope="session")
def document(lab):
    return json.loads((lab / "lab.json").read_text())
