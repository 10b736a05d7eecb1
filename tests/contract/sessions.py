"""A session to put into a store."""

import time

from servers.session_store import Session


def a_session(name: str = "s1", user: str = "user-00001") -> Session:
    now = time.time()
    return Session(name, user, "reader", now, now, now + 600, "", "", {"display_name": "x", "serial": 0})
