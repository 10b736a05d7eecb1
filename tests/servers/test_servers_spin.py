"""The planted cost in the auth check, and the work of the application beside it, which is none of its time."""

import re
import time
from pathlib import Path

import pytest

from servers import users
from servers.app import create_app
from servers.settings import Settings, SettingsError
from servers.timing import burn


def test_it_burns_cpu_time_of_the_thread():
    began = time.thread_time_ns()
    burn(3000)
    assert 3_000_000 <= time.thread_time_ns() - began < 6_000_000


def _environ(folder: Path, **more: str) -> dict[str, str]:
    (folder / "secret").write_bytes(b"x" * 32)
    users.seed(folder / "users.db", 2, users.HashCost.parse("fast"))
    return {"AUTH_SCHEME": "control", "USERS_DB": f"{folder}/users.db", "SECRET_FILE": f"{folder}/secret", **more}


def test_the_auth_check_tells_it(tmp_path: Path):
    client = create_app(Settings.from_environ(_environ(tmp_path, AUTH_SPIN_US="4000"))).test_client()
    told = client.get("/me", base_url="https://localhost").headers["Server-Timing"]
    assert float(re.match(r"auth;dur=([0-9.]+)", told)[1]) >= 4
    assert "auth;dur=00000.000000" in client.get("/healthz").headers["Server-Timing"]


@pytest.mark.parametrize(("variable", "computes"), [("WORK_MS", False), ("WORK_CPU_MS", True)])
def test_work_takes_its_time_and_is_not_told_as_authentication(variable: str, computes, tmp_path: Path):
    client = create_app(Settings.from_environ(_environ(tmp_path, **{variable: "20"}))).test_client()
    client.get("/me", base_url="https://localhost")  # what the first request alone does
    began, cpu_began = time.perf_counter_ns(), time.thread_time_ns()
    answer = client.get("/me", base_url="https://localhost")
    assert time.perf_counter_ns() - began >= 20_000_000
    assert (time.thread_time_ns() - cpu_began >= 20_000_000) is computes
    assert float(re.match(r"auth;dur=([0-9.]+)", answer.headers["Server-Timing"])[1]) < 20
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environ(_environ(tmp_path, **{variable: "1001"}))


@pytest.mark.parametrize("text", ["-1", "10001", "1.5", "", "x"])
def test_what_is_no_number_of_us_is_refused(text: str, tmp_path: Path):
    with pytest.raises(SettingsError, match="AUTH_SPIN_US"):
        Settings.from_environ(_environ(tmp_path, AUTH_SPIN_US=text))
