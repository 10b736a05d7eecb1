"""The lab's own pages, which the balancer serves beside the twins' paths: the application's, and an attacker's."""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from topology.ports import LOOPBACK

PATH = "/lab/"
_FILES = Path(__file__).parent / "lab"
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_LOOT_S = 10.0


class Pages:
    """A server of the files of `loadtests/lab/`; what injected scripts send home is in `loot`.

    The page `bank` writes its `comment` into itself as it comes: that is the hole that a script is injected through.
    """

    def __init__(self) -> None:
        self._loot: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self._loot))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def loot(self, key: str) -> list[str]:
        """What the injected script sent home under this key. Raises TimeoutError when nothing came."""
        while True:
            try:
                found, told = self._loot.get(timeout=_LOOT_S)
            except queue.Empty:
                raise TimeoutError(f"the injected script sent nothing home within {_LOOT_S:g} s") from None
            if found == key:
                return [str(each) for each in told["found"]]


def _handler(loot: queue.Queue[tuple[str, dict[str, Any]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            name = address.path.removeprefix(PATH)
            path = _FILES / (name if name in {each.name for each in _FILES.iterdir()} else f"{name}.html")
            if not path.is_file() or "/" in name:
                self._answer(404, b"")
                return
            body = path.read_bytes()
            comment = parse_qs(address.query).get("comment", ["none"])[0]
            self._answer(200, body.replace(b"COMMENT", comment.encode()), _TYPES[path.suffix])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            loot.put((parse_qs(urlsplit(self.path).query)["key"][0], json.loads(body)))
            self._answer(204, b"")

        def _answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The balancer's log is the one that counts."""

    return Handler
