"""What the generator itself costs: `python -m loadtests.bench_generator`, which is what `make bench-generator` calls.

The lean client, stock FastHttpUser and HttpUser, and wrk or wrk2 where installed, one after the other against the same
instant server, in rounds of random order. Ratios are of windows of the same round. Docs: docs/methodology.md.
Exit status: 0 measured; 1 something died; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from scipy import special

from loadtests import provenance
from loadtests.contestants import ContestantError, Course, LocustContestant, Window, Wrk, wrk_version
from servers.users import user_name
from topology import cpu
from topology.binaries import BinaryError
from topology.components.instant import instant
from topology.ports import LOOPBACK, NoFreePortError, free_ports
from topology.process import ComponentError, RunningComponent
from topology.reaper import Reaper

FORMAT = 1
LEAN, FAST, HTTP = "lean", "fasthttp", "http"
MODELS = ("closed", "open")
_TOOLS = {"wrk": ("closed",), "wrk2": MODELS}  # wrk has no rate
_PACKAGES = ("geventhttpclient", "requests", "urllib3")
_WARM_UP_S = 0.3
_CONFIDENCE = 0.95
RPS_AT_LEAST, FLOOR_AT_MOST = 2.5, 1 / 3

Contestant = LocustContestant | Wrk
Rounds = list[dict[tuple[str, str], Window]]


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds, seconds of each window, users (or connections) and the rate of open windows.

    `open_users` are few because Locust's pacing keeps them apart only then: 40 users of FastHttpUser end in step, wait
    for one another's turn in the process, and have a p50 of 4 ms where 10 have 0.8 ms.
    """

    rounds: int = 7
    window_s: float = 1.2
    users: int = 40
    open_users: int = 10
    rate_rps: float = 1000.0
    seed: int = 1


def main(argv: list[str] | None = None) -> int:
    """Measure, write the JSON, print the table; every failure that a user can meet is one line."""
    arguments = _parser().parse_args(argv)
    plan = Plan(
        arguments.rounds, arguments.seconds, arguments.users, arguments.open_users, arguments.rate, arguments.seed
    )
    if min(plan.rounds, plan.users, plan.open_users) < 1 or min(plan.window_s, plan.rate_rps) <= 0:
        return _fail("rounds, seconds, users and rate must be above 0", 2)
    try:
        record = measure(plan)
        out = Path(arguments.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = out.with_suffix(".tmp")
        draft.write_text(json.dumps(record, indent=2) + "\n")
        draft.rename(out)
    except (BinaryError, ComponentError, ContestantError, NoFreePortError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename or arguments.out}", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", 130)
    sys.stdout.write(table(record) + f"\nwritten to {arguments.out}\n")
    return 0


def measure(plan: Plan) -> dict[str, Any]:
    """Run all rounds and return the record that is written. Raises what a component or a contestant raises."""
    cores = cpu.divide_cores()
    tools = {tool: models for tool, models in _TOOLS.items() if shutil.which(tool)}
    versions = provenance.software(["haproxy"])
    versions["packages"] |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    versions["binaries"] |= {tool: {"path": shutil.which(tool), "version": wrk_version(tool)} for tool in tools}
    machine = provenance.machine(cores)
    with Reaper() as reaper:
        (port,) = free_ports(1)
        component = instant(
            port, username=user_name(0, 1), config=reaper.folder / "instant.cfg", admin_socket=reaper.folder / "admin"
        )
        server = RunningComponent(component, reaper.folder / "instant.log", reaper, cores.servers)
        try:
            server.wait_ready()
            rounds = _rounds(plan, f"http://{LOOPBACK}:{port}", tools, cores.generator, reaper)
        finally:
            server.stop()
    return _record(plan, rounds) | {
        "not_installed": sorted(set(_TOOLS) - set(tools)), "versions": versions, "machine": machine,
    }  # fmt: skip


