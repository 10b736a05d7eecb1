"""Real, small benchmarks, run as a user runs them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--warmup", "0.3", "--rate", "120", "--users", "12", "--accounts", "50"]


@dataclass(frozen=True)
class Bench:
    """`python -m loadtests.run`, which is what `make bench` calls first, into a folder."""

    results: Path

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return self.start_plain(*SMALL, *arguments, env=env)

    def start_plain(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "loadtests.run", "--results", str(self.results), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, env=env)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "results")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make bench`, small: every cell of quick, one block; returns the run's folder."""
    results = tmp_path_factory.mktemp("results")
    knobs = {"BLOCKS": "2", "DURATION": "1.5", "WARMUP": "0.3", "RATE": "200", "USERS": "20", "ACCOUNTS": "100"}
    done = subprocess.run(
        ["make", "bench", f"RESULTS={results}", *(f"{name}={value}" for name, value in knobs.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (results / "stdout.txt").write_text(done.stdout)
    return (results / "latest").resolve()


@pytest.fixture(scope="session")
def policies_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions in memory on three replicas behind two policies of both balancers, one block."""
    results = tmp_path_factory.mktemp("policies")
    asked = ["--schemes", "session", "--stores", "memory", "--replicas", "3", "--blocks", "1", "--duration", "1.2"]
    asked += ["--policies", "roundrobin,sticky", "--balancer", "haproxy,nginx", "--scenario", "mixed"]
    done = Bench(results).run(*asked)
    assert done.returncode == 0, done.stderr
    return (results / "latest").resolve()
