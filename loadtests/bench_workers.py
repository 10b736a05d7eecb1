"""What several Locust workers can send together: `python -m loadtests.bench_workers`, which is `make bench-workers`.

One worker, two, four, each pinned to a core of its own, in a closed loop without think time against HAProxy that
answers by itself (`topology.components.instant`). The lean client costs little more than that server; where the two
must share cores it is the stock client (`http`) that shows what workers gain with a server that costs next to nothing
beside it. Every client with every number of workers is in every round, in random order, and ratios are of the same
round. Beside them stands what as many processes gain that only compute: more no generator can gain. What limits is
named by what was busy. Docs: docs/distributed.md.
Exit status: 0 measured; 1 something died or was miscounted; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loadtests import control, machine, provenance
from loadtests.bench_generator import estimate
from loadtests.client import CLIENTS
from loadtests.experiment import Load
from loadtests.gates import read_sent
from loadtests.generator import Generator, GeneratorError
from loadtests.pacing import CLOSED
from loadtests.samples import MEASURED, among
from loadtests.workers import workers_of
from servers.users import user_name
from topology import cpu
from topology.binaries import BinaryError
from topology.components.instant import instant
from topology.ports import LOOPBACK, NoFreePortError, free_ports
from topology.process import ComponentError, RunningComponent
from topology.reaper import Reaper

FORMAT = 1
FULL = 0.85
"""Of what there is, as `limits.FULL`."""
_STEP_S = 60.0
_COMPUTE_S = 0.3
_COMPUTING = """
import sys, time
began, steps = time.perf_counter(), 0
while time.perf_counter() < began + float(sys.argv[1]):
    sum(range(1000))
    steps += 1
