"""Setting up: once, and each way it fails is one line that says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_OLD = """
import runpy, sys
sys.version_info = (3, 8, 0, "final", 0)
sys.argv = ["bootstrap.py"]
runpy.run_path(sys.path.pop(), run_name="__main__")
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("bootstrap.py", "Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def _bootstrap(clone: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    nothing = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, "bootstrap.py"],
        cwd=clone,
        env={**nothing, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _one_line(out: subprocess.CompletedProcess[str], said: str) -> None:
    assert out.returncode == 1
    assert out.stderr.startswith("authscale: ")
    assert said in out.stderr
    assert out.stderr.count("\n") == 1


def test_an_old_python_is_told_so(clone: Path):
    argv = [sys.executable, "-c", _OLD.replace("sys.path.pop()", repr(str(clone / "bootstrap.py")))]
    out = subprocess.run(argv, env={"PATH": "/nonexistent"}, capture_output=True, text=True, timeout=60, check=False)
    _one_line(out, "Python 3.8 is too old: authscale needs 3.11 or newer; install one, or name it: make PYTHON=")


def test_no_network_is_told_so(clone: Path):
    # nothing listens on the discard port of loopback
    out = _bootstrap(clone, {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"})
    _one_line(out, "the package index cannot be reached")
    assert not (clone / ".venv" / ".installed").exists()


def test_a_platform_without_wheels_is_told_so(clone: Path):
    out = _bootstrap(clone, {"PIP_NO_INDEX": "1"})
    _one_line(out, "no wheel of a pinned package fits this platform and Python")


def test_a_folder_that_cannot_be_written_to_is_told_so(clone: Path):
    (clone / ".venv-install.log").mkdir()
    out = _bootstrap(clone)
    _one_line(out, "cannot install into")


def test_an_installation_that_is_there_is_not_made_again():
    began = (ROOT / ".venv" / ".installed-dev").stat().st_mtime_ns
    out = subprocess.run(
        [sys.executable, "bootstrap.py", "--dev"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")
    assert (ROOT / ".venv" / ".installed-dev").stat().st_mtime_ns == began


def test_make_alone_lists_every_target():
    out = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY"))
    for target in phony.split()[1:]:
        assert f"make {target} " in out.stdout
