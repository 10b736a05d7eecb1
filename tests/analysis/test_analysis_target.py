"""A run of services that others started, whose names are ours by chance: what the report says, and what it must not."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from analysis import plan
from analysis.load import load_run
from analysis.report.__main__ import main
from analysis.summary import analyse, summary_document
from loadtests import samples as contract
from loadtests.targets.reading import targets_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "own.toml"
NAMES = ("session", "token")
UNTOLD = ("auth_ns", "store_ns", "queue_ns", "app_ns")


def _of_targets(run: Path, *, components: bool) -> Path:
    """Turn a run of sessions and tokens into one of two services with these names."""
    section = tomllib.loads(EXAMPLE.read_text())["target"]
    for each, name in zip(section["systems"], NAMES, strict=True):
        each["name"] = name
    documents = {each.name: dict(each.document) for each in targets_of(section, EXAMPLE.parent)}
    record = json.loads((run / "run.json").read_text())
    record |= {"title": "Mine and mine", "launcher": "target", "experiment": "own"}
    for cell in record["cells"]:
        old, name = cell["id"], cell["scheme"] + (".aa" if cell["duplicate_of"] else "")
        unknown = {"replicas": 0, "threads": 0, "policy": "none", "balancer": "none", "options": {}, "shared": True}
        cell |= {"id": name, **unknown, "duplicate_of": cell["duplicate_of"] and NAMES[0]}
        cell["target"] = documents[cell["scheme"]]
        for trial in run.glob(f"trials/*/{old}"):
            _turn(trial.rename(trial.with_name(name)), name, components=components)
    (run / "run.json").write_text(json.dumps(record))
    return run


def _turn(trial: Path, name: str, *, components: bool) -> None:
    path = trial / "trial.json"
    facts = json.loads(path.read_text())
    application = {"kind": "replica", "cpu_ns": facts["sent"] * 200_000, "rss_bytes": 50_000_000, "pids": 2}
    facts |= {"cell": name, "store": None, "balancer": {"requests": {}}}
    facts["components"] = {"application": application} if components else {}
    path.write_text(json.dumps(facts))
    table = pa.parquet.read_table(trial / "samples.parquet")
    for column in (*UNTOLD, "replica"):
        place, field = table.schema.get_field_index(column), contract.SCHEMA.field(column)
        nothing = pa.array(["" if column == "replica" else -1] * table.num_rows)
        if column == "replica":
            nothing = nothing.dictionary_encode().cast(field.type)
        table = table.set_column(place, field, nothing)
    contract.write(trial / "samples.parquet", [table])


@pytest.fixture
def own_run(build_run: Callable[..., Path]) -> Path:
    series = (("session", "none"), ("token", "none"))
    typical = {("session", "none"): 2.0, ("token", "none"): 1.0}
    run = build_run(blocks=5, replicas=(1,), series=series, typical_ms=typical, requests=300)
    return _of_targets(run, components=False)


def test_the_second_service_is_compared_with_the_first_and_the_answer_names_both(own_run: Path):
    analysis = analyse(load_run(own_run))
    made = [each for each in analysis.comparisons if each.metric == "response_p50_ms"]
    assert [(each.cell, each.baseline, each.question, each.verdict) for each in made] == [
        ("token", "session", "target", "faster")
    ]
    assert analysis.answer[0].startswith("Token is faster than session: median response time")
    assert "two identical cells differed by" in analysis.answer[1]
    assert analysis.answer[2] == "With each request goes a credential of 63 bytes to session and 338 bytes to token."
    assert [each.id for each in analysis.findings] == ["target-token"]


def test_nothing_of_ours_is_judged_by_their_names(own_run: Path):
    document = summary_document(analyse(load_run(own_run)))
    assert document["claims"] == []
    assert list(document["sections"]) == ["target"]
    systems = document["sections"]["target"]["systems"]
    assert [(each["name"], each["sign_in"], each["credential"]) for each in systems] == [
        ("session", "POST /login", "cookie"),
        ("token", "POST /token", "bearer"),
    ]
    (found,) = [each for each in document["sections"]["target"]["comparisons"] if each["metric"] == "response_p50_ms"]
    assert 0.45 < found["ratio"]["low"] < 0.5 < found["ratio"]["high"] < 0.56
    metrics = document["cells"][1]["metrics"]
    unknown = ("store_commands_per_request", "total_cpu_us_per_request", "auth_p50_us", "replica_rss_mb")
    assert {name: metrics[name]["value"] for name in unknown} == dict.fromkeys(unknown)


@pytest.mark.parametrize("components", [False, True])
def test_the_report_has_no_room_for_what_is_not_known(
    build_run: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    components: bool,  # noqa: FBT001 - a parameter of the test
):
    made = build_run(blocks=2, replicas=(1,), series=(("session", "none"), ("token", "none")))
    run = _of_targets(made, components=components)
    assert main(["--run", str(run)]) == 0
    text, page = (run / "report.md").read_text(), (run / "report.html").read_text()
    assert text.startswith("# Mine and mine")
    assert "POST /token" in page
    unknown = ["0 replicas", "×0", "store commands", "fresh servers", "claim", "Session stores", "Balancing"]  # noqa: RUF001
    unknown += [] if components else ["CPU per request"]
    for each in unknown:
        assert each not in text, each
    assert ("CPU per request" in text) is components
    assert "token" in capsys.readouterr().out


def test_a_plan_is_refused_in_one_line(own_run: Path, capsys: pytest.CaptureFixture[str]):
    assert plan.main(["--rps", "100", "--run", str(own_run), "--results", str(own_run.parent)]) == 2
    assert "is of services that others started" in capsys.readouterr().err


def test_a_run_that_measured_nothing_says_why(own_run: Path):
    for path in own_run.glob("trials/*/*/trial.json"):
        facts = json.loads(path.read_text()) | {"valid": False, "invalid_reasons": ["token: nothing answers at URL"]}
        path.write_text(json.dumps(facts))
    analysis = analyse(load_run(own_run))
    assert "nothing answers at URL" in analysis.answer[0]
