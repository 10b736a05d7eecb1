"""The parts of the report on accuracy, work, sign-ins and the crossover, from made-up runs whose truth is known."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis.figures import figures
from analysis.load import load_run
from analysis.proportion import share
from analysis.report import html, markdown, terminal
from analysis.report.model import build
from analysis.section import Section
from analysis.summary import Analysis, analyse, summary_document


def part(analysis: Analysis, id_: str) -> Section:
    return next(each for each in analysis.sections if each.id == id_)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def accuracy(expired_in: int, revoked_in: int, away: int, *, by_design: bool) -> dict[str, Any]:
    return {
        "must_refuse": {
            "me-expired": {
                "sent": 20, "accepted": expired_in, "refused": 20 - expired_in, "other": 0, "by_design": False,
            },
            "me-revoked": {
                "sent": 10, "accepted": revoked_in, "refused": 10 - revoked_in, "other": 0, "by_design": by_design,
            },
        },
        "must_accept": {"me": {"sent": 400, "accepted": 400 - away, "refused": away, "other": 0}},
    }  # fmt: skip


def test_a_share_has_its_exact_interval() -> None:
    assert (share(0, 10).low, share(10, 10).high) == (0, 1)
    assert share(0, 10).high == pytest.approx(0.3085, abs=1e-4)  # 1 - 0.025 ** (1 / 10)
    assert (share(5, 10).low, share(5, 10).high) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert share(0, 0).as_dict() == {"count": 0, "of": 0, "value": None, "low": 0.0, "high": 1.0}


def test_false_accepts_are_told_with_those_by_design_apart(build_run: Callable[..., Path]) -> None:
    folder = build_run(replicas=(1,), blocks=2)
    edit(folder / "run.json", lambda run: run["load"].update(scenario="churn"))
    for path in folder.glob("trials/*/*/trial.json"):
        cell, block = path.parent.name, path.parent.parent.name
        wrong = 3 if block == "2" else 0
        reasons = [f"let in what had to be refused: {wrong} me-expired"] if wrong else []
        changes: dict[str, Any] = {}
        if cell.startswith("token"):
            changes = {"accuracy": accuracy(0, 10, 0, by_design=True)}
        elif cell.startswith("session-redis"):
            changes = {"accuracy": accuracy(wrong, 0, 1, by_design=False)}
            changes |= {"valid": not reasons, "invalid_reasons": reasons}
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    analysis = analyse(load_run(folder))
    found = part(analysis, "accuracy")
    rows = {each["cell"]: each for each in found.document["cells"]}
    session, token = rows["session-redis-1r-roundrobin"], rows["token-none-1r-roundrobin"]
    assert (session["let_in"]["me-expired"]["count"], session["let_in"]["me-expired"]["of"]) == (3, 40)
    assert (session["turned_away"]["count"], session["turned_away"]["of"]) == (2, 800)
    assert token["let_in"]["me-revoked"] | {"low": 0} == {
        "count": 20, "of": 20, "value": 1.0, "low": 0, "high": 1.0, "by_design": True,
    }  # fmt: skip
    assert {each.id for each in found.findings} == {"let-in-me-expired", "accepts-ended"}
    assert analysis.answer[0].startswith(
        "Of 100 requests that had to be refused, and whose server could know it, 3 got in"
    )
    assert "2 were turned away" in analysis.answer[-1]
    assert summary_document(analysis)["sections"]["accuracy"]["cells"]


def test_a_run_that_asked_nothing_of_the_kind_has_none_of_these_parts(quick_run: Path) -> None:
    assert not {"accuracy", "work", "login", "crossover"} & {each.id for each in analyse(load_run(quick_run)).sections}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    from analysis.synthetic import Plan, write_run  # noqa: PLC0415 - of this fixture alone

    series = (("control", "none"), ("session", "redis"), ("token", "none"))
    extra = tuple((scheme, store, {"work_ms": "50"}) for scheme, store in series)
    plan = Plan(series=series, extra=extra, replicas=(1,), blocks=6, block_noise=0.005)
    folder = write_run(tmp_path_factory.mktemp("results") / "work", plan)
    edit(folder / "run.json", lambda run: run.update(experiment="work"))
    return analyse(load_run(folder))


def test_work_hides_the_difference(work: Analysis) -> None:
    ratios = {(each["cell"].split("-")[0], each["baseline"].split("-")[0], each["work_ms"]): each
              for each in part(work, "work").document["ratios"]}  # fmt: skip
    bare, beside = ratios["session", "control", 0], ratios["session", "control", 50]
    assert bare["ratio"]["value"] == pytest.approx(1.6, rel=0.1)
    assert bare["verdict"] == "slower"
    assert beside["ratio"]["value"] == pytest.approx(51.6 / 51, rel=0.05)
    assert beside["ratio"]["low"] < beside["ratio"]["value"] < beside["ratio"]["high"]
    assert ratios["token", "session", 0]["verdict"] == "faster"
    assert len(ratios) == 6
    assert "50 ms of waiting" in work.answer[1]


def test_one_amount_of_work_for_all_is_no_part_of_its_own(build_run: Callable[..., Path]) -> None:
    series = (("control", "none"), ("token", "none"))
    extra = tuple((scheme, store, {"work_cpu_ms": "1"}) for scheme, store in series)
    analysis = analyse(load_run(build_run(series=(), extra=extra, replicas=(1,), blocks=3)))
    assert analysis.comparisons
    assert "work" not in {each.id for each in analysis.sections}


def test_sign_ins_are_told_by_hash_cost_and_the_schemes_part(build_run: Callable[..., Path]) -> None:
    extra = tuple((scheme, store, {"hash_cost": "owasp"}) for scheme, store in (("control", "none"), ("token", "none")))
    folder = build_run(replicas=(1,), blocks=3, extra=extra)
    edit(folder / "run.json", lambda run: run["load"].update(scenario="login", model="closed"))
    for path in folder.glob("trials/*/*owasp/trial.json"):

        def dearer(trial: dict[str, Any]) -> None:
            trial["components"]["replica-0"]["cpu_ns"] += 20_000_000 * trial["sent"]

        edit(path, dearer)
    analysis = analyse(load_run(folder))
    rows = {each["cell"]: each for each in part(analysis, "login").document["sign_ins"]}
    fast, slow = rows["token-none-1r-roundrobin"], rows["token-none-1r-roundrobin.hash_cost-owasp"]
    assert fast["share"]["value"] == pytest.approx(90 / 300, abs=0.05)  # 270 us against 180, and 30 of the balancer
    assert slow["share"]["value"] == pytest.approx(90 / 20300, abs=0.001)
    assert slow["above_control_us"]["value"] == pytest.approx(90, abs=10)
    assert rows["control-none-1r-roundrobin"]["share"] is None
    assert fast["per_second"]["value"] > 0
    assert "At hash cost owasp" in analysis.answer[1]


@pytest.fixture(scope="module")
def crossover(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    from analysis.synthetic import Plan, write_run  # noqa: PLC0415 - of this fixture alone

    slow = tuple(("session", "redis", {"store_rtt_ms": each}) for each in ("1", "5"))
    signed = tuple(("token", "none", {"algorithm": each}) for each in ("RS256", "ES256", "EdDSA"))
    series = (("session", "redis"), ("token", "none"))
    plan = Plan(series=series, extra=(*slow, *signed), replicas=(1,), blocks=5)
    folder = write_run(tmp_path_factory.mktemp("results") / "crossover", plan)
    edit(folder / "run.json", lambda run: run.update(experiment="crossover"))
    return analyse(load_run(folder))


def test_the_crossover_is_where_a_check_on_the_store_costs_more(crossover: Analysis) -> None:
    document = part(crossover, "crossover").document
    auth = {(each["store_rtt_ms"], each["algorithm"]): each
            for each in document["ratios"] if each["metric"] == "auth_p50_us"}  # fmt: skip
    assert len(auth) == 12
    assert auth[0, "HS256"]["dearer"] == "session"  # 140 us against 30
    assert auth[0, "EdDSA"]["dearer"] == "token"  # ... and against 190
    assert auth[5, "EdDSA"]["dearer"] == "session"
    assert auth[5, "HS256"]["ratio"]["value"] == pytest.approx(5140 / 30, rel=0.1)
    waiting = {each["cell"]: each["auth_store_share"] for each in document["waiting"]}
    assert waiting["token-none-1r-roundrobin"]["value"] == 0
    assert waiting["session-redis-1r-roundrobin"]["value"] == pytest.approx(110 / 140, abs=0.05)
    assert waiting["session-redis-1r-roundrobin.store_rtt_ms-5"]["value"] > 0.98
    assert "Auth p50 of sessions" in crossover.answer[0]


@pytest.mark.parametrize("which", ["work", "crossover"])
def test_every_report_is_rendered_with_the_part(which: str, request: pytest.FixtureRequest) -> None:
    analysis: Analysis = request.getfixturevalue(which)
    report, drawn = build(analysis), figures(analysis)
    page = html.render(report, drawn)
    assert f'<section id="{which}">' in page
    assert part(analysis, which).title in markdown.render(report, drawn)
    out = io.StringIO()
    terminal.show(Console(file=out, width=80), analysis, report)
    assert analysis.answer[0].split()[0] in out.getvalue()
