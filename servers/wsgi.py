"""What an application server loads: `granian --interface wsgi servers.wsgi:app`."""

from __future__ import annotations

import gc
import logging
import os
import sys

from flask import Flask

from servers.app import create_app
from servers.settings import Settings


def _app() -> Flask:
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        made = create_app(Settings.from_environ(os.environ))
    except ValueError as error:
        sys.stderr.write(f"authscale replica: {error}\n")
        sys.exit(2)
    # what is loaded now stays for good: a full collection that walks all of it stopped a replica for 20 ms
    gc.collect()
    gc.freeze()
    return made


app = _app()
