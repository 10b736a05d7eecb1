"""A stranger's first minutes: a fresh clone in an empty folder, and the README's command."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.clone, pytest.mark.bench]


def test_a_fresh_clone_measures_with_one_command(tmp_path: Path):
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(tmp_path / "authscale")], check=True)
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    out = subprocess.run(
        ["make", "bench", "BLOCKS=1", "DURATION=1", "SCHEMES=control,token", "REPLICAS=1"],
        cwd=tmp_path / "authscale",
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert out.returncode == 0, out.stdout + out.stderr
    run = tmp_path / "authscale" / "results" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert len(summary["cells"]) == 3
    assert summary["run"]["software"]["git_revision"]
    assert (run / "report.html").stat().st_size > 50_000
    again = subprocess.run(
        ["make", "-n", "report"],
        cwd=tmp_path / "authscale",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bootstrap.py" not in again.stdout  # installed once
