"""A Locust worker's link to its master: the harness's signals, the verdict on the warm-up, and the samples.

All of it goes over the connection that Locust has anyway, as messages of our own, so that a worker which was started by
hand on another host (`locust -f loadtests/scenarios/browse.py --worker --master-host HOST`) needs nothing else. Only a
worker that was told of the trial's folder (`control.SAMPLES_VARIABLE`) writes its samples there itself.

How users are shared out stands in `Share`: it travels with Locust's own order to spawn, among the master's options.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from gevent.event import Event
from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests import control
from loadtests.phases import WarmUp
from loadtests.recorder import Recorder

SHARED_OUT = "shared_out"
"""The master's option, which is none of the command line."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Share:
    """Which users of all are this worker's: number `place`, `place + workers`, and so on.

    That is how Locust deals them out; a user's arrivals hang on its number, so that any number of workers sends what
    one would. `harness`: the master keeps step with one.
    """

    users: int
    place: int
    workers: int
    harness: bool

    @property
    def own(self) -> int:
        """How many they are."""
        return len(range(self.place, self.users, self.workers))

    def number(self, ordinal: int) -> int:
        """The number among all of this worker's user number `ordinal`. Raises RuntimeError where it has fewer."""
        if ordinal >= self.own:
            raise RuntimeError(f"worker {self.place} of {self.workers} got more than its share of {self.users} users")
        return self.place + self.workers * ordinal

    @classmethod
    def of(cls, told: Mapping[str, Any], worker_id: str) -> Share:
        """What a master that told `SHARED_OUT` meant for this worker. Raises ValueError where it meant none."""
        return cls(told["users"], told["workers"].index(worker_id), len(told["workers"]), told["harness"])


class WorkerLink:
    """A `control.Channel` to the harness by way of the master."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        self._environment, self._runner = environment, runner
        self._trial = os.environ.get(control.SAMPLES_VARIABLE)
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._signals: dict[str, str] = {}
        self._verdict: dict[str, Any] = {}
        self._judged = Event()
        self._counted = {"requests": 0, "failures": 0}
        runner.register_message(control.SIGNAL, self._got_signal)
        runner.register_message(control.VERDICT, self._got_verdict)
        # after Locust's own, which fills the report and then forgets what it has told
        environment.events.report_to_master.add_listener(self._reported)

    def give(self, signal: str, text: str = "") -> None:
        """Tell the master."""
        self._runner.send_message(control.SIGNAL, {"signal": signal, "text": text})

    def given(self, signal: str) -> bool:
        """Whether the master has passed a signal on."""
        return signal in self._signals

    def text_of(self, signal: str) -> str:
        """What came with it."""
        return self._signals[signal]

    def share(self) -> Share | None:
        """This worker's, once it was told; None of a master that knows nothing of it."""
        told = getattr(self._environment.parsed_options, SHARED_OUT, None)
        return Share.of(told, self._runner.client_id) if told else None

    def judge(self, warmed: WarmUp) -> bool:
        """Whether another round of warm-up is needed, which the master says to all workers alike."""
        if not warmed.judged:
            return warmed.judge()
        self._judged.clear()
        self._runner.send_message(control.ROUND, {"times": warmed.of_round()})
        self._judged.wait()
        warmed.rounds, warmed.steady, warmed.truncated = (
            self._verdict[name] for name in ("rounds", "steady", "truncated")
        )
        return bool(self._verdict["again"])

    def hand_over(self, recorder: Recorder, place: int, record: Mapping[str, Any]) -> None:
        """Hand the samples to the harness and then tell the counts: Locust's own, and what `record` has besides."""
        with tempfile.TemporaryDirectory() as own:
            path = Path(self._trial or own) / f"samples-{place}.parquet"
            # on a thread: Locust's heartbeat goes on meanwhile
            gevent.get_hub().threadpool.apply(recorder.write, (path,))
            sent = {"local": True} if self._trial else {"local": False, **self._send(path)}
        self._runner._send_stats()  # noqa: SLF001 - the last of them, before what is counted of them
        self.give(control.COUNTS, json.dumps({"worker": place, **self._counted, **sent, **record}))

    def _send(self, path: Path) -> dict[str, Any]:
        digest, octets = hashlib.sha256(), 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                octets += len(chunk)
                self._runner.send_message(control.CHUNK, {"data": chunk})
                gevent.sleep(0)
        return {"octets": octets, "sha256": digest.hexdigest()}

    def _got_signal(self, msg: Any, **_: Any) -> None:
        signal, text, certificate = msg.data["signal"], msg.data["text"], msg.data.get("certificate")
        url = text.partition(" ")[0]
        if certificate and not self._trial:  # the file is the master's host's
            self._own = tempfile.TemporaryDirectory(prefix="authscale-")
            copy = Path(self._own.name) / "authority.pem"
            copy.write_text(certificate)
            text = f"{url} {copy}"
        self._signals[signal] = text

    def _got_verdict(self, msg: Any, **_: Any) -> None:
        self._verdict = msg.data
        self._judged.set()

    def _reported(self, data: Mapping[str, Any], **_: Any) -> None:
        total = data["stats_total"]
        self._counted["requests"] += total["num_requests"]
        self._counted["failures"] += total["num_failures"]


def link_of(environment: Environment) -> WorkerLink | None:
    """The link of a worker's environment; None where this process is no worker."""
    return _of_environment.get(environment)


_of_environment: WeakKeyDictionary[Environment, WorkerLink] = WeakKeyDictionary()


@events.init.add_listener
def _join(environment: Environment, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        _of_environment[environment] = WorkerLink(environment, environment.runner)
