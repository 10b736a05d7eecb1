"""Runs Locust's master side by hand, in a process of its own: `python conducted.py FOLDER CASE`."""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import gevent
from locust.runners import STATE_MISSING

from loadtests import control
from loadtests.conductor import Conductor

FOLDER, CASE = Path(sys.argv[1]), sys.argv[2]
nodes = {"a": SimpleNamespace(state="running"), "b": SimpleNamespace(state="running")}
told = []
runner = SimpleNamespace(clients=nodes, send_message=lambda kind, data: told.append(kind), quit=lambda: None)
options = SimpleNamespace(samples=str(FOLDER / "samples.parquet"), warm_up=0.0, warm_up_max=0.0)
total = SimpleNamespace(num_requests=1, num_failures=0)
conductor = Conductor(
    SimpleNamespace(parsed_options=options, stats=SimpleNamespace(total=total)), runner, ["a", "b"], FOLDER
)
harness = control.FolderChannel(FOLDER)
conducted = gevent.spawn(conductor.conduct)
steps = [control.LOGGED_IN, control.WARMED_UP, control.MEASURED]
for asked, answer in zip([control.LOG_IN, control.WARM_UP, control.MEASURE], steps, strict=True):
    harness.give(asked, "http://127.0.0.1:1")
    conductor.answered("a", answer, "")
    if CASE == "silent" and answer == control.MEASURED:
        nodes["b"].state = STATE_MISSING
        break
    if CASE == "left" and answer == control.MEASURED:
        del nodes["b"]
        break
    conductor.answered("b", answer, "")
    while not harness.given(answer):
        gevent.sleep(0.001)
else:
    harness.give(control.FINISH)
    sent = b"samples of b"
    counts = {"requests": 1, "failures": 0, "measured_from_ns": 1, "losses": []}
    conductor.chunk("b", sent[:5])
    conductor.chunk("b", b"others!" if CASE == "garbled" else sent[5:])
    ofb = {"octets": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}
    conductor.answered("a", control.COUNTS, json.dumps({"worker": 0, "local": True, **counts}))
    conductor.answered("b", control.COUNTS, json.dumps({"worker": 1, "local": False, **counts, **ofb}))
conducted.join(timeout=10)
