"""Every request counted by each who met it, and every octet beside an independent capture.

A small load through the capturing proxy to the balancer and two replicas, whose own access logs are on. Leaves
samples.parquet, the capture, the replicas' logs, and accounting.json with the counts. Judged by analysis.validation.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from loadtests import control
from loadtests.capturing_proxy import capturing, read_capture
from loadtests.experiment import Load
from loadtests.generator import Generator
from loadtests.run_folder import write_json
from topology.cpu import Cores
from topology.local import Accounts, running
from topology.reaper import Reaper
from topology.spec import Topology

FORMAT = 1
# Granian's own log of what it served: one line per request, written by the replica's process.
TOPOLOGY = Topology("session", "redis", 2, settings={"GRANIAN_LOG_ACCESS_ENABLED": "true"})
_SERVED = re.compile(r'"[A-Z]+ (/\S*) ')
_PROBE = "/healthz"
_STEP_S = 20.0
_WARM_UP_S = 0.3


def account(duration_s: float, accounts: Accounts, users: int, folder: Path, reaper: Reaper, cores: Cores) -> None:
    """Run it and write accounting.json. Raises GeneratorError, ComponentError, OSError."""
    folder.mkdir(parents=True)
    load = Load("mixed", 150, 10, _WARM_UP_S, duration_s)
    generator = Generator(
        load, seed=1, accounts=users, folder=folder, environment=reaper.environment, cores=cores.generator,
        runtime=reaper.folder / f"control-{secrets.token_hex(4)}",
    )  # fmt: skip
    logs = folder / "logs"
    with generator, running(TOPOLOGY, accounts, logs=logs, reaper=reaper, cores=cores.servers) as servers:
        before = servers.balancer_requests()
        with capturing(int(servers.url.rpartition(":")[2]), folder / "capture", reaper, cores.servers) as proxy:
            address, within_s = f"http://127.0.0.1:{proxy.port}", duration_s + _STEP_S
            generator.step(control.LOG_IN, address, control.LOGGED_IN, within_s=_STEP_S, check=servers.check)
            generator.step(control.WARM_UP, "", control.WARMED_UP, within_s=_STEP_S, check=servers.check)
            generator.step(control.MEASURE, "", control.MEASURED, within_s=within_s, check=servers.check)
            counts = generator.finish()
            proxy.end()
        capture = read_capture(folder / "capture")
        after = servers.balancer_requests()
        names = list(servers.replica_urls)
    write_json(
        folder / "accounting.json",
        {
            "format": FORMAT,
            "topology": TOPOLOGY.id,
            "scenario": load.scenario,
            "locust": counts["requests"],
            "balancer": {name: after[name] - before[name] for name in after},
            # read when the replicas have ended, so that the last line is there
            "replicas": {name: served(logs / f"{name}.log") for name in names},
            "capture": {
                "requests": capture.requests,
                "sent_bytes": sum(map(len, capture.sent)),
                "received_bytes": sum(map(len, capture.received)),
            },
        },
    )


def served(log: Path) -> int:
    """Requests in a replica's access log, without the launcher's probes."""
    return sum(path != _PROBE for path in _SERVED.findall(log.read_text()))
