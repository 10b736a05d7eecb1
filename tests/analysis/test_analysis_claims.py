"""The ledger: every claim has a rule that the data, and nothing else, decides."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.claims import all_claims, judge_all
from analysis.claims.evidence import Evidence, Interval, rule_all
from analysis.ledger import main as ledger
from analysis.load import load_run
from analysis.report.__main__ import main as report
from analysis.summary import analyse, summary_document


@pytest.fixture(scope="module")
def summary(quick_run: Path) -> dict[str, Any]:
    return summary_document(analyse(load_run(quick_run)))


def _verdicts(*summaries: dict[str, Any]) -> dict[str, str]:
    return {each.claim.id: each.judged.verdict for each in judge_all(Evidence(summaries))}


def test_every_claim_says_what_measures_it_and_by_which_rule():
    claims = all_claims()
    assert len({each.id for each in claims}) == len(claims)
    for each in claims:
        assert each.text.endswith(".")
        assert each.rule.endswith(".")
        assert each.command.startswith("make ")


def test_without_evidence_nothing_is_judged():
    assert set(_verdicts().values()) == {"not measured"}


def test_the_size_of_a_cookie_decides_its_claim(summary: dict[str, Any]):
    assert _verdicts(summary)["cookie-size"] == "holds"
    planted = copy.deepcopy(summary)
    for cell in planted["cells"]:
        cell["metrics"]["credential_bytes"] = {"value": 900.0, "low": 900.0, "high": 900.0}
    assert _verdicts(planted)["cookie-size"] == "does not hold"
    assert _verdicts(planted)["token-size"] == "holds"


@pytest.mark.parametrize(
    ("interval", "inside"),
    [((2, 1, 3), True), ((6, 5.5, 7), False), ((4, 3, 6), None), ((5, 5, 5), True)],
)
def test_an_interval_is_inside_outside_or_reaches_over_the_edge(interval: tuple[float, ...], inside: object):
    assert Interval(*interval).within(0, 5) is inside


def test_a_claim_about_several_things_depends_where_they_differ():
    assert rule_all([True, True]) == "holds"
    assert rule_all([False]) == "does not hold"
    assert rule_all([True, False]) == rule_all([None]) == "depends"


def test_the_report_and_the_summary_have_the_ledger(quick_run: Path):
    assert report(["--run", str(quick_run), "--quiet"]) == 0
    written = json.loads((quick_run / "summary.json").read_text())
    assert {each["id"] for each in written["claims"]} == {each.id for each in all_claims()}
    assert "Common claims, judged" in (quick_run / "report.html").read_text()
    assert "Common claims, judged" in (quick_run / "report.md").read_text()


def test_the_command_prints_the_ledger_and_says_what_to_do_without_one(
    quick_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert report(["--run", str(quick_run), "--quiet"]) == 0
    capsys.readouterr()
    assert ledger(["--run", str(quick_run)]) == 0
    printed = capsys.readouterr().out
    assert all(claim.text.split()[-1] in printed for claim in all_claims())
    assert max(map(len, printed.splitlines())) <= 80
    assert ledger(["--run", str(tmp_path)]) == 2
    assert "make report RUN=" in capsys.readouterr().err
