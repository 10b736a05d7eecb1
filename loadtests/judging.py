"""Whether an answer is the one that the request had to get.

A request either has a credential that counts (or needs none), or one of `samples.MUST_REFUSE`: to that a 401 is right,
and any answer of success is a false accept.
"""

from __future__ import annotations

from http import HTTPStatus

from loadtests import samples
from loadtests.client import Answer


def outcome_of(answer: Answer, expected: int, name: str) -> str:
    """The sample's outcome; `name` is what the body of a right answer must hold, if anything."""
    if isinstance(answer.failure, TimeoutError):
        return samples.TIMEOUT
    if answer.failure is not None:
        return samples.FAILED
    if expected == HTTPStatus.UNAUTHORIZED:
        accepted = samples.ACCEPTED if 200 <= answer.status < 300 else samples.ERROR  # noqa: PLR2004 - success, RFC 9110
        return samples.OK if answer.status == expected else accepted
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return samples.REFUSED
    if answer.status != expected or name.encode() not in answer.body:
        return samples.ERROR
    return samples.OK
