"""At which address workers of other hosts find this one: nothing listens beyond loopback unless it is named."""

from __future__ import annotations

import ipaddress
import os
import socket

from loadtests.experiment import Load
from loadtests.run_folder import SetupError

VARIABLE = "AUTHSCALE_MASTER"
_PORT = 5557


def address() -> tuple[str, int]:
    """The address of this host that `VARIABLE` names, and the port of Locust's master. Raises SetupError."""
    text = os.environ.get(VARIABLE, "")
    host, _, port = text.partition(":")
    try:
        named, number = ipaddress.IPv4Address(host), int(port or _PORT)
    except ValueError:
        named, number = ipaddress.IPv4Address(0), 0
    if named.is_unspecified or not 0 < number < 1 << 16:
        raise SetupError(
            f"remote workers: {VARIABLE} must be the IPv4 address by which they reach this host, such as 10.0.0.5 or "
            f"10.0.0.5:{_PORT}, not {text!r}"
        )
    return str(named), number


def check(load: Load) -> None:
    """Raise SetupError where workers of other hosts are asked for and the address is not one to listen on."""
    if not load.remote_workers:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address())
        except OSError as error:
            raise SetupError(
                f"remote workers: {VARIABLE}={os.environ[VARIABLE]} cannot be listened on here: {error.strerror}"
            ) from error
