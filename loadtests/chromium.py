"""Headless Chromium, driven by its own protocol over a pair of pipes: no port, no driver, no package.

The protocol is https://chromedevtools.github.io/devtools-protocol/; messages end with a zero octet. What is used of it
has been stable for years, which a driver bound to one Chromium is not.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from topology import binaries
from topology.reaper import Reaper

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and answers on 4, which a process of Python's cannot be given directly
_ON_3_AND_4 = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
_ANSWER_S, _STOP_S = 30.0, 10.0
_FREE = 10


class BrowserError(RuntimeError):
    """The browser died, or does not do what it is asked."""


def pin(certificate: Path) -> str:
    """What Chromium knows the key of a certificate (PEM) by: base64 of SHA-256 of its SubjectPublicKeyInfo."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    info = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(info).digest()).decode()


class Chromium:
    """One browser with an empty profile and one tab.

    `hosts` are names that lead to 127.0.0.1, `pins` the keys (see `pin`) that it takes in place of an authority; any
    other certificate is judged as usual. Whether sites in other sites' pages get their cookies is set either way, since
    the default differs between a window, a private window and a headless browser. Raises BinaryError, BrowserError.
    """

    def __init__(
        self, profile: Path, hosts: tuple[str, ...], pins: tuple[str, ...], reaper: Reaper, *,
        third_party_cookies: bool = True,
    ) -> None:  # fmt: skip
        (profile / "Default").mkdir(parents=True)
        controls = {"cookie_controls_mode": 0 if third_party_cookies else 1}
        controls["block_third_party_cookies"] = not third_party_cookies
        (profile / "Default" / "Preferences").write_text(json.dumps({"profile": controls}))
        (to_it, our_write), (our_read, from_it) = os.pipe(), os.pipe()
        given = [fcntl.fcntl(each, fcntl.F_DUPFD, _FREE) for each in (to_it, from_it)]
        argv = [sys.executable, "-c", _ON_3_AND_4, *map(str, given), binaries.find("chromium").path, *_FLAGS]
        argv += [f"--user-data-dir={profile}", f"--ignore-certificate-errors-spki-list={','.join(pins)}"]
        argv += ["--host-resolver-rules=" + ", ".join(f"MAP {host} 127.0.0.1" for host in hosts), "about:blank"]
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= {"HOME": str(profile), **reaper.environment}
        with (profile / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, pass_fds=given, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
        reaper.note(self._process.pid)
        for each in (to_it, from_it, *given):
            os.close(each)
        self._write, self._read, self._log = our_write, our_read, profile / "chromium.log"
        self._kept, self._number, self._tab = b"", 0, ""

    def __enter__(self) -> Self:
        self.version: str = self._call("Browser.getVersion")["product"]
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._tab = self._call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self._call("Page.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._write)  # which ends it
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def open(self, url: str) -> None:
        """Open a page and wait until it has loaded. Raises BrowserError."""
        failed = self._call("Page.navigate", url=url).get("errorText")
        if failed:
            raise BrowserError(f"{url} cannot be opened: {failed}")
        # in the new page by now: what is evaluated waits for it
        self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))"
        )

    def evaluate(self, script: str) -> Any:
        """Run a script in the page, as its console would; a promise is waited for. Raises BrowserError."""
        told = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise BrowserError(f"the page failed: {told['exceptionDetails']}")
        return told["result"].get("value")

    def cookies(self) -> dict[str, str]:
        """Every cookie that the browser keeps, those included that no script sees."""
        return {each["name"]: each["value"] for each in self._call("Storage.getCookies")["cookies"]}

    def forget(self, *origins: str) -> None:
        """Drop every cookie, and what pages of these origins have stored."""
        self._call("Storage.clearCookies")
        for origin in origins:
            self._call("Storage.clearDataForOrigin", origin=origin, storageTypes="all")

    def _call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._tab and not method.startswith(("Browser.", "Target.")):
            asked["sessionId"] = self._tab
        deadline = time.monotonic() + _ANSWER_S
        try:
            os.write(self._write, json.dumps(asked).encode() + b"\0")
        except BrokenPipeError:
            raise self._died() from None
        while (message := self._next(deadline, method)).get("id") != self._number:
            pass  # an event, which nobody waits for
        if "error" in message:
            raise BrowserError(f"{method}: {message['error']['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def _next(self, deadline: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._kept:
            readable, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise BrowserError(f"Chromium did not answer {method} within {_ANSWER_S:g} s")
            data = os.read(self._read, 1 << 16)
            if not data:
                raise self._died()
            self._kept += data
        text, _, self._kept = self._kept.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _died(self) -> BrowserError:
        said = [line for line in self._log.read_text(errors="replace").splitlines() if "dbus" not in line]
        return BrowserError("Chromium ended by itself; the last it said: " + (" / ".join(said[-3:]) or "nothing"))
