"""`make swarm-check`: does a rolling update on a swarm lose a request? `docker stack deploy`, load, update, count.

For token, and for session on Redis: the stack is deployed under a name of its own and reaches its replicas; users of
the scenario `counter` (reads, changes, and a ledger of what was acknowledged) send at a steady rate through the
balancer; every replica is replaced meanwhile; and what became of each request is counted from the users' own samples.

Exit status: 0 nothing was lost; 1 something was, or could not be measured; 2 bad input.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import pyarrow.compute as pc
import pyarrow.parquet as pq

from loadtests.samples import LOGIN, OK, OUTDATED, REFUSED, among, counts
from topology.binaries import BinaryError
from topology.process import ComponentError
from topology.swarm import engine
from topology.swarm.engine import docker
from topology.swarm.stack import Stack, Update

CASES = {"token": ("token", "memory"), "session": ("session", "redis")}
"""Scheme and store; the token's keeps none, so that none is asked."""
IMAGES = {"replica": "authscale:0.1.0", "load": "authscale-load:0.1.0"}
FORMAT = 1
_STEADY_S = 3.0
_SAMPLES = "/tmp/samples.parquet"  # noqa: S108 - of a container of its own
_STARTING_S, _STOP_S, _BUILD_S = 60.0, 30, 1800
_POLL_S = 0.2


@dataclass(frozen=True)
class Found:
    """What became of the requests of one case; all counts."""

    case: str
    replicas: int
    sent: int
    during_update: int
    failed: int
    refused: int
    outdated: int
    users_signed_out: int
    failed_sign_ins: int
    answered_by: int
    replaced: int
    update_state: str
    update_s: float

    @property
    def lost(self) -> int:
        """Requests that did not get what they had to."""
        return self.failed + self.refused + self.outdated + self.failed_sign_ins

    @property
    def reasons(self) -> list[str]:
        """Why the check has failed; empty when nothing was lost, and there was something to lose."""
        checks = {
            f"{self.lost} of {self.sent} requests were lost": self.lost > 0,
            f"{self.during_update} requests fell in the update": not self.during_update,
            f"{self.replaced} of {self.replicas} replicas were replaced": self.replaced != self.replicas,
            f"the update ended as {self.update_state}": self.update_state != "completed",
            f"{self.answered_by} of {self.replicas} replicas answered": self.answered_by != self.replicas,
        }
        return [reason for reason, failed in checks.items() if failed]


def main(argv: list[str] | None = None) -> int:
    """The command line; each failure is one line."""
    arguments = _parser().parse_args(argv)
    try:
        with engine.one_node():
            _build(arguments.network)
            found = [_checked(case, arguments) for case in arguments.cases]
    except BinaryError as error:
        return _fail(str(error), 2)
    except (ComponentError, OSError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; what it had started is gone", 130)
    _say(table(found))
    if arguments.out:
        cases = [{**asdict(each), "lost": each.lost, "reasons": each.reasons} for each in found]
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps({"format": FORMAT, "cases": cases}, indent=1) + "\n")
    return int(any(each.reasons for each in found))


def read(samples: Path, case: str, replicas: int, update: Update) -> Found:
    """Count the samples of one case. Raises OSError or pyarrow.ArrowInvalid on a missing or broken file."""
    table_ = pq.read_table(samples, columns=["started_ns", "ended_ns", "phase", "outcome", "replica", "user"])
    login, right = among(table_["phase"], LOGIN), among(table_["outcome"], OK)
    refused, outdated = among(table_["outcome"], REFUSED), among(table_["outcome"], OUTDATED)
    started, ended = table_["started_ns"].to_numpy(), table_["ended_ns"].to_numpy()
    # of one machine's monotonic clock, which containers share
    within = (started < update.ended_ns) & (ended > update.began_ns)
    return Found(
        case=case,
        replicas=replicas,
        sent=len(table_),
        during_update=int(within.sum()),
        failed=int((~login & ~right & ~refused & ~outdated).sum()),
        refused=int((~login & refused).sum()),
        outdated=int((~login & outdated).sum()),
        users_signed_out=len(pc.unique(table_["user"].filter(~login & refused))),
        failed_sign_ins=int((login & ~right).sum()),
        answered_by=len(counts(table_["replica"], right & ~login)),
        replaced=update.replaced,
        update_state=update.state,
        update_s=(update.ended_ns - update.began_ns) / 1e9,
    )


