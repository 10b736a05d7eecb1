"""payload: what a credential costs in octets, over HTTP/1.1 and HTTP/2, when it is first sent and when it is repeated.

Nothing is timed. Real requests through the balancer, each answered as it should be; a credential's cost is the
difference to the same request without it. Several sign-ins, because Huffman coding makes a random text shorter or
longer by a few octets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadtests import credentials
from loadtests.client import HttpClient, client_of
from loadtests.credentials import Credential
from loadtests.experiment import Cell
from loadtests.http2 import ENCODERS, Exchange, Fields, Http2Error, connected
from loadtests.stage import Surroundings, fresh_folder, serving, unloaded_record
from loadtests.study import Setting, Study
from loadtests.trial import finish
from loadtests.verify import VerificationError
from servers.users import PASSWORD, user_name
from topology.local import RunningTopology
from topology.spec import Topology

SETTINGS: tuple[Setting, ...] = ()
LOADS = False
SIGN_INS = 20
REQUESTS = 4
"""On each connection, the first included."""
_OK = 200


def cases(_study: Study, topology: Topology) -> tuple[str, ...]:
    """One thing, where there is TLS: without it the balancer speaks no HTTP/2."""
    return ("",) if topology.tls else ()


def run_trial(
    around: Surroundings, cell: Cell, block: int, position: int, doing: Callable[[str], None]
) -> dict[str, Any]:
    """Count octets on one topology. Raises ComponentError, VerificationError, Http2Error, OSError."""
    folder, earlier = fresh_folder(around, cell, block)
    began = time.monotonic()
    doing("starting")
    with serving(around, cell, folder) as servers:
        doing("counting octets")
        try:
            found = _count(servers, around.experiment.settings["accounts"])
        except Http2Error as error:
            raise VerificationError(f"{cell.id}: {error}") from error
    record = unloaded_record() | {"study": found, "seconds": {"total": time.monotonic() - began}}
    return finish(around, cell, block, position, earlier, record)


def _count(servers: RunningTopology, accounts: int) -> dict[str, Any]:
    trusted = servers.authority
    if trusted is None:
        raise VerificationError("the balancer speaks no TLS, so no HTTP/2")
    client = client_of(servers.url, trusted)
    plain = client.request(b"GET", b"/me")
    without, table_bytes = {}, 0
    for encoder in ENCODERS:
        without[encoder], table_bytes = _http2(servers.url, trusted, encoder, (), plain.status)
    sign_ins = [_sign_in(servers, trusted, client, number, accounts) for number in range(SIGN_INS)]
    client.close()
    line, repeated = sign_ins[0]["line_bytes"], sign_ins[0]["http2"][ENCODERS[0]][-1]["block_bytes"]
    return {
        "told": f"{line} B a credential's line, {repeated} B a repeated request over HTTP/2",
        "http1_without_bytes": plain.request_head_bytes,
        "http2_without": {name: [_as_dict(each) for each in found] for name, found in without.items()},
        "peer_table_bytes": table_bytes,
        "sign_ins": sign_ins,
    }


def _sign_in(servers: RunningTopology, trusted: Path, client: HttpClient, number: int, accounts: int) -> dict[str, Any]:
    """What one sign-in's credential adds to each request."""
    credential = _log_in(client, number, accounts)
    answers = [client.request(b"GET", b"/me", credential.line) for _ in range(REQUESTS)]
    if any(each.status != _OK for each in answers):
        raise VerificationError(f"GET /me over HTTP/1.1 was answered {[each.status for each in answers]}")
    fields = _fields(credential)
    return {
        "line_bytes": len(credential.line),
        "value_bytes": len(fields[0][1]) if fields else 0,
        "http1": [each.request_head_bytes for each in answers],
        "http2": {
            name: [_as_dict(each) for each in _http2(servers.url, trusted, name, fields, _OK)[0]] for name in ENCODERS
        },
    }


def _http2(url: str, trusted: Path, encoder: str, fields: Fields, status: int) -> tuple[list[Exchange], int]:
    with connected(url, trusted, indexing=encoder == ENCODERS[0]) as connection:
        found = [connection.get("/me", fields) for _ in range(REQUESTS)]
        if any(each.status != status for each in found):
            raise VerificationError(f"GET /me over HTTP/2 was answered {[each.status for each in found]}, not {status}")
        return found, connection.peer_table_bytes


def _log_in(client: HttpClient, number: int, accounts: int) -> Credential:
    body = json.dumps({"username": user_name(number % accounts, accounts), "password": PASSWORD}).encode()
    answer = client.request(b"POST", b"/login", body=body)
    if answer.status != _OK:
        raise VerificationError(f"POST /login was answered {answer.status}: {answer.failure or answer.body[:200]!r}")
    return credentials.from_reply(answer.body, answer.set_cookies)


def _fields(credential: Credential) -> Fields:
    """The credential's line as a field of HTTP/2, where names are in lower case."""
    if not credential.line:
        return ()
    name, _, value = credential.line.decode().strip().partition(": ")
    return ((name.lower(), value),)


def _as_dict(exchange: Exchange) -> dict[str, int]:
    return {"block_bytes": exchange.block_bytes, "frame_bytes": exchange.frame_bytes}
