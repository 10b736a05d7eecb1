"""What Locust's master does under the harness: passes its signals to all workers, and brings together what they answer.

A signal of the harness goes to every worker, and the answer to it back when every worker has given it. The warm-up is
judged on the times of all, so that all go through as many rounds. Samples that a worker cannot write to the trial's
folder come in chunks and are checked against their digest. A worker that is gone, whatever it died of, is told to the
harness with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakKeyDictionary

import gevent
from locust import events
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from loadtests import control
from loadtests.phases import WarmUp
from loadtests.worker_link import SHARED_OUT

_POLL_S = 0.002
_STEPS = (
    (control.LOG_IN, control.LOGGED_IN),
    (control.WARM_UP, control.WARMED_UP),
    (control.MEASURE, control.MEASURED),
    (control.FINISH, control.COUNTS),
)


class WorkerGoneError(RuntimeError):
    """A worker is gone, or what it sent cannot be used; says which and why."""


class Conductor:
    """Of one trial; `workers` are their Locust ids, by the place of each."""

    def __init__(self, environment: Environment, runner: MasterRunner, workers: list[str], folder: Path) -> None:
        options: Any = environment.parsed_options
        self._environment, self._runner, self._workers = environment, runner, workers
        self._harness = control.FolderChannel(folder)
        self._samples = Path(options.samples).parent
        self._warmed = WarmUp(options.warm_up, options.warm_up_max)
        self._answers: dict[str, dict[int, str]] = {}
        self._of_round = 0
        self._coming: dict[int, BinaryIO] = {}

    def conduct(self) -> None:
        """Go through the trial, in a greenlet of its own, and end Locust."""
        try:
            for signal, answer in _STEPS:
                self._wait_for(lambda asked=signal: self._harness.given(asked))
                self._pass_on(signal)
                self._wait_for(lambda due=answer: len(self._answers.get(due, ())) == len(self._workers))
                if answer != control.COUNTS:
                    self._harness.give(answer)
            self._harness.give(control.COUNTS, json.dumps(self._counts()))
        except WorkerGoneError as error:
            self._harness.give(control.LOST, str(error))
        self._runner.quit()

    def answered(self, worker_id: str, signal: str, text: str) -> None:
        """A worker gave a signal."""
        self._answers.setdefault(signal, {})[self._workers.index(worker_id)] = text

    def took(self, times: list[tuple[int, int]]) -> None:
        """A worker has ended a round of warm-up; when the last one has, all are told whether there is another.

        The times are since the round began by the worker's own clock: no clock is compared with another.
        """
        for due_ns, took_ns in times:
            self._warmed.saw(due_ns, took_ns)
        self._of_round += 1
        if self._of_round < len(self._workers):
            return
        self._of_round = 0
        again = self._warmed.judge()
        self._runner.send_message(control.VERDICT, {"again": again, **self._warmed.as_dict()})

    def chunk(self, worker_id: str, data: bytes) -> None:
        """The next octets of a worker's samples."""
        place = self._workers.index(worker_id)
        if place not in self._coming:
            self._coming[place] = self._path(place).with_suffix(".tmp").open("wb")
        self._coming[place].write(data)

    def _pass_on(self, signal: str) -> None:
        text = self._harness.text_of(signal)
        data = {"signal": signal, "text": text}
        authority = text.partition(" ")[2]
        if authority:  # a worker on another host has no such file
            data["certificate"] = Path(authority).read_text()
        self._runner.send_message(control.SIGNAL, data)

    def _wait_for(self, met: Any) -> None:
        while not met():
            for place, worker_id in enumerate(self._workers):
                node = self._runner.clients.get(worker_id)
                if node is None or node.state == STATE_MISSING:
                    how = "left" if node is None else "was silent for seconds"
                    raise WorkerGoneError(f"worker {place} of {len(self._workers)} {how}")
            gevent.sleep(_POLL_S)

    def _counts(self) -> dict[str, Any]:
        """What all counted, and each; checks the samples that came over the connection."""
        workers = [json.loads(text) for _, text in sorted(self._answers[control.COUNTS].items())]
        for each in workers:
            if not each["local"]:
                self._keep(each.pop("octets"), each.pop("sha256"), each["worker"])
        total = self._environment.stats.total
        return {
            "requests": total.num_requests,  # as Locust's master has summed it
            "failures": total.num_failures,
            "measured_from_ns": workers[0]["measured_from_ns"],
            "warm_up": self._warmed.as_dict(),
            "losses": [loss for each in workers for loss in each.pop("losses")],
            "workers": workers,
        }

    def _keep(self, octets: int, sha256: str, place: int) -> None:
        draft, file = self._path(place).with_suffix(".tmp"), self._coming.pop(place, None)
        if file is not None:
            file.close()
        came = draft.read_bytes() if file else b""
        if len(came) != octets or hashlib.sha256(came).hexdigest() != sha256:
            raise WorkerGoneError(f"of the samples of worker {place} came {len(came)} octets of {octets}, or others")
        draft.rename(self._path(place))

    def _path(self, place: int) -> Path:
        return self._samples / f"samples-{place}.parquet"


_of_environment: WeakKeyDictionary[Environment, Conductor] = WeakKeyDictionary()


@events.init.add_listener
def _listen(environment: Environment, **_: Any) -> None:
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        runner.register_message(control.SIGNAL, _signal)
        runner.register_message(control.ROUND, _round)
        runner.register_message(control.CHUNK, _chunk)


def _signal(environment: Environment, msg: Any) -> None:
    _of_environment[environment].answered(msg.node_id, msg.data["signal"], msg.data["text"])


def _round(environment: Environment, msg: Any) -> None:
    _of_environment[environment].took(msg.data["times"])


def _chunk(environment: Environment, msg: Any) -> None:
    _of_environment[environment].chunk(msg.node_id, msg.data["data"])


def share_out(environment: Environment, runner: Any) -> None:
    """Tell the workers, with the order to spawn that follows, which users are whose; under the harness, conduct."""
    # in the order in which Locust deals users out, which is its own affair: a worker checks that it fits
    workers = [node.id for node in runner._users_dispatcher._worker_nodes]  # noqa: SLF001
    folder = os.environ.get(control.VARIABLE)
    told = {"users": runner.target_user_count, "workers": workers, "harness": bool(folder)}
    setattr(environment.parsed_options, SHARED_OUT, told)
    if folder:
        made = _of_environment[environment] = Conductor(environment, runner, workers, Path(folder))
        gevent.spawn(made.conduct)
