"""What the report of an adaptive run says of the precision that it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.load import load_run
from analysis.report.__main__ import main
from analysis.summary import analyse

ASKED = {"asked": 0.05, "metric": "response_p50_ms", "least_blocks": 8, "max_blocks": 9, "blocks": 3}


def one_open(cell: str, half_width: float | None, more_blocks: int | None) -> dict[str, Any]:
    named = {"cell": f"{cell}-1r-roundrobin", "baseline": "control-none-1r-roundrobin", "blocks": 3}
    return named | {"half_width": half_width, "more_blocks": more_blocks}


@pytest.fixture
def told(build_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str, str]]:
    """Returns kind and text of the finding and what the terminal shows, of a run that ended so."""

    def of(*, reached: bool, unresolved: list[dict[str, Any]], **changes: Any) -> tuple[str, str, str]:
        folder = build_run()
        document = json.loads((folder / "run.json").read_text())
        document["precision"] = {**ASKED, "reached": reached, "unresolved": unresolved}
        (folder / "run.json").write_text(json.dumps(document | changes))
        assert main(["--run", str(folder)]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        found = [each for each in analyse(load_run(folder)).findings if each.id == "precision"]
        assert ("Precision" in (folder / "report.html").read_text(encoding="utf-8")) is True
        return (found[0].kind, found[0].text, shown) if found else ("", "", shown)

    return of


def test_reached(told: Any) -> None:
    kind, text, shown = told(reached=True, unresolved=[])
    assert kind == "finding"
    assert text.startswith("Every comparison's interval is within 5 % of response p50 after 3 blocks.")
    assert text in shown


def test_what_stayed_open_is_named_widest_first_with_the_blocks_that_it_would_take(told: Any) -> None:
    stayed = [
        one_open("token-none", 0.061, 4),
        one_open("session-redis", 0.081, 9),
        one_open("session-memory", None, None),
    ]
    kind, text, shown = told(reached=False, unresolved=stayed)
    assert kind == "caution"
    assert text == (
        "After 3 blocks, the most there may be, these intervals have not been within 5 % for 3 blocks in a row: "
        "session · memory ×1 against control ×1 (too few paired blocks), session · redis ×1 against control ×1 "  # noqa: RUF001 - times signs
        "(±8.1 %, about 9 more blocks) and token ×1 against control ×1 (±6.1 %, about 4 more blocks). By the spread so "  # noqa: RUF001
        "far about 9 more blocks would do for all of them."
    )
    assert text in shown


def test_many_that_stayed_open_are_a_number(told: Any) -> None:
    _, text, _ = told(reached=False, unresolved=[one_open("token-none", 0.1 + n / 100, n) for n in range(1, 8)])
    assert "and 4 more" in text
    assert "about 7 more blocks would do" in text


def test_nothing_to_compare_is_not_reached(told: Any) -> None:
    kind, text, _ = told(reached=False, unresolved=[])
    assert kind == "caution"
    assert "No two cells could be compared" in text


def test_an_interrupted_run_says_nothing_of_it(told: Any) -> None:
    assert told(reached=False, unresolved=[], finished=None)[0] == ""
