"""One contestant of `loadtests.bench_generator`: Locust as a library, in a process that a socket tells what to do.

    python -m loadtests.bench_users CONTESTANT MODEL URL DESCRIPTOR USERS RATE SAMPLES

Each line that comes in is a window, `{"warm_up_s", "window_s"}`: users start anew, warm up, and are measured
for the window; the line that goes back has the figures. What is measured with which users stands in the classes below.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from gevent import socket
from locust import FastHttpUser, HttpUser, User, constant_throughput, events, task
from locust.argument_parser import get_parser
from locust.env import Environment

from loadtests import virtual_user
from loadtests.load_process import shared_of

_PATH = "/me"


class LeanReader(virtual_user.VirtualUser):
    """The virtual user of every trial: signs in, sends its credential, checks each answer, records each sample."""

    abstract = True

    @task
    def read(self) -> None:
        """One authenticated read."""
        self.me()


class LeanClosed(LeanReader):
    """The next request when the last one is answered."""

    def wait_time(self) -> float:
        """Due now."""
        self._due_ns = time.monotonic_ns()
        return 0.0


class LeanOpen(LeanReader):
    """Poisson arrivals, paced by its own schedule."""


class _Stock(User):
    """A plain Locust user, as Locust's documentation writes one."""

    abstract = True
    client: Any

    def context(self) -> dict[str, Any]:
        """Whose request it is: goes into Locust's request event."""
        return {"user": id(self)}

    @task
    def read(self) -> None:
        """One read; nothing is sent along, checked or recorded."""
        self.client.get(_PATH)


class FastHttpClosed(_Stock, FastHttpUser):
    """No wait: the next request when the last one is answered."""


class HttpClosed(_Stock, HttpUser):
    """The same with requests."""


class FastHttpOpen(_Stock, FastHttpUser):
    """Locust's own pacing; each user begins at a moment of its own, so that not all send at once."""

    def on_start(self) -> None:
        """Out of step with the others."""
        gevent.sleep(random.random() * _period_s)  # noqa: S311 - a phase, not a secret


class HttpOpen(_Stock, HttpUser):
    """The same with requests."""

    on_start = FastHttpOpen.on_start


USERS: dict[str, dict[str, type[User]]] = {
    "lean": {"closed": LeanClosed, "open": LeanOpen},
    "fasthttp": {"closed": FastHttpClosed, "open": FastHttpOpen},
    "http": {"closed": HttpClosed, "open": HttpOpen},
}
_period_s = 0.0


class Window:
    """Starts the users, and measures between two marks."""

    def __init__(self, contestant: str, model: str, url: str, users: int, rate_rps: float, samples: str) -> None:
        self.users = users
        self.is_open = model == "open"
        self.is_lean = contestant == "lean"
        options = get_parser().parse_args(["--rate", str(rate_rps), "--accounts", "1", "--samples", samples])
        chosen = USERS[contestant][model]
        self.environment = Environment(user_classes=[chosen], events=events, host=url, parsed_options=options)
        self.runner: Any = self.environment.create_local_runner()
        self.told: list[tuple[float, float, int]] = []
        self._period_s = users / rate_rps
        if self.is_open and not self.is_lean:
            globals()["_period_s"] = self._period_s
            chosen.wait_time = constant_throughput(rate_rps / users)  # as documented
            events.request.add_listener(self._tell)  # type: ignore[no-untyped-call]

    def _tell(self, start_time: float, response_time: float, context: dict[str, int], **_: Any) -> None:
        self.told.append((start_time, response_time, context["user"]))

    def measure(self, warm_up_s: float, window_s: float) -> dict[str, Any]:
        """Requests, CPU (ns) and wall time (ns) of a window, and in an open one every latency and lateness (ms)."""
        self.told.clear()
        self.runner.start(self.users, spawn_rate=self.users)
        self.runner.spawning_greenlet.join()
        # as a trial does at its borders; before the warm-up, because what is due meanwhile is late
        gc.collect()
        gc.freeze()
        gevent.sleep(warm_up_s)
        total = self.environment.stats.total
        marks = [(time.monotonic_ns(), time.process_time_ns(), total.num_requests, time.time())]
        gevent.sleep(window_s)
        marks.append((time.monotonic_ns(), time.process_time_ns(), total.num_requests, time.time()))
        self.runner.stop()
        gc.unfreeze()
        wall_ns, cpu_ns, requests = (marks[1][place] - marks[0][place] for place in range(3))
        found = {"requests": requests, "cpu_ns": cpu_ns, "wall_ns": wall_ns, "failures": total.num_failures}
        if self.is_lean:
            found |= self._samples(marks[0][0], marks[1][0])
        if self.is_open and not self.is_lean:
            found |= self._latencies(marks[0][3], marks[1][3])
        return found

    def _samples(self, start_ns: int, end_ns: int) -> dict[str, Any]:
        shared = shared_of(self.environment)
        before_ns = time.process_time_ns()
        shared.recorder.write(Path(shared.options.samples))
        return {
            "start_ns": start_ns,
            "end_ns": end_ns,
            "recorded": len(shared.recorder),
            "counted": self.environment.stats.total.num_requests,
            "write_ns": time.process_time_ns() - before_ns,
        }

    def _latencies(self, start_s: float, end_s: float) -> dict[str, Any]:
        last: dict[int, tuple[float, float]] = {}
        latencies_ms, lateness_ms = [], []
        for started_s, latency_ms, user in sorted(self.told):
            if start_s <= started_s < end_s:
                latencies_ms.append(latency_ms)
                if user in last and last[user][1] < self._period_s * 1e3:
                    lateness_ms.append((started_s - last[user][0] - self._period_s) * 1e3)
            last[user] = started_s, latency_ms
        return {"latencies_ms": latencies_ms, "lateness_ms": lateness_ms}


def main(contestant: str, model: str, url: str, descriptor: str, users: str, rate_rps: str, samples: str) -> None:
    """Answer each line until there are no more."""
    window = Window(contestant, model, url, int(users), float(rate_rps), samples)
    with socket.socket(fileno=int(descriptor)) as line, line.makefile("rw") as stream:
        stream.write("ready\n")
        stream.flush()
        while asked := stream.readline():
            json.dump(window.measure(**json.loads(asked)), stream)
            stream.write("\n")
            stream.flush()
    window.runner.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
