"""Signed-in users by the ten thousand: over HTTP, or through the scheme itself in a process with a replica's settings.

Where state lives in the replica's own process users must sign in there. Elsewhere a sign-in leaves the same record
whoever makes it: `python -m loadtests.making_sessions` opens the scheme and the store by a replica's environment, and
calls the scheme's `log_in`, which is what POST /login calls once it has checked the password. Several times as fast.
It reads from standard input how many users there shall be, and answers with the credentials of some.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Protocol

from loadtests import credentials
from loadtests.client import Answer, HttpClient, client_of
from loadtests.credentials import Credential
from loadtests.verify import VerificationError
from servers import schemes, stores
from servers.settings import Settings
from servers.users import PASSWORD, UserTable, user_name
from topology.reaper import Reaper

CONNECTIONS = 4
"""Over which users sign in by HTTP."""
_WITHIN_S = 60.0
_REFUSED_SIGN_INS = 4000
_FROM = {"REMOTE_ADDR": "127.0.0.1"}  # what a replica sees of a client here


class Maker(Protocol):
    """Makes users signed in."""

    way: str

    def warm_up(self) -> None:
        """Have the replicas hold what signing in makes them hold once, whoever signs in. Raises VerificationError."""

    def make(self, first: int, last: int, keep: Sequence[int]) -> list[Credential]:
        """Sign users in, from number `first` to below `last`; returns the credentials of those in `keep`.

        Raises VerificationError.
        """


class OverHttp:
    """POST /login at each replica, each thread on a keep-alive connection of its own."""

    way = "POST /login"

    def __init__(self, urls: Mapping[str, str], accounts: int) -> None:
        self._urls = tuple(urls.values())
        self._accounts = accounts

    def warm_up(self) -> None:
        """See `Maker`: SQLite's cache of the user table, 2 MB a thread, filled by sign-ins with a wrong password."""
        numbers = range(0, self._accounts, max(1, self._accounts // _REFUSED_SIGN_INS))
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda place: self._refused(place, numbers[place::CONNECTIONS]), range(CONNECTIONS)))

    def make(self, first: int, last: int, keep: Sequence[int]) -> list[Credential]:
        """See `Maker`."""
        kept = frozenset(keep)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            parts = pool.map(
                lambda place: self._part(place, range(first + place, last, CONNECTIONS), kept), range(CONNECTIONS)
            )
            return [each for part in parts for each in part]

    def _refused(self, place: int, numbers: range) -> None:
        with self._client(place) as client:
            for number in numbers:
                self._sign_in(client, number, "wrong", HTTPStatus.UNAUTHORIZED)

    def _part(self, place: int, numbers: range, keep: frozenset[int]) -> list[Credential]:
        found = []
        with self._client(place) as client:
            for number in numbers:
                answer = self._sign_in(client, number, PASSWORD, HTTPStatus.OK)
                if number in keep:
                    found.append(credentials.from_reply(answer.body, answer.set_cookies))
        return found

    def _client(self, place: int) -> contextlib.closing[HttpClient]:
        return contextlib.closing(client_of(self._urls[place % len(self._urls)], timeout_s=_WITHIN_S))

    def _sign_in(self, client: HttpClient, number: int, password: str, expected: int) -> Answer:
        name = user_name(number % self._accounts, self._accounts)
        body = json.dumps({"username": name, "password": password}).encode()
        answer = client.request(b"POST", b"/login", body=body)
        if answer.status != expected:
            told = answer.failure or answer.status
            raise VerificationError(f"POST /login as {name}: expected {int(expected)}, got {told}")
        return answer


class ByScheme:
    """The process that this file is, when it is run."""

    way = "the scheme's log_in, in a process of its own"

    def __init__(self, process: subprocess.Popen[str], accounts: int) -> None:
        self._process = process
        self._accounts = accounts

    def warm_up(self) -> None:
        """See `Maker`: nobody signs in at the replicas."""

    def make(self, first: int, last: int, keep: Sequence[int]) -> list[Credential]:
        """See `Maker`."""
        asked = {"first": first, "last": last, "keep": list(keep), "accounts": self._accounts}
        to, answers = self._process.stdin, self._process.stdout
        if to is None or answers is None:
            raise TypeError("a process without pipes")
        with contextlib.suppress(BrokenPipeError):  # it has ended, and its answer is then none
            to.write(json.dumps(asked) + "\n")
            to.flush()
        answer = answers.readline()
        if not answer:
            raise VerificationError(f"making sessions failed (exit status {self._process.wait()}); see its log")
        return [
            credentials.from_reply(each["body"].encode(), [line.encode() for line in each["set_cookies"]])
            for each in json.loads(answer)
        ]


@contextlib.contextmanager
def by_scheme(environment: Mapping[str, str], accounts: int, reaper: Reaper, log: Any) -> Iterator[ByScheme]:
    """Run this file with a replica's environment; what it says goes to the open file `log`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtests.making_sessions"],
        env={**environment, **reaper.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    reaper.note(process.pid)
    try:
        yield ByScheme(process, accounts)
    finally:
        process.kill()
        process.communicate()


def main() -> int:
    """Answer each line of standard input until there are no more."""
    settings = Settings.from_environ(os.environ)
    store = None if settings.store_url is None else stores.open_store(settings.store_url, settings.store_timeout_ms)
    scheme, users = schemes.open_scheme(settings, store), UserTable(settings.users_db)
    for line in sys.stdin:
        asked = json.loads(line)
        keep, kept = frozenset(asked["keep"]), []
        for number in range(asked["first"], asked["last"]):
            account = users.find(user_name(number % asked["accounts"], asked["accounts"]))
            if account is None:
                raise ValueError(f"there is no user {number}")
            issued = scheme.log_in(account, _FROM)
            if number in keep:
                cookies = [value for name, value in issued.headers if name == "Set-Cookie"]
                kept.append({"body": json.dumps({"credential": issued.credential}), "set_cookies": cookies})
        sys.stdout.write(json.dumps(kept) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
