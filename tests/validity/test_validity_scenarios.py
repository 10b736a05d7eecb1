"""Users who come and go, and a login storm, on real servers; a server that lets the wrong ones in is found out."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loadtests.matrix import load_experiment
from loadtests.stage import Surroundings
from loadtests.trial import run_trial
from topology import local
from topology.cpu import divide_cores
from topology.local import Accounts, make_secret
from topology.reaper import Reaper

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]
LIFE = {"options": {"life_s": ["3"]}, "rate_rps": 150.0, "users": 10, "accounts": 20, "replicas": [1], "blocks": 1}


def _trial(folder: Path, name: str, scheme: str, **changes: object) -> tuple[dict, list[dict]]:
    """trial.json and the measured samples of one cell, run once."""
    experiment = load_experiment(name, {"schemes": list({scheme, "token"}), **changes})
    cell = next(each for each in experiment.cells if each.scheme == scheme and "revocation" not in each.options)
    with Reaper() as reaper:
        accounts = Accounts(reaper.folder / "users.db", reaper.folder / "secret")
        make_secret(accounts.secret_file)
        accounts.seed(experiment.settings["accounts"], [cell.topology.every_option["hash_cost"]])
        around = Surroundings(experiment, folder, accounts, reaper, divide_cores())
        record = run_trial(around, cell, 1, 1, lambda _: None)
    rows = pq.read_table(folder / "trials" / "1" / cell.id / "samples.parquet").to_pylist()
    return record, [row for row in rows if row["phase"] == "measured"]


def _counted(rows: list[dict]) -> Counter:
    return Counter((row["operation"], row["outcome"]) for row in rows)


def test_hybrid_users_come_and_go_and_only_what_a_token_cannot_know_gets_in(tmp_path: Path):
    record, rows = _trial(tmp_path, "churn", "hybrid", **LIFE, duration_s=3.0)
    told, counted = record["accuracy"], _counted(rows)
    for name in ("me-expired", "me-forged"):
        row = told["must_refuse"][name]
        assert row["sent"] == row["refused"] == counted[name, "ok"] > 0
    revoked = told["must_refuse"]["me-revoked"]
    assert revoked["by_design"]
    assert revoked["accepted"] == revoked["sent"] == counted["me-revoked", "accepted"]
    accepted = told["must_accept"]
    assert {"login", "logout", "me", "profile", "refresh"} == set(accepted)
    assert all(row["sent"] == row["accepted"] > 0 for row in accepted.values())
    assert not [reason for reason in record["invalid_reasons"] if "let in" in reason or "wrong" in reason]
    share = sum(row["sent"] for row in told["must_refuse"].values()) / len(rows)
    assert 0.04 < share < 0.2  # 10 in 100 of those who are signed in, of some 450


def test_a_server_that_lets_expired_tokens_in_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "by").write_text("times_are_not_checked")
    replica = local.replica

    def broken(*arguments: object, **named: object) -> object:
        component = replica(*arguments, **named)
        env = {**component.env, "BROKEN_BY": str(tmp_path / "by"), "PYTHONPATH": str(ROOT)}
        return dataclasses.replace(component, argv=(*component.argv[:-1], "tests.security.broken.app:app"), env=env)

    monkeypatch.setattr(local, "replica", broken)
    record, rows = _trial(tmp_path, "churn", "token", **LIFE, duration_s=3.0)
    expired = record["accuracy"]["must_refuse"]["me-expired"]
    assert expired["accepted"] == expired["sent"] == _counted(rows)["me-expired", "accepted"] > 0
    assert not record["valid"]
    assert f"let in what had to be refused: {expired['sent']} me-expired" in record["invalid_reasons"]
    assert record["accuracy"]["must_refuse"]["me-forged"]["accepted"] == 0


def test_a_login_storm_is_sign_ins_alone_and_costs_what_the_hash_costs(tmp_path: Path):
    spent = {}
    for cost in ("fast", "owasp"):
        changes = {"options": {"hash_cost": [cost]}, "blocks": 1, "duration_s": 1.0, "accounts": 20}
        record, rows = _trial(tmp_path, "login", "token", **changes)
        assert set(_counted(rows)) == {("login", "ok")}
        assert {row["auth_ns"] for row in rows} == {0}
        (replica,) = [each for each in record["components"].values() if each["kind"] == "replica"]
        spent[cost] = replica["cpu_ns"] / len(rows)
    assert spent["owasp"] > 3 * spent["fast"]  # 38 times the memory passes; CPU time does not mind other processes
    assert json.loads(next(tmp_path.glob("trials/1/*owasp/trial.json")).read_text())["accuracy"] is None
