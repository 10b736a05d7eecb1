"""Verify a target before timing it: that it answers as expected, and that its check of the user is really on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from loadtests import samples
from loadtests.client import Answer, HttpClient, client_of
from loadtests.targets.conversation import NOBODY, Asked, Conversation, told
from loadtests.targets.people import people_of
from loadtests.targets.spec import Request, Target, TargetError

_TIMEOUT_S = 10.0


def verify_target(target: Target) -> dict[str, Any]:
    """Ask for every behaviour that the figures rest on; returns what was seen, for trial.json.

    Each read that is not public is refused without a credential; somebody can sign in; then every request is answered
    as it is expected to be; and one with a credential of which a letter was changed is refused. What changes something
    without a credential is not sent: a CSRF check may refuse it first, in its own way.

    Raises:
        TargetError: says which target did what.
        SpecError: nobody can sign in, for want of names.

    """
    people = people_of(target)
    authority = Path(target.authority) if target.authority else None
    with contextlib.closing(client_of(target.url, authority, _TIMEOUT_S)) as client:
        talk = Conversation(target, people[-1] if people else NOBODY)
        guarded = _guarded(target)
        for request in guarded:
            _expect(target, talk, client, talk.asked_by_nobody(request), samples.REFUSED, "without a credential")
        talk = Conversation(target, people[-1] if people else NOBODY)
        wrong = talk.sign_in(lambda asked: _send(client, talk, asked))
        if wrong:
            raise TargetError(f"{target.name} at {target.url}: the sign-in failed: {wrong}")
        for request in target.requests:
            _expect(target, talk, client, talk.asked(request), samples.OK, "by who has signed in")
        _check_forgery(target, talk, client, guarded)
    return {
        "refused_without_credential": [each.title for each in guarded],
        "refused_with_forged_credential": [each.title for each in guarded[:1]],
        "answered": [each.title for each in target.requests],
        "shows_the_user": [each.title for each in target.requests if each.expect.names_user],
    }


def _guarded(target: Target) -> list[Request]:
    """The reads that need a credential; where there are none, the first request that does."""
    if target.login is None:
        return []
    closed = [each for each in target.requests if not each.public]
    return [each for each in closed if not each.changes] or closed[:1]


def _check_forgery(target: Target, talk: Conversation, client: HttpClient, guarded: list[Request]) -> None:
    for request in guarded[:1]:
        if not talk.asked(request).credential:
            raise TargetError(f"{target.name} at {target.url}: the sign-in left nothing to send: no cookie was set")
        what = "with a credential that nobody issued"
        _expect(target, talk, client, talk.asked_by_a_forger(request), samples.REFUSED, what)


def _expect(target: Target, talk: Conversation, client: HttpClient, asked: Asked, outcome: str, how: str) -> None:
    answer = _send(client, talk, asked)
    if isinstance(answer.failure, ConnectionRefusedError):
        raise TargetError(f"{target.name}: nothing answers at {target.url}; start it first, or correct its url")
    found = talk.judge(asked, answer)
    if found != outcome:
        wanted = {samples.REFUSED: "a refusal", samples.OK: "the answer that counts"}[outcome]
        raise TargetError(
            f"{target.name} at {target.url}: {asked.method.decode()} {asked.path.decode()} {how}: expected {wanted}, "
            f"got {told(answer)}"
        )


def _send(client: HttpClient, talk: Conversation, asked: Asked) -> Answer:
    answer = client.request(asked.method, asked.path, asked.credential + asked.lines, asked.body)
    talk.heard(answer)
    return answer