def table(found: list[Found]) -> str:
    """A few lines for a terminal: what was counted, and what zero lost of so many can at most mean."""
    head = ("", "replicas", "sent", "in the update", "failed", "refused", "outdated", "signed out", "replaced", "took")
    rows: list[tuple[str, ...]] = [head]
    for each in found:
        counted = (each.replicas, each.sent, each.during_update, each.failed, each.refused, each.outdated)
        rows.append(
            (each.case, *map(str, counted), str(each.users_signed_out), str(each.replaced), f"{each.update_s:.0f} s")
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    for each in found:
        if each.reasons:
            lines.append(f"{each.case}: FAILED: {'; '.join(each.reasons)}")
        else:  # the rule of three: Hanley and Lippman-Hand, JAMA 249 (1983)
            most = 3 / each.during_update
            lines.append(f"{each.case}: none lost; of the update's requests at most {most:.2%} (95 %)")
    return "\n".join(lines)


def _checked(case: str, arguments: argparse.Namespace) -> Found:
    scheme, store = CASES[case]
    name = f"authscale-check-{secrets.token_hex(3)}"
    environment = {
        "AUTH_SCHEME": scheme,
        "STORE": store,
        "REPLICAS": str(arguments.replicas),
        "ACCOUNTS": str(arguments.accounts),
        "UPDATE_ORDER": arguments.order,
        "HEALTH_INTERVAL": "1s",  # a swarm waits for it with each replica
    }
    say = _speaker(case)
    say(f"deploying {name}")
    with Stack(name, environment) as stack, tempfile.TemporaryDirectory() as folder:
        for service, count in (("valkey", 1), ("replica", arguments.replicas), ("balancer", 1)):
            stack.wait_for(service, count)
        say(f"{arguments.replicas} replicas serve; {arguments.rate:g} requests/s of {arguments.users} users")
        with _Load(stack, arguments) as load:
            load.wait_until_steady()
            say("updating")
            update = stack.update("replica")
            time.sleep(_STEADY_S)  # what an update leaves behind would be met now
            samples = load.finish(Path(folder))
        found = read(samples, case, arguments.replicas, update)
        say(f"{found.lost} of {found.sent} lost")
    return found


class _Load:
    """The users, in a container of the stack's own network; a context manager that leaves none."""

    def __init__(self, stack: Stack, arguments: argparse.Namespace) -> None:
        self._name, self._network = f"{stack.name}-load", f"{stack.name}_front"
        users = str(arguments.users)
        self._argv = (
            *("python", "-m", "locust", "-f", "loadtests/scenarios/counter.py", "--headless", "--only-summary"),
            *("--host", "http://balancer:8080", "--users", users, "--spawn-rate", users),
            *("--rate", str(arguments.rate), "--accounts", str(arguments.accounts), "--samples", _SAMPLES),
            *("--stop-timeout", "10", "--exit-code-on-error", "0"),
        )

    def __enter__(self) -> Self:
        """Start it; its users sign in."""
        hardened = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--env", "GEVENT_BACKEND=select")
        try:
            docker(
                "run",
                "--detach",
                "--name",
                self._name,
                "--network",
                self._network,
                *hardened,
                IMAGES["load"],
                *self._argv,
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", self._name)

    def wait_until_steady(self) -> None:
        """Return some seconds after every user has begun. Raises ComponentError."""
        deadline = time.monotonic() + _STARTING_S
        while "All users spawned" not in self._log():
            if time.monotonic() > deadline or not self._runs():
                raise ComponentError(f"the load did not start; its last log lines:\n  {self._log()[-600:]}")
            time.sleep(_POLL_S)
        time.sleep(_STEADY_S)

    def finish(self, folder: Path) -> Path:
        """End it, and fetch its samples. Raises ComponentError."""
        if not self._runs():
            raise ComponentError(f"the load died; its last log lines:\n  {self._log()[-600:]}")
        docker("stop", "--time", str(_STOP_S), self._name)
        docker("cp", f"{self._name}:{_SAMPLES}", str(folder / "samples.parquet"))
        return folder / "samples.parquet"

    def _runs(self) -> bool:
        return docker("inspect", "--format", "{{.State.Running}}", self._name).strip() == "true"

    def _log(self) -> str:
        return docker("logs", self._name, both=True)


def _build(network: str) -> None:
    _say("making the images ready, which takes minutes the first time")
    for target, image in IMAGES.items():
        docker("build", "--quiet", "--network", network, "--target", target, "--tag", image, ".", within_s=_BUILD_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.swarm_check", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cases", type=_cases, default=list(CASES), help=f"comma-separated: {', '.join(CASES)} (all)")
    parser.add_argument(
        "--replicas", type=int, default=4, choices=range(1, 65), metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--rate", type=float, default=200, help="requests per second (default: %(default)s)")
    parser.add_argument("--users", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--accounts", type=int, default=1000, help="default: %(default)s")
    parser.add_argument(
        "--order", choices=("start-first", "stop-first"), default="start-first",
        help="of the update; stop-first with one replica shows what a loss looks like",
    )  # fmt: skip
    parser.add_argument("--network", default="default", help="of the build: host, where only that reaches the index")
    parser.add_argument("--out", type=Path, help="write what was counted to this file, too (JSON)")
    return parser


def _cases(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in CASES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is unknown; there are: {', '.join(CASES)}")
    return text.split(",")


def _speaker(case: str) -> Callable[[str], None]:
    return lambda what: _say(f"{case}: {what}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"authscale: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