print(steps / (time.perf_counter() - began))
"""
_WHAT = {
    "machine_share": "the machine's cores",
    "server_share": "the server's one core",
    "busiest_worker_share": "the core of a worker",
}


@dataclass(frozen=True)
class Plan:
    """What is measured: clients, numbers of workers, rounds, seconds of each window, users of all workers together."""

    counts: tuple[int, ...]
    clients: tuple[str, ...] = ("lean", "http")
    rounds: int = 10
    seconds: float = 2.0
    users: int = 40
    seed: int = 1


@dataclass(frozen=True)
class Window:
    """What so many workers did in one window; shares are of a core, those of the machine of all its cores.

    `cpu_us_per_request` is of workers and master together, `server_us_per_request` and `server_share` are the instant
    server's. `machine_share` counts whatever ran, steal included, and `ours_share` what of that is in generator and
    server. `computed_per_s` is what as many processes on the same cores counted that do nothing but count.
    """

    rps: float
    requests: int
    cpu_us_per_request: float
    server_us_per_request: float
    busiest_worker_share: float
    server_share: float
    machine_share: float
    ours_share: float
    computed_per_s: float


def main(argv: list[str] | None = None) -> int:
    """Measure, write the JSON, print the table; every failure that a user can meet is one line."""
    arguments = _parser().parse_args(argv)
    given = vars(arguments)
    plan = Plan(**{name: given[name] for name in given if name != "out"})
    if min(*plan.counts, plan.rounds) < 1 or plan.seconds <= 0 or plan.users < max(plan.counts):
        return _fail("counts, rounds and seconds must be above 0, and users as many as workers", 2)
    if unknown := set(plan.clients) - set(CLIENTS):
        return _fail(f"there is no client {' '.join(sorted(unknown))}, but: {', '.join(CLIENTS)}", 2)
    try:
        record = measure(plan)
        out = Path(arguments.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = out.with_suffix(".tmp")
        draft.write_text(json.dumps(record, indent=2) + "\n")
        draft.rename(out)
    except (BinaryError, ComponentError, GeneratorError, NoFreePortError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename or arguments.out}", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", 130)
    sys.stdout.write(table(record) + f"\nwritten to {arguments.out}\n")
    return 0


def measure(plan: Plan) -> dict[str, Any]:
    """Run all rounds and return the record that is written. Raises what a component or a generator raises."""
    with Reaper() as reaper:
        (port,) = free_ports(1)
        component = instant(
            port, username=user_name(0, 1), config=reaper.folder / "instant.cfg", admin_socket=reaper.folder / "admin"
        )
        server = RunningComponent(component, reaper.folder / "instant.log", reaper, frozenset())
        try:
            server.wait_ready()
            rounds = _rounds(plan, _Target(server, f"http://{LOOPBACK}:{port}", reaper))
        finally:
            server.stop()
    least = plan.counts[0]
    return {
        "format": FORMAT,
        "plan": asdict(plan),
        "clients": {
            client: {
                str(count): figures([each[client, count] for each in rounds], [each[client, least] for each in rounds])
                for count in plan.counts
            }
            for client in plan.clients
        },
        "least": least,
        "rounds": [
            {f"{client}-{count}": asdict(window) for (client, count), window in each.items()} for each in rounds
        ],
        "versions": provenance.software(["haproxy"]),
        "machine": provenance.machine(cpu.Cores(frozenset(), frozenset())),
    }


@dataclass(frozen=True)
class _Target:
    """What the load goes to."""

    server: RunningComponent
    url: str
    reaper: Reaper


def _rounds(plan: Plan, target: _Target) -> list[dict[tuple[str, int], Window]]:
    chance = random.Random(plan.seed)  # noqa: S311 - an order that can be repeated, not a secret
    made = []
    for number in range(1, plan.rounds + 1):
        order = list(itertools.product(plan.clients, plan.counts))
        chance.shuffle(order)
        made.append({each: _window(plan, *each, target, number) for each in order})
    return made


def _window(plan: Plan, client: str, count: int, target: _Target, number: int) -> Window:
    """One generator from its start to its end, on its own cores; the server is on the others, if any are left."""
    load = Load("browse", 0.0, plan.users, 0.3, plan.seconds, model=CLOSED, client=client, workers=count)
    own, server, reaper = _cores()[:count], target.server, target.reaper
    if own:
        os.sched_setaffinity(server.pid, set(_cores()) - set(own) or own)
    computed = _computed(count, own)
    folder = reaper.folder / f"{number}-{client}-{count}"
    folder.mkdir()
    with Generator(
        load, seed=1, accounts=1, folder=folder, environment=reaper.environment, cores=frozenset(own),
        runtime=folder / "control",
    ) as generator:  # fmt: skip
        generator.step(control.LOG_IN, target.url, control.LOGGED_IN, within_s=_STEP_S, check=server.check)
        generator.step(control.WARM_UP, "", control.WARMED_UP, within_s=_STEP_S, check=server.check)
        idle = machine.cpu_times()
        before = time.monotonic_ns(), generator.cpu_ns(), server.usage().cpu_ns
        generator.step(control.MEASURE, "", control.MEASURED, within_s=plan.seconds + _STEP_S, check=server.check)
        after = time.monotonic_ns(), generator.cpu_ns(), server.usage().cpu_ns
        shares = machine.cpu_times().since(idle)
        counts, files = generator.finish(), generator.sample_files
    sent, spread = read_sent(*files), workers_of(counts, files)
    if sent.recorded != counts["requests"] or counts["failures"]:
        raise GeneratorError(
            f"{count} workers recorded {sent.recorded} of {counts['requests']} requests, {counts['failures']} failed"
        )
    began = [each["measured_from_ns"] for each in counts.get("workers", [counts])]
    answered = sum(_answered(path, from_ns, plan.seconds) for path, from_ns in zip(files, began, strict=True))
    length_ns, own_ns, server_ns = (later - sooner for sooner, later in zip(before, after, strict=True))
    return Window(
        rps=answered / plan.seconds,
        requests=answered,
        cpu_us_per_request=own_ns / 1e3 / sent.sent,
        server_us_per_request=server_ns / 1e3 / sent.sent,
        busiest_worker_share=max([each.cpu_share for each in spread] or [counts["cpu_share"]]),
        server_share=server_ns / length_ns,
        machine_share=shares["busy_share"] + shares["steal_share"],
        ours_share=(own_ns + server_ns) / length_ns / (os.cpu_count() or 1),
        computed_per_s=computed,
    )


def _cores() -> list[int]:
    """The cores that this process may use; none where the system cannot pin."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _computed(count: int, cores: Sequence[int]) -> float:
    """Steps a second of `count` processes together that only compute, each pinned as a worker is."""
    started = []
    for number in range(count):
        with cpu.pinned(frozenset({cores[number % len(cores)]} if cores else ())):
            started.append(
                subprocess.Popen([sys.executable, "-c", _COMPUTING, str(_COMPUTE_S)], stdout=subprocess.PIPE, text=True)
            )
    return sum(float(each.communicate()[0]) for each in started)


