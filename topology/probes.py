"""Readiness probes: each asks a component over its own protocol whether it serves."""

from __future__ import annotations

import http.client
import socket

_PROBE_TIMEOUT_S = 2.0


def http_ok(host: str, port: int, path: str) -> bool:
    """Whether `GET path` answers 200. Raises OSError while nothing listens."""
    connection = http.client.HTTPConnection(host, port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def tcp_open(host: str, port: int) -> bool:
    """Whether something accepts connections. Raises OSError while nothing does."""
    socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S).close()
    return True


def resp_ping(host: str, port: int) -> bool:
    """Whether a Redis-protocol server answers PING. Raises OSError while nothing listens."""
    with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
