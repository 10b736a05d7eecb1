"""A replica: one Granian worker that serves the twins, configured by environment alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial

from topology.components.component import Component
from topology.ports import LOOPBACK
from topology.probes import http_ok

# Granian copies the environment into every request's WSGI environ: a replica is given no more than it needs,
# or the length of the caller's shell environment would stand in the figures.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def replica(name: str, port: int, *, threads: int, settings: Mapping[str, str]) -> Component:
    """One process tree (Granian's supervisor and its one worker) on a loopback port.

    `settings` is the environment of `servers.settings`.
    """
    argv = (
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--http", "1"),
        *("--host", LOOPBACK, "--port", str(port)),
        *("--workers", "1", "--blocking-threads", str(threads)),
        *("--log-level", "warning"),
        "servers.wsgi:app",
    )
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    env |= {"PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "REPLICA_NAME": name, **settings}
    return Component(
        name=name, kind="replica", argv=argv, env=env, port=port, probe=partial(http_ok, LOOPBACK, port, "/healthz")
    )
