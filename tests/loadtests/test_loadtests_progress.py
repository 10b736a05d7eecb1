"""What a run shows: a live table on a terminal of 80 columns, plain lines elsewhere."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from loadtests.matrix import load_experiment
from loadtests.precision import Look, Open
from loadtests.progress import progress, verdict


def _record(cell: str, **changes: Any) -> dict[str, Any]:
    return {
        "cell": cell, "block": 1, "valid": True, "invalid_reasons": [], "response_p50_ms": 1.234, "sent": 100,
        "outcomes": {"ok": 25, "refused": 75},
    } | changes  # fmt: skip


def test_what_was_dropped_is_counted_in_the_line():
    record = _record("c", valid=False, invalid_reasons=["rate missed: 9.0%", "12 requests dropped"], dropped=12)
    assert verdict(record) == "invalid: rate missed: 9.0%, 12 dropped"


@pytest.mark.parametrize("terminal", [True, False])
def test_it_says_what_runs_what_was_found_and_what_is_left(*, terminal: bool):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80, color_system=None)
    with progress(load_experiment("quick", {"blocks": 2}), console) as shown:
        shown.doing(1, "session-memory-4r-roundrobin", "measuring")
        shown.done(_record("session-memory-4r-roundrobin"))
        shown.doing(1, "token-none-1r-roundrobin", "starting")
        late = "generator late: p99 2.00 ms over 1.00 ms"
        shown.done(_record("token-none-1r-roundrobin", valid=False, invalid_reasons=[late]))
        shown.doing(2, "control-none-1r-roundrobin", "starting")
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80 or not terminal
    text = "\n".join(lines)
    assert "75% refused" in text
    assert "generator late" in text
    assert re.search(r"\d:\d\d left", text)
    if terminal:
        assert re.search(r"^block 1/2  session-memory-4r-roundrobin  measuring$", text, re.MULTILINE)
        assert re.search(r" 2/18 trials, ", text)
    else:
        assert re.search(
            r"^\[1/18\] block 1/2 session-memory-4r-roundrobin: p50 1.23 ms, 75% refused; ", text, re.MULTILINE
        )
        assert len(lines) == 2


@pytest.mark.parametrize("terminal", [True, False])
def test_an_adaptive_run_has_no_end_that_is_known(*, terminal: bool):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80, color_system=None)
    experiment = load_experiment("quick", {"precision": "5%", "max_blocks": 20})
    stayed = Look(12, (Open("a", "b", 8, 0.21, 40), Open("a", "c", 8, 0.07, 6), Open("a", "d", 1, None, None)))
    with progress(experiment, console) as shown:
        shown.done(_record("session-memory-4r-roundrobin"))
        shown.looked(stayed)
        shown.doing(9, "token-none-1r-roundrobin", "starting")
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80 or not terminal
    text = "\n".join(lines)
    assert re.search(
        r"1/180\b.*, at most \d+:\d\d left$|^\[1/180\] block 1/20 .*at most \d+:\d\d left$", text, re.MULTILINE
    )
    assert "3 of 12 intervals not narrow for 3 blocks in a row yet; the widest is ±21.0 %" in text
