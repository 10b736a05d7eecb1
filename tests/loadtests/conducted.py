"""Takes Locust's master side through trials by hand, in a process of its own: `python conducted.py FOLDER`."""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
from locust.runners import STATE_MISSING

from loadtests import control
from loadtests.conductor import Conductor

STEPS = ((control.LOG_IN, control.LOGGED_IN), (control.WARM_UP, control.WARMED_UP), (control.MEASURE, control.MEASURED))
SENT = b"samples of b"


def conduct(folder: Path, case: str) -> None:
    """A trial of two workers; b is gone in the measured phase, or sends other samples than it says, or all is well."""
    folder.mkdir()
    nodes = {name: SimpleNamespace(state="running") for name in "ab"}
    runner: Any = SimpleNamespace(clients=nodes, send_message=lambda *_: None, quit=lambda: None)
    options = SimpleNamespace(samples=str(folder / "samples.parquet"), warm_up=0.0, warm_up_max=0.0)
    stats = SimpleNamespace(total=SimpleNamespace(num_requests=2, num_failures=0))
    environment: Any = SimpleNamespace(parsed_options=options, stats=stats)
    conductor, harness = Conductor(environment, runner, ["a", "b"], folder), control.FolderChannel(folder)
    conducted = gevent.spawn(conductor.conduct)
    for asked, answer in STEPS:
        harness.give(asked, "http://127.0.0.1:1")
        conductor.answered("a", answer, "")
        if answer == control.MEASURED and case == "silent":
            nodes["b"].state = STATE_MISSING
        elif answer == control.MEASURED and case == "left":
            del nodes["b"]
        else:
            conductor.answered("b", answer, "")
    harness.give(control.FINISH)
    conductor.chunk("b", SENT[:5])
    conductor.chunk("b", b"others!" if case == "garbled" else SENT[5:])
    for worker in (0, 1):
        told = {"worker": worker, "local": worker == 0, "losses": [], "measured_from_ns": 1}
        told |= {"octets": len(SENT), "sha256": hashlib.sha256(SENT).hexdigest()} if worker else {}
        if worker == 0 or case not in {"silent", "left"}:
            conductor.answered("ab"[worker], control.COUNTS, json.dumps(told))
    conducted.join(timeout=10)


for each in ("silent", "left", "garbled", "whole"):
    conduct(Path(sys.argv[1]) / each, each)
