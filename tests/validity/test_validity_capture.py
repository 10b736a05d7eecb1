"""Bytes against an independent capture: a proxy of plain sockets between the generator and the balancer."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from loadtests import control
from loadtests.capturing_proxy import capturing, read_capture
from loadtests.client import CLIENTS
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
    (captured,) = _captured(topology, tmp_path, Load(scenario, rate_rps=100, users=8, warm_up_s=0.2, duration_s=1.0))
    samples = captured.samples
    _octets_are_those_of(captured)
    assert sorted(samples["credential_bytes"][samples["credential_bytes"] > 0]) == sorted(_lines(captured.sent, name))
    if scenario == "mixed":
        assert {"me", "profile", "logout", "login"} <= set(samples["operation"])
    assert set(samples["outcome"]) == {"ok"}


@pytest.mark.parametrize(
    "topology",
    [Topology("session", "redis", 2), Topology("token", "none", 1, options={"tls": "on"})],
    ids=lambda value: value.id,
)
def test_every_client_sends_the_same_and_counts_what_it_sent(topology: Topology, tmp_path: Path):
    tls = "tls" in topology.options
    loads = [Load("mixed", rate_rps=80, users=8, warm_up_s=0.2, duration_s=1.0, client=client) for client in CLIENTS]
    lean, *stock = _captured(topology, tmp_path, *loads, proxied=not tls)
    for captured in (lean, *stock):
        assert captured.locust_requests == len(captured.samples) > 60  # Locust's event, once for each
        assert set(captured.samples["outcome"]) == {"ok"}
        if not tls:  # the capture sees only records of it
            _octets_are_those_of(captured)
    facts = ["operation", "status", "response_head_bytes", "response_body_bytes", "credential_bytes"]
    for captured in stock:
        assert Counter(_rows(captured, facts)) == Counter(_rows(lean, facts))
        assert captured.samples["request_body_bytes"].sum() == lean.samples["request_body_bytes"].sum()
        assert captured.samples["request_head_bytes"].sum() > lean.samples["request_head_bytes"].sum()
        assert (captured.samples["first_byte_ns"] > captured.samples["started_ns"]).all()
        assert (~captured.samples["connection_reused"]).sum() == 8


@dataclass(frozen=True)
class _Captured:
    samples: pd.DataFrame
    locust_requests: int
    sent: bytes
    received: bytes


def _captured(topology: Topology, folder: Path, *loads: Load, proxied: bool = True) -> list[_Captured]:
    """What each load's samples say, and what a proxy saw of it, on the same servers."""
    made = []
    with Reaper() as reaper:
        accounts = Accounts(folder / "users.db", folder / "secret")
        make_secret(accounts.secret_file)
        users.seed(accounts.users_db, 20, users.HashCost.parse("fast"))
        with running(topology, accounts, logs=folder / "logs", reaper=reaper) as servers:
            for load in loads:
                generator = Generator(
                    load, seed=1, accounts=20, folder=folder / load.client, environment=reaper.environment,
                    cores=frozenset(), runtime=reaper.folder / f"control-{load.client}",
                )  # fmt: skip
                capture = folder / load.client / "capture"
                with generator, capturing(int(servers.url.rpartition(":")[2]), capture, reaper) as proxy:
                    url = f"http://127.0.0.1:{proxy.port}" if proxied else f"{servers.url} {servers.authority}"
                    for signal, until in (
                        (control.LOG_IN, control.LOGGED_IN),
                        (control.WARM_UP, control.WARMED_UP),
                        (control.MEASURE, control.MEASURED),
                    ):
                        text = url if signal == control.LOG_IN else ""
                        generator.step(signal, text, until, within_s=10, check=servers.check)
                    counts = generator.finish()
                    proxy.end()
                table = pq.read_table(generator.samples).to_pandas()
                seen = read_capture(capture)
                made.append(_Captured(table, counts["requests"], b"".join(seen.sent), b"".join(seen.received)))
    return made


def _octets_are_those_of(captured: _Captured) -> None:
    samples = captured.samples
    assert len(samples) == captured.locust_requests > 60
    assert samples["request_head_bytes"].sum() + samples["request_body_bytes"].sum() == len(captured.sent)
    assert samples["response_head_bytes"].sum() + samples["response_body_bytes"].sum() == len(captured.received)


def _rows(captured: _Captured, columns: list[str]) -> list[tuple[object, ...]]:
    return list(captured.samples[columns].itertuples(index=False, name=None))


def _lines(sent: bytes, name: bytes | None) -> list[int]:
    """Lengths on the wire, CRLF included, of every header line called `name`."""
    return [len(line) for line in sent.splitlines(keepends=True) if line.lower().partition(b":")[0] == name]
