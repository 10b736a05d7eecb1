"""HAProxy, the balancer: keep-alive to both sides, connection checks only, one thread."""

from __future__ import annotations

import csv
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from topology import binaries
from topology.balancer import ROUTE_COOKIE, STICKY, BalancerFacts, Balancing, Beside, Front, max_connections
from topology.components.component import Component
from topology.ports import LOOPBACK
from topology.probes import http_ok, tcp_open

FACTS = BalancerFacts(policies=("roundrobin", STICKY, "leastconn"), stamps=True)
_TIMEOUT_S = 5.0

# Checks open a connection and send no request: every request that a replica counts came from the load.
# X-Request-Start carries microseconds because HAProxy's own timers stop at milliseconds.
# retries 0: a connection that a replica refuses is a failed request, not a slow one.
# http-reuse always: one pool of server connections for all clients, as a busy balancer has it; with sticky, too, where
# the cookie binds a user to a replica and not to a connection.
# Sticky keeps these facts: a replica that has died fails the requests of its users until the check marks it down, and
# from then on they go to another by themselves, which sets its own cookie (no `option persist`, which would insist).
# With retries 0 `option redispatch` has nothing to do: it moves the last retry of a refused connection.
# insert indirect: the replica never sees the cookie, so that what it reads is the same under every policy.
_CONFIG = """\
global
    nbthread 1
    maxconn {max_connections}
    stats socket {admin_socket} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option forwardfor
    retries 0
    option http-keep-alive
    http-reuse always
frontend public
    bind {host}:{port}{tls}
{beside}    http-request set-header X-Request-Start "t=%[date(0,us)]"
    default_backend replicas
backend replicas
    balance {algorithm}{cookie}
    default-server check inter 1s
{servers}
"""
_BESIDE_FRONT = """\
    log {host}:{log_port} len 8192 format raw local0
    log-format '{{"method":%{{+Q}}HM,"path":%{{+Q}}HU,"status":%ST,"cookie_bytes":"%[var(txn.cookie)]",\
"authorization_bytes":"%[var(txn.authorization)]","origin":"%[var(txn.origin)]","site":"%[var(txn.site)]"}}'
    http-request set-var(txn.cookie) req.hdr(Cookie),length
    http-request set-var(txn.authorization) req.hdr(Authorization),length
    http-request set-var(txn.origin) req.hdr(Origin)
    http-request set-var(txn.site) req.hdr(Sec-Fetch-Site)
    use_backend pages if {{ path_beg {path} }}
"""
_BESIDE_BACK = """\
backend pages
    server pages {host}:{port}
"""


def balancing(front: Front) -> Balancing:
    """HAProxy before these replicas; its counters are asked over its admin socket."""
    admin_socket = front.runtime / "admin"  # a short name: HAProxy binds a longer one beside it first
    component = haproxy(
        "haproxy",
        front.port,
        front.replicas,
        policy=front.policy,
        config=front.logs / "haproxy.cfg",
        admin_socket=admin_socket,
        certificate=front.certificate,
        beside=front.beside,
    )
    return Balancing(component, lambda: requests_per_replica(admin_socket))


def haproxy(
    name: str, port: int, replica_ports: Mapping[str, int], *, policy: str, config: Path, admin_socket: Path,
    certificate: Path | None = None, beside: Beside | None = None,
) -> Component:  # fmt: skip
    """Write the configuration and describe the process.

    `replica_ports` maps replica name to port; with a `certificate` (key and certificate in PEM) clients speak TLS,
    over HTTP/2 where they offer it. `beside` is for pages of the same origin, and is nothing for a measured path.
    """
    sticky = policy == STICKY
    cookie = f"\n    cookie {ROUTE_COOKIE} insert indirect nocache httponly{' secure' if certificate else ''}"
    servers = "\n".join(
        f"    server {replica} {LOOPBACK}:{at}{f' cookie {replica}' if sticky else ''}"
        for replica, at in replica_ports.items()
    )
    config.write_text(
        _CONFIG.format(
            host=LOOPBACK,
            port=port,
            tls=f" ssl crt {certificate} ssl-min-ver TLSv1.2 alpn h2,http/1.1" if certificate else "",
            algorithm="roundrobin" if sticky else policy,
            cookie=cookie if sticky else "",
            servers=servers,
            admin_socket=admin_socket,
            max_connections=max_connections(),
            beside=_BESIDE_FRONT.format(host=LOOPBACK, log_port=beside.log_port, path=beside.path) if beside else "",
        )
        + (_BESIDE_BACK.format(host=LOOPBACK, port=beside.port) if beside else "")
    )
    return Component(
        name=name,
        kind="balancer",
        argv=(binaries.find("haproxy").path, "-db", "-f", str(config)),
        port=port,
        probe=partial(tcp_open, LOOPBACK, port) if certificate else partial(http_ok, LOOPBACK, port, "/healthz"),
    )


def requests_per_replica(admin_socket: Path) -> dict[str, int]:
    """Requests that the balancer sent to each replica since it started (`lbtot`... counted by `req_tot`).

    Raises OSError when the balancer does not answer.
    """
    rows = csv.DictReader(_ask(admin_socket, "show stat").removeprefix("# ").splitlines())
    return {
        row["svname"]: int(row["req_tot"]) for row in rows if row["pxname"] == "replicas" and row["svname"] != "BACKEND"
    }


def _ask(admin_socket: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(str(admin_socket))
        connection.sendall(command.encode() + b"\n")
        chunks = iter(lambda: connection.recv(65536), b"")
        return b"".join(chunks).decode()
