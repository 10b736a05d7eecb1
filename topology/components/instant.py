"""The instant server: HAProxy that answers by itself, so that what is measured is the client."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from topology import binaries
from topology.components.component import Component
from topology.ports import LOOPBACK
from topology.probes import http_ok

# The answers are as the twins' are, so that a virtual user finds what it checks and records.
_CONFIG = """\
global
    nbthread 1
    maxconn 4000
    stats socket {admin_socket} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend instant
    bind {host}:{port}
    http-request return status 200 content-type application/json hdr Cache-Control no-store \
string '{{"credential": {{"kind": "bearer", "access_token": "{token}"}}}}' if {{ path /login }}
    http-request return status 200 content-type application/json hdr Cache-Control no-store \
hdr Server-Timing 'auth;dur=00000.041123, store;dur=00000.012310, queue;dur=00000.210001, replica;desc="replica-0"' \
string '{{"username": "{username}", "display_name": "User 0"}}'
"""
_TOKEN_OCTETS = 300  # of an HS256 token with seven claims


def instant(port: int, *, username: str, config: Path, admin_socket: Path) -> Component:
    """Write the configuration and describe the process: `GET /me` is always `username`'s, whoever asks."""
    config.write_text(
        _CONFIG.format(
            host=LOOPBACK, port=port, admin_socket=admin_socket, username=username, token="t" * _TOKEN_OCTETS
        )
    )
    return Component(
        name="instant",
        kind="balancer",
        argv=(binaries.find("haproxy").path, "-db", "-f", str(config)),
        port=port,
        probe=partial(http_ok, LOOPBACK, port, "/me"),
    )
