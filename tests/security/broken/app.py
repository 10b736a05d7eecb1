"""What a broken replica serves: the twins, with the mutation that a file names; asked anew before each request."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from servers.app import create_app
from servers.settings import Settings
from tests.security.broken.mutations import MUTATIONS, Patches

VARIABLE = "BROKEN_BY"


class Broken:
    """The application under one mutation at a time; made anew when another is named."""

    def __init__(self) -> None:
        self._file = Path(os.environ[VARIABLE])
        self._lock = threading.Lock()
        self._name: str | None = None
        self._patches = Patches()
        self._app: Any = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        with self._lock:
            name = self._file.read_text()
            if name != self._name:
                self._switch(name)
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def _switch(self, name: str) -> None:
        self._patches.stack.close()
        self._patches = Patches()
        if name:
            MUTATIONS[name].apply(self._patches)
        self._app = create_app(Settings.from_environ(os.environ))
        for then in self._patches.after:
            then(self._app)
        self._name = name


app = Broken()
