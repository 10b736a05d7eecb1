"""Cells with options and many stores: who is compared with whom, what an option costs, and what the report says."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from analysis.figures import figures
from analysis.load import Cell, load_run
from analysis.palette import INKS, SCHEMES
from analysis.report import terminal
from analysis.report.guide import limits
from analysis.report.model import build
from analysis.summary import Analysis, analyse, summary_document
from analysis.wording import label, number, subject
from loadtests.pairs import pairs


def cell(scheme: str, store: str = "none", replicas: int = 1, **options: str) -> Cell:
    told = "".join(f".{name}-{value}" for name, value in options.items())
    made = f"{scheme}-{store}-{replicas}r{told}"
    return Cell(made, scheme, store, replicas, "roundrobin", None, {}, options)


def met(question: str, *cells: Cell) -> set[tuple[str, str]]:
    return {(ours.id, theirs.id) for ours, theirs in pairs(cells)[question]}  # type: ignore[index]


@pytest.fixture(scope="module")
def stores(stores_run: Path) -> Analysis:
    return analyse(load_run(stores_run))


def told(analysis: Analysis, id_: str) -> str:
    return next(each.text for each in analysis.findings if each.id == id_)


def test_a_variant_stands_against_its_default_and_against_no_other_scheme() -> None:
    plain, slow = cell("token"), cell("token", algorithm="ES256")
    session, never = cell("session", "redis"), cell("session", "redis", touch="never")
    cells = (cell("control"), session, never, plain, slow)
    assert met("option", *cells) == {(slow.id, plain.id), (never.id, session.id)}
    assert met("scheme", *cells) == {(plain.id, session.id)}
    assert met("floor", *cells) == {(session.id, "control-none-1r"), (plain.id, "control-none-1r")}


def test_two_options_are_taken_apart_one_at_a_time() -> None:
    slow, kept = cell("token", algorithm="ES256"), cell("token", verify_cache="on")
    both = cell("token", algorithm="ES256", verify_cache="on")
    assert met("option", cell("token"), slow, kept, both) == {
        (slow.id, "token-none-1r"),
        (kept.id, "token-none-1r"),
        (both.id, slow.id),
        (both.id, kept.id),
    }


def test_an_option_that_brings_a_store_stands_against_the_cell_without_one() -> None:
    denied = cell("token", "redis", revocation="denylist")
    cells = (cell("token"), denied, cell("session", "redis"))
    assert met("option", *cells) == {(denied.id, "token-none-1r")}
    assert met("scheme", *cells) == {("token-none-1r", "session-redis-1r")}


def test_a_variant_without_its_default_stands_for_its_scheme() -> None:
    slow = cell("token", algorithm="ES256")
    assert met("scheme", cell("session", "redis"), slow) == {(slow.id, "session-redis-1r")}


def test_stores_stand_against_redis_and_without_it_against_the_first_shared() -> None:
    cells = [cell("session", store) for store in ("memory", "postgres", "redis", "memcached")]
    against = {theirs for _, theirs in met("store", *cells)}
    assert against == {"session-redis-1r"}
    assert len(met("store", *cells)) == 3
    unshared = Cell("session-file-1r", "session", "file", 1, "roundrobin", None, {}, shared=False)
    assert met("store", unshared, cells[1]) == {("session-file-1r", "session-postgres-1r")}


def test_tls_is_compared_with_tls() -> None:
    cells = [cell(scheme, **options) for scheme in ("control", "token") for options in ({}, {"tls": "on"})]
    secured = ("token-none-1r.tls-on", "control-none-1r.tls-on")
    assert secured not in met("floor", *cells)  # it is a variant: its plain twin stands for it
    assert met("floor", cells[1], cells[3]) == {secured}
    assert (secured[0], "token-none-1r") in met("option", *cells)


def test_what_surrounds_authentication_parts_cells_and_is_no_question_itself() -> None:
    for around in ({"work_ms": "10"}, {"hash_cost": "owasp"}, {"life_s": "3"}):
        (name, value), *_ = around.items()
        cells = [cell("control"), cell("session", "redis"), cell("token")]
        cells += [cell(each.scheme, each.store, **around) for each in cells]
        end = f".{name}-{value}"
        assert met("scheme", *cells) == {
            ("token-none-1r", "session-redis-1r"),
            (f"token-none-1r{end}", f"session-redis-1r{end}"),
        }
        assert len(met("floor", *cells)) == 4
        assert not met("option", *cells)


def test_cells_of_other_threads_do_not_meet() -> None:
    wide = [replace(each, id=f"{each.id}.threads-16", threads=16) for each in (cell("token"), cell("session", "redis"))]
    cells = (cell("token"), cell("session", "redis"), *wide)
    assert met("scheme", *cells) == {
        ("token-none-1r", "session-redis-1r"),
        ("token-none-1r.threads-16", "session-redis-1r.threads-16"),
    }
    slow = cell("token", algorithm="ES256")
    assert not met("option", wide[0], slow)
    assert label(wide[0]) == "token 16 threads ×1"  # noqa: RUF001 - a times sign


def test_stores_and_schemes_are_not_crossed() -> None:
    cells = [cell(scheme, store) for scheme in ("session", "hybrid") for store in ("redis", "postgres")]
    assert met("scheme", *cells, cell("token")) == {
        ("hybrid-redis-1r", "session-redis-1r"),
        ("hybrid-postgres-1r", "session-postgres-1r"),
        ("token-none-1r", "session-redis-1r"),
        ("token-none-1r", "session-postgres-1r"),
        ("hybrid-redis-1r", "token-none-1r"),
        ("hybrid-postgres-1r", "token-none-1r"),
    }


def test_the_correction_is_by_question(stores: Analysis) -> None:
    p50 = [each for each in stores.comparisons if each.metric == "response_p50_ms"]
    for question in ("floor", "scheme", "store", "option"):
        family = [each for each in p50 if each.question == question]
        smallest = min(family, key=lambda each: each.p or 0.0)
        assert smallest.p_holm == pytest.approx(min(1.0, len(family) * (smallest.p or 0.0)))


@pytest.mark.parametrize(
    ("options", "name", "said"),
    [
        ({}, "token ×1", "tokens"),  # noqa: RUF001 - a times sign
        ({"algorithm": "ES256", "carrier": "cookie"}, "token ES256, cookie ×1", "tokens (ES256, cookie)"),  # noqa: RUF001
        ({"claims_bytes": "3000"}, "token 3,000 B claims ×1", "tokens (3,000 B claims)"),  # noqa: RUF001
        ({"verify_cache": "on", "tls": "on"}, "token verify cache, TLS ×1", "tokens (verify cache, TLS)"),  # noqa: RUF001
        ({"unheard_of": "yes"}, "token unheard of yes ×1", "tokens (unheard of yes)"),  # noqa: RUF001
    ],
)
def test_names_for_people(options: Mapping[str, str], name: str, said: str) -> None:
    assert label(cell("token", **options)) == name
    assert subject(cell("token", **options)) == said
    assert label(cell("session", "redis", touch="never")) == "session · redis, touch never ×1"  # noqa: RUF001


def test_a_negative_number_has_its_digits() -> None:
    assert number(-12.345) == "−12.3"  # noqa: RUF001 - a minus sign
    assert number(-1234.5) == "−1,234"  # noqa: RUF001 - a minus sign


def test_the_price_of_sliding_is_told_with_its_commands(stores: Analysis) -> None:
    text = told(stores, "price-touch")
    assert text.startswith("With touch never, at 1 replica: ")
    assert "sessions on PostgreSQL: store commands −1 to 1" in text  # noqa: RUF001 - a minus sign
    assert "sessions on Redis: store commands as before" in text
    in_process = next(each for each in text.split("; ") if "in SQLite" in each)
    assert "store commands" not in in_process
    assert "auth time" in in_process


def test_stores_are_ranked_by_auth_time(stores: Analysis) -> None:
    text = told(stores, "stores-ranked-4r")
    places = [text.index(name) for name in ("Redis 1", "Redis cluster", "PostgreSQL")]
    assert places == sorted(places)
    assert "SQLite" not in text  # refused at four replicas
    assert "SQLite" in told(stores, "stores-ranked-1r")


def test_sessions_of_every_store_that_is_not_shared_are_lost_as_expected(stores: Analysis) -> None:
    lost = [each for each in stores.findings if each.id == "sessions-lost"]
    assert [len(each.cells) for each in lost] == [2, 2, 2]  # with and without sliding expiry
    assert all(each.kind == "finding" and "as expected" in each.text for each in lost)
    assert any("Sessions in SQLite are lost" in each.text for each in lost)


def test_refusals_within_the_lag_are_a_finding(build_run: Callable[..., Path]) -> None:
    folder = build_run(series=(("control", "none"), ("session", "memory")), replicas=(4,), blocks=2)
    document = json.loads((folder / "run.json").read_text())
    for each in document["cells"]:
        each |= {"lags": each["scheme"] == "session", "shared": True}
    (folder / "run.json").write_text(json.dumps(document))
    run = load_run(folder)
    found = [each for each in analyse(run).findings if each.id in ("sessions-late", "sessions-lost", "refused")]
    assert [(each.id, each.kind) for each in found] == [("sessions-late", "finding")]
    assert any("lags" in each for each in limits(run))


def test_runs_from_before_shared_are_read(quick_run: Path, tmp_path: Path) -> None:
    document = json.loads((quick_run / "run.json").read_text())
    for each in document["cells"]:
        del each["shared"], each["lags"], each["options"]
    (tmp_path / "run.json").write_text(json.dumps(document))
    (tmp_path / "trials").symlink_to(quick_run / "trials")
    cells = load_run(tmp_path).cells
    assert {each.store for each in cells if not each.shared} == {"memory"}
    assert not any(each.lags or each.options for each in cells)


def test_whole_commands_are_told_and_broken_ones_named(stores_run: Path, build_run: Callable[..., Path]) -> None:
    cells = {each["id"]: each for each in summary_document(analyse(load_run(stores_run)))["cells"]}
    assert cells["session-postgres-1r-roundrobin"]["store_commands_whole"] is True
    assert cells["session-sqlite-1r-roundrobin"]["store_commands_whole"] is None
    assert cells["token-none-1r-roundrobin"]["store_commands_whole"] is None
    folder = build_run(blocks=2)
    path = folder / "trials/2/session-redis-1r-roundrobin/trial.json"
    trial = json.loads(path.read_text())
    trial["store"]["commands"]["getex"] += 1
    path.write_text(json.dumps(trial))
    analysis = analyse(load_run(folder))
    assert "Not one whole number in every block: session-redis-1r-roundrobin." in told(analysis, "store-commands")
    table = next(each for each in build(analysis).metrics if each.title == "Store commands, exactly")
    assert [row[2].text for row in table.rows] == ["no", "yes"]


def test_octets_and_nodes_of_the_store(stores: Analysis) -> None:
    cells = {each["id"]: each["metrics"] for each in summary_document(stores)["cells"]}
    exact = {"value": 70.0, "low": 70.0, "high": 70.0}
    assert cells["session-redis-1r-roundrobin"]["store_bytes_in_per_request"] == exact
    for name in ("session-postgres-1r-roundrobin", "session-file-1r-roundrobin", "token-none-1r-roundrobin"):
        assert cells[name]["store_bytes_out_per_request"]["value"] is None
    table = next(each for each in build(stores).metrics if each.title == "Store commands by node")
    assert table.columns == ("cell", "node-0", "node-1", "node-2")
    assert {row[0].text.split(" ×")[0] for row in table.rows} == {  # noqa: RUF001 - a times sign
        "session · redis-cluster",
        "session · redis-cluster, touch never",
    }
    assert [entry.small for entry in table.rows[0][1:]] == ["25 %", "25 %", "50 %"]


def test_the_limits_say_what_the_wire_was() -> None:
    def said(*cells: Cell) -> str:
        from analysis.load import Run  # noqa: PLC0415 - here alone

        return " ".join(limits(Run(Path(), {"blocks": 1}, cells, ())))

    assert "HTTP/1.1 without TLS" in said(cell("token"))
    assert "with TLS only where a cell says so" in said(cell("token"), cell("token", tls="on"))
    assert "HTTP/1.1 over TLS in every cell" in said(cell("token", tls="on"))


def test_many_cells_are_rows_with_names_and_one_ink_a_scheme(stores: Analysis) -> None:
    made = {each.id: each for each in figures(stores)}
    assert "distribution" not in made
    assert [name for _, name in made["latency"].key] == ["control", "session", "token"]
    svg = made["auth"].panels[0].svg
    assert "session · redis-cluster, touch never" in svg
    assert {ink.name for ink in SCHEMES.values()} <= {ink.name for ink in INKS}
    assert len({ink.light for ink in INKS}) == len(INKS)
    assert not re.search(r"#[0-9a-f]{6}", svg.replace("#000000", ""))  # every colour is the page's


def test_a_run_of_many_options_fits_80_columns(stores: Analysis) -> None:
    out = io.StringIO()
    terminal.show(Console(file=out, width=80), stores, build(stores))
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert "…" not in out.getvalue()


def test_reasons_that_differ_in_figures_alone_are_one(build_run: Callable[..., Path]) -> None:
    folder = build_run()
    for block, late in ((1, "1.94"), (2, "2.12")):
        path = folder / f"trials/{block}/token-none-1r-roundrobin/trial.json"
        trial = json.loads(path.read_text())
        trial |= {"valid": False, "invalid_reasons": [f"generator late: p99 {late} ms over 1.00 ms"]}
        path.write_text(json.dumps(trial))
    text = told(analyse(load_run(folder)), "invalid")
    assert text == "2 trials did not count: generator late (2 times, such as p99 1.94 ms over 1.00 ms)."


def test_select_is_work_for_sql_and_set_up_for_redis(stores: Analysis) -> None:
    cells = {each["id"]: each["metrics"] for each in summary_document(stores)["cells"]}
    assert cells["session-postgres-1r-roundrobin"]["store_commands_per_request"]["value"] == 2
    assert cells["session-redis-1r-roundrobin"]["store_commands_per_request"]["value"] == 1


def test_tls_is_no_part_of_what_recognising_adds(build_run: Callable[..., Path]) -> None:
    secured = ("control", "none", {"tls": "on"})
    analysis = analyse(load_run(build_run(replicas=(1,), extra=(secured,), blocks=2)))
    text = told(analysis, "against-control-1r")
    assert "token" in text
    assert "TLS" not in text
