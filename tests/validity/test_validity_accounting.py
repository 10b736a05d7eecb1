"""Every party's count of a small real load, and the octets of the capture."""

import json
from pathlib import Path

import pytest

from analysis.validation import judge_accounting
from loadtests.accounting import account, served
from servers import users
from topology.cpu import divide_cores
from topology.local import Accounts, make_secret
from topology.reaper import Reaper


@pytest.mark.bench
def test_all_parties_agree_and_the_replicas_count_by_themselves(tmp_path: Path):
    accounts = Accounts(tmp_path / "users.db", tmp_path / "secret")
    make_secret(accounts.secret_file)
    users.seed(accounts.users_db, 20, users.HashCost.parse("fast"))
    folder = tmp_path / "accounting"
    with Reaper() as reaper:
        account(0.7, accounts, 20, folder, reaper, divide_cores())
    checks = list(judge_accounting(folder))
    assert all(check.passed for check in checks), checks
    told = json.loads((folder / "accounting.json").read_text())
    assert told["locust"] > 60
    assert all(told["replicas"].values())
    # one line less in a replica's own log, and the check fails
    log = folder / "logs" / "replica-0.log"
    lines = log.read_text().splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if "/me" in line)
    log.write_text("".join(lines[:last] + lines[last + 1 :]))
    told["replicas"]["replica-0"] = served(log)
    (folder / "accounting.json").write_text(json.dumps(told))
    assert [check.passed for check in judge_accounting(folder)] == [False, True, True]
