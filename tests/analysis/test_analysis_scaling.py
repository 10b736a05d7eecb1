"""Scale-out in the report, from runs whose curves are known: linear, lossy, and bent by a store that fills up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.load import load_run
from analysis.report import html, markdown
from analysis.report.model import build
from analysis.summary import Analysis, analyse, summary_document
from analysis.synthetic import Plan, write_run

COUNTS = (1, 2, 3, 4, 6, 8)
CLOSED = {"model": "closed", "rate_rps": 0.0, "think_s": 0.0}
ONE_RPS = 10.0
QUOTA = "0.007"
STORE_CPUS = "0.00125"  # 25 us a request: full at 50 requests/s, which five replicas send
Build = Callable[..., Path]


def _run(build_run: Build, curves: Mapping[str, Callable[[int], float]], *, store_cpus: str = "", **load: Any) -> Path:
    """A run whose trials answer as the curves say, within 1 %: its requests are the same, its lengths are not."""
    stores = {"session": "redis"}
    quotas = {scheme: {"replica_cpus": QUOTA} for scheme in curves}
    if store_cpus and "session" in curves:
        quotas["session"]["store_cpus"] = store_cpus
    extra = tuple((scheme, stores.get(scheme, "none"), quotas[scheme]) for scheme in curves)
    folder = build_run(blocks=4, replicas=COUNTS, series=(), extra=extra, requests=150)
    path = folder / "run.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["load"] |= CLOSED | load
    document["machine"] |= {"quota_method": "cgroup v1", "pinning": {"servers": [0], "generator": [1]}}
    path.write_text(json.dumps(document), encoding="utf-8")
    rng = np.random.default_rng(4)
    for trial in sorted(folder.glob("trials/*/*/trial.json")):
        facts = json.loads(trial.read_text(encoding="utf-8"))
        scheme, _, replicas = facts["cell"].split("-")[:3]
        rps = curves[scheme](int(replicas.removesuffix("r"))) * float(np.exp(rng.normal(0, 0.005)))
        facts["duration_s"] = facts["sent"] / rps
        held = {"quota_period_us": 20_000, "periods": 50, "throttled_ns": 10**8, "throttled_share": 0.9}
        for part in facts["components"].values():
            if part["kind"] == "replica":
                part.update({"quota_cpus": float(QUOTA), **held})
            if part["kind"] == "store" and store_cpus:
                part.update({"quota_cpus": float(store_cpus), **held})
        trial.write_text(json.dumps(facts), encoding="utf-8")
    return folder


def _linear(replicas: int) -> float:
    return ONE_RPS * replicas


def _bent(replicas: int) -> float:
    return ONE_RPS * min(replicas, 5)


def _analysed(folder: Path) -> Analysis:
    return analyse(load_run(folder))


def _series(analysis: Analysis) -> dict[str, Any]:
    """What summary.json has, by scheme."""
    listed = summary_document(analysis)["sections"]["scaling"]["series"]
    return {each["series"].split()[0]: each for each in listed}


@pytest.fixture(scope="module")
def saturation(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    def build_run(**changes: Any) -> Path:
        return write_run(tmp_path_factory.mktemp("results") / "run", Plan(**changes))

    return _analysed(_run(build_run, {"token": _linear, "session": _bent}, store_cpus=STORE_CPUS))


def test_the_bend_of_sessions_is_foretold_and_seen_and_tokens_have_none(saturation: Analysis):
    found = _series(saturation)
    session = found["session"]
    assert session["bend"]["limit"] == "store"
    for name in ("predicted", "observed"):
        assert session["bend"][name]["low"] < 5 < session["bend"][name]["high"]
        assert session["bend"][name]["value"] == pytest.approx(5, rel=0.03)
    assert session["bend"]["over_observed"]["value"] == pytest.approx(1, abs=0.04)
    token = found["token"]
    assert token["bend"]["observed"] is None
    assert token["efficiency"][-1]["value"] == pytest.approx(1, abs=0.02)


def test_the_prediction_beyond_the_bend_is_what_the_store_carries(saturation: Analysis):
    session = _series(saturation)["session"]
    assert [each["replicas"] for each in session["predictions"]] == [6, 8]
    for each in session["predictions"]:
        assert each["from_replicas"] == [1, 2, 3, 4]
        assert each["limit"] == "store"
        assert each["predicted_rps"]["value"] == pytest.approx(50, rel=0.02)
        assert each["over_measured"]["value"] == pytest.approx(1, abs=0.04)
        assert each["by_demand_over_measured"]["value"] == pytest.approx(1, abs=0.04)  # the store's, whoever asks it
    assert session["busiest"][-1]["kind"] == "store"
    assert session["busiest"][-1]["share"] == pytest.approx(1, abs=0.03)


def test_by_demand_alone_a_replica_adds_its_quota_over_the_cpu_of_a_request(saturation: Analysis):
    token = _series(saturation)["token"]
    # 270 us of 0.007 cores are 25.9 requests/s, and the run says 10: the error says that replicas were not full
    assert token["predictions"][-1]["by_demand_over_measured"]["value"] == pytest.approx(2.59, rel=0.03)


def test_what_fills_up_is_named_where_replicas_are_lost(saturation: Analysis):
    losses = [each for each in saturation.findings if each.id.startswith("scaling-loss")]
    assert len(losses) == 1
    assert re.search(r"at 8 replicas does 6[23] % of 8 times one: the store was (99|100) % busy", losses[0].text)
    (opening,) = [sentence for sentence in saturation.answer if sentence.startswith("Sessions")]
    assert re.search(r"The curve bends at (4\.9|5|5\.0|5\.1) replicas; .* said (4\.9|5|5\.0|5\.1)\.", opening)


def test_without_a_quota_on_the_store_predictions_rest_on_three_replicas(build_run: Build):
    analysis = _analysed(_run(build_run, {"control": _linear, "session": _bent}))
    found = _series(analysis)
    assert [each["from_replicas"] for each in found["control"]["predictions"]] == [[1, 2, 3]] * 3
    assert [each["replicas"] for each in found["control"]["predictions"]] == [4, 6, 8]
    session = found["session"]
    # nothing that was measured at three replicas says that it would bend: the error is told, and so is the caution
    assert session["predictions"][-1]["over_measured"]["value"] == pytest.approx(1.6, rel=0.02)
    assert any(each.id.startswith("scaling-prediction") and each.kind == "caution" for each in analysis.findings)
    (loss,) = [each for each in analysis.findings if each.id.startswith("scaling-loss")]
    assert "CPU time" not in loss.text
    assert "no component was full" in loss.text


def test_that_a_request_costs_more_cpu_among_many_replicas_is_told_where_they_are_full(build_run: Build):
    folder = _run(build_run, {"control": lambda replicas: ONE_RPS * replicas**0.8})
    for trial in folder.glob("trials/*/*/trial.json"):
        facts = json.loads(trial.read_text(encoding="utf-8"))
        replicas = int(facts["cell"].split("-")[2].removesuffix("r"))
        for part in facts["components"].values():
            part["cpu_ns"] = int(part["cpu_ns"] * replicas**0.2 * (3.9 if part["kind"] == "replica" else 1))
        trial.write_text(json.dumps(facts), encoding="utf-8")
    (loss,) = [each for each in _analysed(folder).findings if each.id.startswith("scaling-loss")]
    assert "the replicas were" in loss.text
    assert re.search(r"A request took (50|51|52|53) % more CPU time of a replica there than at 1 ", loss.text)


def test_a_prediction_does_not_rest_on_cells_that_are_full_already(build_run: Build):
    analysis = _analysed(
        _run(build_run, {"session": lambda replicas: ONE_RPS * min(replicas, 2.5)}, store_cpus="0.000625")
    )
    session = _series(analysis)["session"]
    assert session["predictions"][-1]["from_replicas"] == [1, 2]
    assert session["bend"]["predicted"]["value"] == pytest.approx(2.5, rel=0.03)
    assert session["bend"]["observed"]["value"] == pytest.approx(2.5, rel=0.03)


def test_the_law_is_in_the_report_and_claims_no_peak_of_a_straight_line(build_run: Build):
    def lossy(replicas: int) -> float:
        return ONE_RPS * replicas / (1 + 0.05 * (replicas - 1) + 0.02 * replicas * (replicas - 1))

    found = _series(_analysed(_run(build_run, {"control": _linear, "token": lossy})))
    straight, bent = found["control"]["usl"], found["token"]["usl"]
    assert straight["sigma"]["value"] == pytest.approx(0, abs=0.02)
    assert straight["peak"] is None
    assert bent["kappa"]["low"] < 0.02 < bent["kappa"]["high"]
    assert bent["peak"] == pytest.approx((0.95 / 0.02) ** 0.5, rel=0.15)


def test_reports_show_tables_and_figures_with_their_alt_text(saturation: Analysis):
    report = build(saturation)
    text, page = markdown.render(report, ()), html.render(report, ())
    for title in ("Throughput at saturation", "Predicted and measured", "Universal scalability law", "Where the curve"):
        assert title in text
        assert title in page
    assert "not up to 8" in text
    assert re.search(r'aria-label="token: [\d.]+ at ×1, [\d.]+ at ×2', page)  # noqa: RUF001
    assert "of a core, so that replicas are the limit" in text


def test_replicas_that_contend_for_a_core_without_a_quota_predict_nothing(build_run: Build):
    folder = _run(build_run, {"control": _linear})
    for trial in folder.glob("trials/*/*/trial.json"):
        facts = json.loads(trial.read_text(encoding="utf-8"))
        for part in facts["components"].values():
            part.pop("quota_cpus", None)
        trial.write_text(json.dumps(facts), encoding="utf-8")
    analysis = _analysed(folder)
    assert _series(analysis)["control"]["predictions"] == []
    assert "beyond their number this is contention, not scaling" in markdown.render(build(analysis), ())


def test_an_open_loop_or_two_counts_have_no_curve(build_run: Build):
    folder = _run(build_run, {"control": _linear}, model="open", rate_rps=200.0)
    assert all(each.id != "scaling" for each in _analysed(folder).sections)


def test_a_quota_that_all_cells_have_goes_without_saying_in_their_names(saturation: Analysis):
    listed = [each["series"] for each in summary_document(saturation)["sections"]["scaling"]["series"]]
    assert listed == ["token", "session · redis"]
    report = build(saturation)
    names = {
        row[0].text for table in report.metrics[:3] for row in table.rows if row[0].text.startswith(("token", "sess"))
    }
    assert "session · redis ×8" in names  # noqa: RUF001 - a times sign
    assert not any("0.007" in name for name in names)