def _rounds(plan: Plan, url: str, tools: dict[str, tuple[str, ...]], cores: frozenset[int], reaper: Reaper) -> Rounds:
    users = {"closed": plan.users, "open": plan.open_users}
    courses = {model: Course(url, users[model], plan.rate_rps, cores, reaper.folder) for model in MODELS}
    with contextlib.ExitStack() as stack:
        locusts = [
            stack.enter_context(LocustContestant(name, model, courses[model], reaper.environment))
            for name in (LEAN, FAST, HTTP)
            for model in MODELS
        ]
        for each in locusts:
            each.wait_ready()
        contestants: list[Contestant] = [*locusts]
        contestants += [Wrk(tool, model, courses[model]) for tool, models in tools.items() for model in models]
        for first in locusts:  # what a process does for the first time only
            first.window(0.0, min(0.2, plan.window_s))
        chance = random.Random(plan.seed)  # noqa: S311 - an order that can be repeated, not a secret
        rounds: Rounds = []
        for number in range(plan.rounds):
            chance.shuffle(contestants)
            _say(f"round {number + 1} of {plan.rounds}")
            rounds.append({(each.name, each.model): each.window(_WARM_UP_S, plan.window_s) for each in contestants})
        _say("")
        return rounds


def _record(plan: Plan, rounds: Rounds) -> dict[str, Any]:
    kinds = sorted(rounds[0])
    contestants: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        windows = [each[kind] for each in rounds]
        contestants.setdefault(kind[0], {})[kind[1]] = {
            name: estimate([figure(window) for window in windows]) for name, figure in _figures(*kind).items()
        }
    ratios = {
        f"{name}_vs_fasthttp": {
            "rps_per_core": _ratio(rounds, (name, "closed"), (FAST, "closed"), lambda window: window.rps_per_core),
            "rps": _ratio(rounds, (name, "closed"), (FAST, "closed"), lambda window: window.rps),
        }
        for name, model in kinds
        if model == "closed" and name != FAST
    }
    rps = ratios[f"{LEAN}_vs_fasthttp"]["rps_per_core"]
    floor = _ratio(rounds, (LEAN, "open"), (FAST, "open"), lambda window: window.latency_ms(0.5))
    lean = contestants[LEAN]["open"]
    writes = [window.write_ns_per_sample or 0.0 for each in rounds for key, window in each.items() if key[0] == LEAN]
    return {
        "format": FORMAT,
        "rps_vs_fasthttpuser": rps["value"],
        "floor_p50_vs_fasthttpuser": floor["value"],
        "floor_p50_ms": lean["p50_ms"]["value"],
        "floor_p99_ms": lean["p99_ms"]["value"],
        "floor_lateness_p99_ms": lean["lateness_p99_ms"]["value"],
        "intervals": {
            "rps_vs_fasthttpuser": rps, "floor_p50_vs_fasthttpuser": floor,
            "floor_p50_ms": lean["p50_ms"], "floor_p99_ms": lean["p99_ms"],
            "floor_lateness_p99_ms": lean["lateness_p99_ms"],
        },
        "requirements": [
            _requirement("rps_vs_fasthttpuser", rps["value"], at_least=RPS_AT_LEAST),
            _requirement("floor_p50_vs_fasthttpuser", floor["value"], at_most=FLOOR_AT_MOST),
        ],
        "ratios": ratios,
        "contestants": contestants,
        "parquet_write_us_per_sample": min(writes) / 1e3,
        "plan": {**vars(plan), "warm_up_s": _WARM_UP_S},
    }  # fmt: skip


def _figures(name: str, model: str) -> dict[str, Callable[[Window], float]]:
    figures: dict[str, Callable[[Window], float]] = {
        "rps_per_core": lambda window: window.rps_per_core,
        "rps": lambda window: window.rps,
    }
    if model == "open":
        figures |= {
            "p50_ms": lambda window: window.latency_ms(0.5),
            "p99_ms": lambda window: window.latency_ms(0.99),
        }
        if name not in _TOOLS:
            figures["lateness_p99_ms"] = lambda window: window.lateness_p99_ms
    return figures


def _ratio(
    rounds: Rounds, over: tuple[str, str], under: tuple[str, str], figure: Callable[[Window], float]
) -> dict[str, Any]:
    return estimate([figure(each[over]) / figure(each[under]) for each in rounds])


def estimate(values: Sequence[float]) -> dict[str, Any]:
    """The geometric mean over rounds with Student's t interval on the logarithms; no interval for one round."""
    logs = [math.log(max(value, 1e-9)) for value in values]
    mean = sum(logs) / len(logs)
    low = high = None
    if len(logs) > 1:
        deviation = math.sqrt(sum((each - mean) ** 2 for each in logs) / (len(logs) - 1))
        half = float(special.stdtrit(len(logs) - 1, (1 + _CONFIDENCE) / 2)) * deviation / math.sqrt(len(logs))
        low, high = math.exp(mean - half), math.exp(mean + half)
    return {"value": math.exp(mean), "low": low, "high": high, "by_round": list(values)}


