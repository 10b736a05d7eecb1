from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from analysis.load import load_run
from analysis.report import terminal
from analysis.report.__main__ import main
from analysis.report.model import build
from analysis.summary import analyse


class Page(HTMLParser):
    """What a page loads, its ids, and the alternative texts of its drawings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.drawings: list[str | None] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.loads += [found[name] or "" for name in ("src", "href", "data", "action") if name in found]
        if tag == "svg" and found.get("aria-hidden") != "true":  # a mark beside its name
            self.drawings.append(found.get("aria-label"))


@pytest.fixture(scope="module")
def reported(quick_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported") / "quick"
    shutil.copytree(quick_run, folder)
    assert main(["--run", str(folder), "--quiet"]) == 0
    return folder


def test_the_four_files_are_written_and_nothing_is_left_beside_them(reported: Path) -> None:
    names = {path.name for path in reported.iterdir()}
    assert names == {"run.json", "trials", "summary.json", "summary.csv", "report.html", "report.md"}


def test_the_page_loads_nothing(reported: Path) -> None:
    text = (reported / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert all(link.startswith(("#", "data:text/csv;")) for link in page.loads)
    assert not {"link", "iframe", "img"} & set(page.tags)
    assert page.tags.count("script") == 1  # what sorts the tables
    assert not re.search(r"\b(fetch|import|XMLHttpRequest|WebSocket)\b", text.partition("<script>")[2])
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {f"#{each}" for each in page.ids}


def test_ids_are_unique_and_every_link_has_its_target(reported: Path) -> None:
    page = Page((reported / "report.html").read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.loads if link.startswith("#")} <= set(page.ids)


def test_every_drawing_has_an_alternative_text_that_tells_figures(reported: Path) -> None:
    page = Page((reported / "report.html").read_text(encoding="utf-8"))
    assert len(page.drawings) >= 10
    assert all(text and re.search(r"\d", text) for text in page.drawings)


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_the_report_alone_answers(reported: Path, name: str) -> None:
    text = (reported / name).read_text(encoding="utf-8").replace("\u00a0", " ")
    summary = json.loads((reported / "summary.json").read_text(encoding="utf-8"))
    made = next(
        each
        for each in summary["comparisons"]
        if (each["metric"], each["cell"], each["baseline"])
        == ("response_p50_ms", "token-none-4r-roundrobin", "session-redis-4r-roundrobin")
    )
    assert made["verdict"] == "faster"
    assert "tokens are faster than sessions on Redis" in text
    low, high = (f"−{100 * (1 - made[end]):.0f} %" for end in ("low", "high"))  # noqa: RUF001 - a minus sign
    assert f"95 % interval {low} to {high}" in text
    assert "338 bytes of credential" in text
    assert "1 store command" in text
    assert "open loop" in text


def test_lost_sessions_are_a_finding_and_not_an_error(reported: Path) -> None:
    summary = json.loads((reported / "summary.json").read_text(encoding="utf-8"))
    lost = [each for each in summary["findings"] if each["id"] == "sessions-lost"]
    assert [each["kind"] for each in lost] == ["finding"]
    assert "75 % of requests at 4 replicas were refused" in lost[0]["text"]
    assert "(N-1)/N = 75 %" in lost[0]["text"]
    assert not [each for each in summary["findings"] if each["id"] == "errors"]
    left_out = next(each for each in summary["findings"] if each["id"] == "left-out")
    assert left_out["cells"] == ["session-memory-4r-roundrobin"]


def test_what_the_run_cannot_tell_it_says(build_run: Callable[..., Path]) -> None:
    same = {("control", "none"): 1.0, ("session", "redis"): 1.2, ("token", "none"): 1.2}
    folder = build_run(replicas=(1,), series=tuple(same), typical_ms=same, block_noise=0.15)
    analysis = analyse(load_run(folder))
    assert "no difference in speed between tokens and sessions on Redis could be shown" in analysis.answer[0]
    assert "faster than" not in analysis.answer[0]


@pytest.mark.parametrize("scheme", ["control", "token"])
def test_a_run_of_one_scheme_still_gets_a_report(build_run: Callable[..., Path], scheme: str) -> None:
    folder = build_run(series=((scheme, "none"),), blocks=2)
    assert main(["--run", str(folder), "--quiet"]) == 0
    assert "compares nothing" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_run_in_containers_says_so(build_run: Callable[..., Path]) -> None:
    folder = build_run(series=(("control", "none"),), blocks=2)
    document = json.loads((folder / "run.json").read_text())
    image = {"name": "haproxy:3.2", "id": "sha256:1", "digest": "haproxy@sha256:2"}
    document["launcher"] = "compose"
    document["software"] |= {"engine": "24.0.7", "compose": "2.26.1", "images": {"balancer": image}}
    (folder / "run.json").write_text(json.dumps(document))
    assert main(["--run", str(folder), "--quiet"]) == 0
    page = (folder / "report.md").read_text(encoding="utf-8")
    for said in (
        "in containers: engine 24.0.7, Compose 2.26.1",
        "haproxy:3.2 (haproxy@sha256:2)",
        "Servers ran in containers",
    ):
        assert said in page


def test_names_from_a_run_cannot_become_markup(build_run: Callable[..., Path]) -> None:
    folder = build_run(blocks=2)
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    document["machine"]["cpu"] = "<script>alert(1)</script>"
    for cell in document["cells"]:
        cell["policy"] = '"><script>'
    (folder / "run.json").write_text(json.dumps(document), encoding="utf-8")
    assert main(["--run", str(folder), "--quiet"]) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert Page(text).tags.count("script") == 1  # the page's own
    assert "alert(1)" not in text.partition("<script>")[2]


@pytest.mark.parametrize("policies", [("roundrobin",), ("roundrobin", "sticky")])
def test_the_terminal_fits_80_columns(build_run: Callable[..., Path], policies: tuple[str, ...]) -> None:
    analysis = analyse(load_run(build_run(policies=policies, blocks=2)))
    out = io.StringIO()
    terminal.show(Console(file=out, width=80), analysis, build(analysis))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue()
    assert any("token" in line and "338" in line for line in lines)


def test_a_run_killed_in_the_middle_is_reported_as_far_as_it_went(build_run: Callable[..., Path]) -> None:
    folder = build_run()
    shutil.rmtree(folder / "trials/3")
    (folder / "trials/2/token-none-4r-roundrobin/trial.json").unlink()
    assert main(["--run", str(folder), "--quiet"]) == 0
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "17 of 27 trials are there, 1 of 3 blocks whole" in text


def test_the_link_to_the_latest_run_will_do(
    build_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_run("results/20261123T200102Z-quick", blocks=2)
    (tmp_path / "results/latest").symlink_to(folder.name)
    monkeypatch.chdir(tmp_path)
    assert main(["--quiet"]) == 0
    assert (folder / "summary.json").is_file()


def garble(path: Path, **changes: object) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes), encoding="utf-8")


def no_run_json(folder: Path) -> None:
    (folder / "run.json").unlink()


def unknown_format(folder: Path) -> None:
    garble(folder / "run.json", format=99)


def half_a_run_json(folder: Path) -> None:
    path = folder / "run.json"
    path.write_text(path.read_text(encoding="utf-8")[:300], encoding="utf-8")


def no_trials(folder: Path) -> None:
    shutil.rmtree(folder / "trials")


def truncated_samples(folder: Path) -> None:
    path = next(folder.glob("trials/1/token-*/samples.parquet"))
    path.write_bytes(path.read_bytes()[:2000])


def no_samples(folder: Path) -> None:
    next(folder.glob("trials/1/token-*/samples.parquet")).unlink()


def foreign_trial(folder: Path) -> None:
    garble(next(folder.glob("trials/1/token-*/trial.json")), cell="another-run")


def no_store_field(folder: Path) -> None:
    path = next(folder.glob("trials/1/token-*/trial.json"))
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["store"]
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_run_json, "run.json is missing"),
        (unknown_format, "format 99"),
        (half_a_run_json, "cannot be read"),
        (no_trials, "no trial of this run finished"),
        (truncated_samples, "truncated"),
        (no_samples, "samples.parquet is missing"),
        (foreign_trial, "another-run"),
        (no_store_field, "'store'"),
        (shutil.rmtree, "no such run"),
    ],
)
def test_bad_input_is_one_clear_line(
    build_run: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    said: str,
) -> None:
    folder = build_run(blocks=1)
    damage(folder)
    assert main(["--run", str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_a_trial_that_was_tried_again_is_told(build_run: Callable[..., Path]) -> None:
    folder = build_run()
    path = next(folder.glob("trials/2/token-none-1r-roundrobin/trial.json"))
    trial = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(trial | {"earlier_attempt": ["generator late"]}), encoding="utf-8")
    report = build(analyse(load_run(folder)))
    told = {row[0].text: [entry.text for entry in row] for row in report.validity.rows}
    assert told["token ×1"][3:5] == ["1", "block 2 at first: generator late"]  # noqa: RUF001 - a times sign
    assert told["control ×1"][3:5] == ["0", "–"]  # noqa: RUF001 - a times sign and a dash