def _answered(path: Path, from_ns: int, seconds: float) -> int:
    """Answers of one worker within the measured phase, by its own clock."""
    table = pq.read_table(path, columns=["phase", "ended_ns"])
    return int((among(table["phase"], MEASURED) & (table["ended_ns"].to_numpy() <= from_ns + seconds * 1e9)).sum())


def figures(windows: Sequence[Window], least: Sequence[Window]) -> dict[str, Any]:
    """What so many workers did in all rounds, each figure with its ratio to that of the `least` in the same round."""
    found: dict[str, Any] = {}
    for name in ("rps", "cpu_us_per_request", "server_us_per_request", "computed_per_s"):
        values = [getattr(window, name) for window in windows]
        ratios = [value / getattr(other, name) for value, other in zip(values, least, strict=True)]
        found[name] = estimate(values) | {"ratio": estimate(ratios)}
    return found | {"limited_by": limited_by(windows)}


def limited_by(windows: Sequence[Window]) -> str:
    """What was full in the median window: the machine's cores, the server, each worker's core, or nothing of these."""
    median = {name: statistics.median(getattr(window, name) for window in windows) for name in (*_WHAT, "ours_share")}
    full = next((_WHAT[name] for name in _WHAT if median[name] >= FULL), "none of what was measured")
    others = max(0.0, median["machine_share"] - median["ours_share"])
    shares = ", ".join(f"{_WHAT[name]} {median[name]:.0%}" for name in _WHAT)
    return f"{full} ({shares}; other programs {others:.0%} of the machine)"


def table(record: dict[str, Any]) -> str:
    """The record as text."""
    plan, cores = record["plan"], record["machine"]["cores"]
    how = f"{plan['rounds']} rounds of {plan['seconds']:g} s, {plan['users']} users, closed loop"
    over = f"over {record['least']}"
    head = f"{'client':6} {'workers':>7} {'requests/s':>10} {over:>21} {'CPU us':>6} {over:>21} {'server':>6} "
    lines = [f"workers together, {how}, {cores} cores, 95 % intervals", head + f"{f'computing {over}':>21}"]
    named = [(client, count, found) for client, each in record["clients"].items() for count, found in each.items()]
    for client, count, found in named:
        rps, cpu_us, server_us, computed = (
            found[name] for name in ("rps", "cpu_us_per_request", "server_us_per_request", "computed_per_s")
        )
        lines.append(
            f"{client:6} {count:>7} {rps['value']:10,.0f} {_told(rps['ratio']):>21} {cpu_us['value']:6.0f} "
            f"{_told(cpu_us['ratio']):>21} {server_us['value']:6.1f} {_told(computed['ratio']):>21}"
        )
    lines += [f"full, {client} with {count}: {found['limited_by']}" for client, count, found in named]
    return "\n".join(lines)


def _told(ratio: dict[str, Any]) -> str:
    interval = "" if ratio["low"] is None else f" ({ratio['low']:.3g} to {ratio['high']:.3g})"
    return f"{ratio['value']:.3g}{interval}"


def _fail(message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"authscale: {message}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    # fewer than there are cores, but two: more share a core, and tell nothing of what one more core would bring
    plan = Plan(tuple(count for count in (1, 2, 4, 8) if count <= max(2, len(_cores()))))
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_workers", description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="results/bench-workers.json", help="where the figures go")
    parser.add_argument("--clients", type=_names, default=plan.clients, help=f"of {', '.join(CLIENTS)}")
    parser.add_argument("--counts", type=_counts, default=plan.counts, help="numbers of workers, the first to compare")
    parser.add_argument("--rounds", type=int, default=plan.rounds, help="how often every number is measured")
    parser.add_argument("--seconds", type=float, default=plan.seconds, help="of each window")
    parser.add_argument("--users", type=int, default=plan.users, help="of all workers together")
    parser.add_argument("--seed", type=int, default=plan.seed, help="of the order")
    return parser


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
