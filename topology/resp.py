"""One question to a server that speaks the Redis protocol, over a connection of its own: no client adds commands."""

from __future__ import annotations

import socket

from topology.ports import LOOPBACK

_TIMEOUT_S = 5.0


def exchange(port: int, *commands: str) -> tuple[list[str], int, int]:
    """The answers to inline `commands`, sent at once; octets sent and octets received.

    Raises OSError when the server does not answer, or answers an error.
    """
    asked = "".join(f"{command}\r\n" for command in commands).encode()
    with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(asked)
        with connection.makefile("rb") as reply:
            answers, octets = [], 0
            for command in commands:
                head = reply.readline()
                if head[:1] not in (b"+", b"$", b":"):
                    raise OSError(f"port {port} answered {command!r}: {head.decode(errors='replace').strip()!r}")
                body = reply.read(int(head[1:]) + 2) if head[:1] == b"$" else b""
                answers.append((body or head[1:]).decode().removesuffix("\r\n"))
                octets += len(head) + len(body)
    return answers, len(asked), octets


def ask(port: int, command: str) -> str:
    """The answer to one inline command. Raises OSError as `exchange`."""
    return exchange(port, command)[0][0]


def fields(info: str) -> dict[str, str]:
    """The fields of an answer to INFO or CLUSTER INFO."""
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line and not line.startswith("#"))
