"""A run without its raw samples makes the same reports; damaged or foreign ones are told."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.distil import distil, main
from analysis.figures import figures
from analysis.load import RunError, load_run
from analysis.report.__main__ import main as report
from analysis.summary import analyse, summary_document


def test_a_distilled_run_gives_the_same_summary_and_figures(quick_run: Path, tmp_path: Path):
    distil(quick_run, tmp_path / "kept")
    whole, kept = analyse(load_run(quick_run)), analyse(load_run(tmp_path / "kept"))
    assert summary_document(kept) == summary_document(whole)
    drawn = [[each.id for each in figures(analysis)] for analysis in (whole, kept)]
    assert drawn[0] == drawn[1]
    assert not list((tmp_path / "kept").glob("**/*.parquet"))


def test_its_report_can_be_written_again(quick_run: Path, tmp_path: Path):
    distil(quick_run, tmp_path / "kept")
    assert report(["--run", str(tmp_path / "kept"), "--quiet"]) == 0
    assert "<svg" in (tmp_path / "kept" / "report.html").read_text()


def test_a_damaged_or_newer_one_is_told(quick_run: Path, tmp_path: Path):
    distil(quick_run, tmp_path / "kept")
    path = tmp_path / "kept" / "distilled.json.gz"
    document = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(json.dumps({**document, "format": 99}).encode()))
    with pytest.raises(RunError, match="has format 99"):
        load_run(tmp_path / "kept")
    path.write_bytes(b"no gzip")
    with pytest.raises(RunError, match="cannot be read"):
        load_run(tmp_path / "kept")


def test_a_run_is_not_distilled_into_itself(build_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]):
    folder = build_run()
    assert main(["--run", str(folder), "--out", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (folder / "trials").is_dir()
