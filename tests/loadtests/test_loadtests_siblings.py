"""Whether two cores slow each other is found out by trying; waiting for a core is no slowing."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from loadtests import siblings
from topology.cpu import Cores

pytestmark = pytest.mark.bench


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to a core")
def test_who_waits_for_the_same_core_takes_no_more_of_its_time():
    own = frozenset({min(os.sched_getaffinity(0))})
    before = os.sched_getaffinity(0)
    assert siblings.slowdown(Cores(own, own)) == pytest.approx(1.0, abs=0.4)
    assert os.sched_getaffinity(0) == before


def test_cores_that_are_not_set_apart_are_not_tried():
    assert siblings.slowdown(Cores(frozenset(), frozenset())) is None


def test_the_neighbour_ends_with_a_harness_that_was_killed():
    program = "from loadtests import siblings\nfrom topology.cpu import Cores\nsiblings._ROUNDS = 10_000\n"
    program += f"siblings.slowdown(Cores(frozenset({{{min(os.sched_getaffinity(0))}}}), frozenset({{0}})))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as harness:
        deadline = time.monotonic() + 20
        while not (children := psutil.Process(harness.pid).children()):
            assert time.monotonic() < deadline
        harness.kill()
        harness.wait(10)
        gone, alive = psutil.wait_procs(children, timeout=10)
        assert len(gone) == 1
        assert alive == []


def test_the_busy_neighbour_ends_with_the_measurement(monkeypatch: pytest.MonkeyPatch):
    started = []
    popen = siblings.subprocess.Popen
    monkeypatch.setattr(siblings.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    own = frozenset({min(os.sched_getaffinity(0))})
    siblings.slowdown(Cores(own, own))
    (busy,) = started
    assert busy.returncode is not None
