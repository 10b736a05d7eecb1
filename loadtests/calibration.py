"""Known truth: the real generator against the calibration server, one law after the other.

What it leaves per law: samples.parquet, as any trial has, and calibration.json with the law, the truth and what the
server really gave. Judged by analysis.validation.
"""

from __future__ import annotations

import itertools
import json
import secrets
import socket
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from loadtests import control, pacing
from loadtests.calibration_laws import STALL_OFFSET_S, Law, responses_ns, service_times_ns
from loadtests.calibration_truth import QUANTILES, true_quantiles_ms
from loadtests.experiment import Load
from loadtests.generator import Generator
from loadtests.port_process import PortProcess
from loadtests.rates import Rate
from loadtests.run_folder import write_json
from loadtests.samples import MEASURED
from servers.users import user_name
from topology.cpu import Cores, pinned
from topology.reaper import Reaper

FORMAT = 1
ACCOUNTS = 1000
CANDIDATES = 24
"""Schedules that are looked at before the load begins; the most typical one is used."""
PROBES = 100
_WARM_UP_S = 0.5
_STEP_S = 10.0


def calibrate(law: Law, duration_s: float, folder: Path, reaper: Reaper, cores: Cores) -> None:
    """Drive the server of one law with Poisson arrivals and keep what was seen.

    Raises GeneratorError, ComponentError, OSError.
    """
    folder.mkdir(parents=True)
    truth = true_quantiles_ms(law)
    seed, typical = typical_seed(law, duration_s, truth)
    load = Load("browse", law.rate_rps, law.users, _WARM_UP_S, duration_s)
    generator = Generator(
        load, seed=seed, accounts=ACCOUNTS, folder=folder, environment=reaper.environment, cores=cores.generator,
        runtime=reaper.folder / f"control-{secrets.token_hex(4)}",
    )  # fmt: skip
    with (
        generator,
        PortProcess("loadtests.calibration_server", law.name, reaper=reaper, cores=cores.servers) as server,
    ):
        address = f"http://127.0.0.1:{server.port}"
        generator.step(control.LOG_IN, address, control.LOGGED_IN, within_s=_STEP_S, check=server.check)
        with pinned(cores.generator):
            advance_ns = path_ns(law, server.port)
        generator.step(control.WARM_UP, "", control.WARMED_UP, within_s=_STEP_S, check=server.check)
        first_due_ns = min(due_ns[0] for due_ns in schedules(law, duration_s, seed) if due_ns)
        server.tell(f"{advance_ns} {first_due_ns}")
        generator.step(control.MEASURE, "", control.MEASURED, within_s=duration_s + _STEP_S, check=server.check)
        counts = generator.finish()
        given = json.loads(server.end())
    write_json(
        folder / "calibration.json",
        {
            "format": FORMAT,
            "law": {**asdict(law), "atoms": [list(each) for each in (law.atoms or {}).items()]},
            "rate_rps": law.rate_rps,
            "duration_s": duration_s,
            "seed": repr(seed),
            "candidates": CANDIDATES,
            "quantiles": list(QUANTILES),
            "truth_ms": truth,
            "schedule_ms": typical,
            "locust_requests": counts["requests"],
            "advance_us": advance_ns / 1e3,
            "server": given,
        },
    )


def path_ns(law: Law, port: int) -> int:
    """How much later than asked an answer reaches a plain blocking socket: the median of `PROBES` requests, ns.

    The stated service times hold at the client's side of the socket, so the server answers earlier by this; what the
    generator adds of its own stays in what it measures.
    """
    over = []
    with socket.create_connection(("127.0.0.1", port), timeout=_STEP_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b'{"username": "probe"}'
        connection.sendall(b"POST /login HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        connection.recv(65536)
        for asked_ns in itertools.islice(service_times_ns(law, "probe"), PROBES):
            sent_ns = time.monotonic_ns()
            connection.sendall(b"GET /me HTTP/1.1\r\nHost: calibration\r\n\r\n")
            connection.recv(65536)
            over.append(time.monotonic_ns() - sent_ns - asked_ns)
    return max(0, round(statistics.median(over)))


def typical_seed(law: Law, duration_s: float, truth_ms: Iterable[float]) -> tuple[tuple[str, int], list[float]]:
    """The seed whose schedule is the most typical of its law, and the quantiles of a perfect client under it, ms.

    A p99.9 from some thousands of requests scatters by several percent with the luck of the arrivals, which says
    nothing about the generator. So, before anything runs, `CANDIDATES` schedules are worked through by Lindley's
    recursion, and the one whose quantiles lie nearest to the analytic ones is used (a balanced sample). What is then
    measured is compared with the analytic values alone.
    """
    truth = np.asarray(list(truth_ms))
    found = []
    for number in range(CANDIDATES):
        seed = (law.name, number)
        quantiles = schedule_quantiles_ms(law, duration_s, seed)
        found.append((float(np.max(np.abs(quantiles / truth - 1))), seed, [float(each) for each in quantiles]))
    _, seed, quantiles_ms = min(found)
    return seed, quantiles_ms


def schedule_quantiles_ms(law: Law, duration_s: float, seed: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Quantiles of the response times that a client without any delay of its own would see under this schedule, ms."""
    epoch_ns = round(STALL_OFFSET_S * 1e9)
    responses: list[int] = []
    for user, due_ns in enumerate(schedules(law, duration_s, seed)):
        draws = service_times_ns(law, user_name(user, ACCOUNTS))
        responses += responses_ns(law, due_ns, draws, epoch_ns)
    return np.asarray(np.quantile(responses, QUANTILES) / 1e6, dtype=np.float64)


def schedules(law: Law, duration_s: float, seed: object) -> Iterator[list[int]]:
    """When each user's requests are due in the measured phase, ns from its start."""
    for user in range(law.users):
        # the seed as the generator passes it on, and the phase beside it
        due_s = pacing.schedule("poisson", Rate(law.rate_rps), law.users, (repr(seed), MEASURED), user)
        yield [round(due * 1e9) for due in itertools.takewhile(lambda due: due < duration_s, due_s)]
