"""Bytes against an independent capture: a proxy of plain sockets between the generator and the balancer."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loadtests import control
from loadtests.capturing_proxy import CapturingProxy
from loadtests.experiment import Load
from loadtests.generator import Generator
from servers import users
from topology.local import Accounts, make_secret, running
from topology.reaper import Reaper
from topology.spec import Topology

pytestmark = pytest.mark.bench


@pytest.mark.parametrize(
    ("topology", "name"),
    [
        (Topology("control", "none", 1), None),
        (Topology("session", "redis", 2), b"cookie"),
        (Topology("token", "none", 2), b"authorization"),
        (Topology("hybrid", "redis", 2), b"authorization"),
        (Topology("signed_cookie", "none", 2), b"cookie"),
    ],
    ids=lambda value: value.scheme if isinstance(value, Topology) else "",
)
@pytest.mark.parametrize("scenario", ["browse", "mixed"])
def test_bytes_are_those_of_the_capture(topology: Topology, name: bytes | None, scenario: str, tmp_path: Path):
    load = Load(scenario=scenario, rate_rps=100, users=8, warm_up_s=0.2, duration_s=1.0)
    with Reaper() as reaper:
        accounts = Accounts(tmp_path / "users.db", tmp_path / "secret")
        make_secret(accounts.secret_file)
        users.seed(accounts.users_db, 20, users.HashCost.parse("fast"))
        generator = Generator(
            load, seed=1, accounts=20, folder=tmp_path, environment=reaper.environment, cores=frozenset(),
            runtime=reaper.folder / "control",
        )  # fmt: skip
        with (
            generator,
            running(topology, accounts, logs=tmp_path / "logs", reaper=reaper) as servers,
            CapturingProxy(int(servers.url.rpartition(":")[2]), tmp_path / "capture", reaper) as proxy,
        ):
            for signal, until in (
                (control.LOG_IN, control.LOGGED_IN),
                (control.WARM_UP, control.WARMED_UP),
                (control.MEASURE, control.MEASURED),
            ):
                text = f"http://127.0.0.1:{proxy.port}" if signal == control.LOG_IN else ""
                generator.step(signal, text, until, within_s=10, check=servers.check)
            counts = generator.finish()
            capture = proxy.finish()
    samples = pq.read_table(generator.samples).to_pandas()
    sent, received = (b"".join(parts) for parts in (capture.sent, capture.received))
    assert capture.requests == counts["requests"]
    assert len(samples) == counts["requests"] > 60
    assert samples["request_head_bytes"].sum() + samples["request_body_bytes"].sum() == len(sent)
    assert samples["response_head_bytes"].sum() + samples["response_body_bytes"].sum() == len(received)
    assert sorted(samples["credential_bytes"][samples["credential_bytes"] > 0]) == sorted(_lines(sent, name))
    if scenario == "mixed":
        assert {"me", "profile", "logout", "login"} <= set(samples["operation"])
    assert set(samples["outcome"]) == {"ok"}


def _lines(sent: bytes, name: bytes | None) -> list[int]:
    """Lengths on the wire, CRLF included, of every header line called `name`."""
    return [len(line) for line in sent.splitlines(keepends=True) if line.lower().partition(b":")[0] == name]
