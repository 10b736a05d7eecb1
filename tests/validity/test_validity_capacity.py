"""One real search for capacity: a replica with a small quota, from the command line to the report."""

import json

import pytest

from topology.cgroups import NO_METHOD, method_name

pytestmark = pytest.mark.bench


@pytest.mark.skipif(method_name() == NO_METHOD, reason="no control group can be made here")
def test_a_search_finds_what_a_replica_with_a_quota_can_do_and_keeps_every_probe(bench):
    done = bench.run(
        *("--experiment", "capacity", "--schemes", "control", "--replicas", "1", "--replica-cpus", "0.02"),
        *("--blocks", "1", "--rate", "100", "--duration", "0.4", "--warmup", "0.1", "--slo", "p50 < 150 ms"),
        *("--resolution", "50%", "--confirm-s", "0.8"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requests/s" in done.stdout
    (folder,) = bench.results.glob("*-capacity")
    (trial,) = folder.glob("trials/1/*/trial.json")
    study = json.loads(trial.read_text())["study"]
    probes = study["probes"]
    assert [each["number"] for each in probes] == list(range(1, len(probes) + 1))
    assert len(list(trial.parent.glob("probes/*/samples.parquet"))) == len(probes) >= 3
    assert probes[0]["rate_rps"] == 100
    confirmed = [each for each in probes if each["confirms"]]
    assert confirmed[-1]["rate_rps"] == study["capacity_rps"]
    assert confirmed[-1]["outcome"] == "met"
    assert confirmed[-1]["figure_ms"] < 150
    # a fiftieth of a core does not do what whole ones do, and of what it has nearly all is used where it misses
    assert study["missed_rps"] / 1.5 <= study["capacity_rps"] < study["missed_rps"] < 3000
    missed = [each for each in probes if each["outcome"] == "missed"]
    assert missed[-1]["components"]["replica-0"]["quota_cpus"] == 0.02
    assert missed[-1]["busy"][0]["kind"] == "replica"
