"""What a reader must know to repeat a run: the machine, the packages, the binaries, the revision."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from loadtests.machine import wake_up_noise_p99_us
from topology import binaries, cgroups
from topology.cpu import Cores

_ROOT = Path(__file__).parent.parent
# what stands on the measured path
_PACKAGES = (
    "argon2-cffi", "cryptography", "flask", "gevent", "granian", "h2", "hiredis", "hpack", "httptools", "locust",
    "pyarrow", "pyjwt", "redis", "werkzeug",
)  # fmt: skip
# on it where a contestant is measured, and installed
_CONTESTANTS = ("cachelib", "flask-jwt-extended", "flask-session", "flask-sqlalchemy", "msgspec")
_GIT_S = 5


def machine(cores: Cores) -> dict[str, Any]:
    """The machine as run.json has it. Nothing in it names a person, a host or an address."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "os": _os_name(),
        "python": platform.python_version(),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "quota_method": cgroups.method_name(),
        "noise_p99_us": round(wake_up_noise_p99_us(), 1),
        "loadavg_1m_before": os.getloadavg()[0],
        "pinning": cores.as_dict(),
    }


def software(binary_names: Iterable[str]) -> dict[str, Any]:
    """Versions of everything on the measured path. Raises BinaryError when a binary does not run."""
    revision = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "git_revision": revision,
        "git_dirty": bool(status) if revision else None,
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES} | _installed(_CONTESTANTS),
        "binaries": {name: binaries.find(name).as_dict() for name in binary_names},
    }


def _installed(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, timeout=_GIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