def _requirement(name: str, value: float, *, at_least: float = 0.0, at_most: float = math.inf) -> dict[str, Any]:
    limit = at_least or at_most
    return {"name": name, "passed": at_least <= value <= at_most, "value": value, "limit": limit}


_NAMES = {LEAN: "lean client, recording", FAST: "FastHttpUser", HTTP: "HttpUser", "wrk": "wrk", "wrk2": "wrk2"}


def table(record: dict[str, Any]) -> str:
    """The record as a table of 80 columns."""
    plan, contestants = record["plan"], record["contestants"]
    names = [name for name in _NAMES if name in contestants]
    lines = [
        f"generator alone, {plan['rounds']} rounds of {plan['window_s']:g} s, {plan['users']} users, 95 % intervals",
        "",
        f"{'closed loop':24} {'requests/s per core':>20} {'over FastHttpUser':>22} {'requests/s':>11}",
    ]
    for name in names:
        closed = contestants[name]["closed"]
        ratio = record["ratios"].get(f"{name}_vs_fasthttp", {}).get("rps_per_core")
        lines.append(
            f"{_NAMES[name]:24} {closed['rps_per_core']['value']:20,.0f} "
            f"{_with_interval(ratio) if ratio else '1':>22} {closed['rps']['value']:11,.0f}"
        )
    title = f"open, {plan['rate_rps']:g}/s by {plan['open_users']}"
    lines += ["", f"{title:24} {'p50 ms':>13} {'p99 ms':>13} {'late p99 ms':>13} {'rate':>13}"]
    for name in names:
        if "open" in contestants[name]:
            figures = contestants[name]["open"]
            lines.append(
                f"{_NAMES[name]:24} "
                + " ".join(_cell(figures.get(each), 3) for each in ("p50_ms", "p99_ms", "lateness_p99_ms"))
                + f" {_cell(figures['rps'], 0)}"
            )
    lines.append("")
    for each in record["requirements"]:
        what, word = {
            "rps_vs_fasthttpuser": ("requests per core over FastHttpUser's", "at least"),
            "floor_p50_vs_fasthttpuser": ("latency floor p50 over FastHttpUser's", "at most"),
        }[each["name"]]
        interval = _with_interval(record["intervals"][each["name"]])
        lines.append(f"{'met' if each['passed'] else 'NOT MET':8} {what} {word} {each['limit']:.3g}: {interval}")
    lines.append(f"writing samples, after the load: {record['parquet_write_us_per_sample']:.1f} us of CPU each")
    if record["not_installed"]:
        lines.append(f"not installed, so not measured: {', '.join(record['not_installed'])}")
    return "\n".join(lines)


def _with_interval(estimate: dict[str, Any]) -> str:
    value = f"{estimate['value']:.3g}"
    return value if estimate["low"] is None else f"{value} ({estimate['low']:.3g} to {estimate['high']:.3g})"


def _cell(estimate: dict[str, Any] | None, digits: int) -> str:
    return f"{'-':>13}" if estimate is None else f"{estimate['value']:13,.{digits}f}"


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:20}\r" if text else f"\r{'':20}\r")
        sys.stderr.flush()


def _fail(message: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"authscale: {message}\n")
    return status


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"authscale: {message}\n")


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = _OneLineParser(prog="python -m loadtests.bench_generator", description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="results/bench-generator.json", help="where the figures go")
    parser.add_argument("--rounds", type=int, default=plan.rounds, help="how often every contestant is measured")
    parser.add_argument("--seconds", type=float, default=plan.window_s, help="of each window")
    parser.add_argument("--users", type=int, default=plan.users, help="users, or connections")
    parser.add_argument("--open-users", type=int, default=plan.open_users, help="the same in open windows")
    parser.add_argument("--rate", type=float, default=plan.rate_rps, help="requests per second of open windows")
    parser.add_argument("--seed", type=int, default=plan.seed, help="of the order")
    return parser


if __name__ == "__main__":
    sys.exit(main())
