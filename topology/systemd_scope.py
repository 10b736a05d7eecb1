"""A scope of systemd: the control group that a command is in from its first instruction, under the same process id.

The machine's systemd gives one to root; everybody else asks the systemd of the own user, which needs no root.
"""

from __future__ import annotations

import os
from pathlib import Path

from topology.quota import Quota

# how systemd-run finds the user's systemd; the command itself must not know of it
_OF_SYSTEMD = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
_RUNTIME = Path("/run/user")


def command(unit: str, quota: Quota) -> tuple[str, ...]:
    """What stands before a command that is to run in the scope `unit`, under `quota`."""
    # systemd takes two decimals of a percent and refuses more
    limits = (f"CPUQuota={100 * quota.cpus:.2f}%", f"CPUQuotaPeriodSec={quota.period_us}us")
    return (
        *("systemd-run", *(() if _is_root() else ("--user",)), "--scope", "--quiet", "--collect", f"--unit={unit}"),
        *(word for limit in limits for word in ("-p", limit)),
        *("--", "/usr/bin/env", *(f"--unset={name}" for name in _OF_SYSTEMD)),
    )


def environment() -> dict[str, str]:
    """What `command` needs to reach systemd."""
    if _is_root():
        return {}
    known = {name: os.environ[name] for name in _OF_SYSTEMD if name in os.environ}
    # who came by su, sudo or cron has a systemd (where it lingers) and was not told where it listens
    usual = _RUNTIME / str(os.getuid())
    return {"XDG_RUNTIME_DIR": str(usual), **known} if usual.is_dir() else known


def _is_root() -> bool:
    return os.geteuid() == 0
