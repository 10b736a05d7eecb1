"""How a session is kept in a server that speaks the Redis protocol: keys, values, and the commands on them.

Keys: `session:<id>` holds the record, before it the time of the last touch in 13 digits (ms), and expires by itself;
`sessions-of:<user>` is a sorted set of the user's ids, scored by the time they end at the latest; `mark:<key>` is a
mark.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from servers.session_store import Session

Command = Sequence[Any]

_TIME_DIGITS = 13
# Compares the whole record, without the time of the last touch: it is written by create and by this script alone, so
# equal bytes are the same version.
_UPDATE = """
local found = redis.call('GET', KEYS[1])
if not found or string.sub(found, 14) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_TOUCH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SETRANGE', KEYS[1], 0, ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


def key(id_: str) -> str:
    """Of a session."""
    return f"session:{id_}"


def index(user: str) -> str:
    """The key of the sorted set of a user's session ids."""
    return f"sessions-of:{user}"


def mark(name: str) -> str:
    """Of a mark."""
    return f"mark:{name}"


def decoded(id_: str, value: bytes) -> Session:
    """The session that is kept as `value`."""
    return Session.decode(id_, int(value[:_TIME_DIGITS]) / 1000, value[_TIME_DIGITS:])


def add_to_index(session: Session) -> tuple[Command, ...]:
    """The index then has it, lives as long as the last of its sessions, and is rid of those whose time is over."""
    own, ends = index(session.user), int(session.expires) + 1
    return (
        ("ZADD", own, ends, session.id),
        ("ZREMRANGEBYSCORE", own, "-inf", int(session.created) - 1),
        ("EXPIREAT", own, ends, "NX"),
        ("EXPIREAT", own, ends, "GT"),
    )


def keep_new(session: Session, idle_s: int) -> Command:
    """Answers None when the id is in use."""
    return "SET", key(session.id), _stamped(session), "NX", "EX", idle_s


def touch(id_: str, idle_s: int) -> Command:
    """Answers 0 when there is no such session."""
    return "EVAL", _TOUCH, 1, key(id_), _stamp(time.time()), idle_s


def update(old: Session, new: Session, idle_s: int) -> Command:
    """Answers 0 when what is there is not `old`."""
    return "EVAL", _UPDATE, 1, key(old.id), old.encode(), _stamped(new), idle_s


def look_at(ids: Iterable[str]) -> list[Command]:
    """Two commands for each session; `seen` reads their answers."""
    return [command for id_ in ids for command in (("GET", key(id_)), ("PTTL", key(id_)))]


def seen(ids: Sequence[str], answers: Sequence[Any], idle_s: int) -> list[Session]:
    """The sessions that are there, each with the time of its last access."""
    now = time.time()
    found = ((decoded(id_, value), left_ms) for id_, value, left_ms in _by_three(ids, answers) if value is not None)
    # its time to live was the idle limit when it was last accessed
    return [each.accessed(max(each.created, now + left_ms / 1000 - idle_s)) for each, left_ms in found]


def _by_three(ids: Sequence[str], answers: Sequence[Any]) -> Iterable[tuple[str, Any, Any]]:
    return zip(ids, answers[::2], answers[1::2], strict=True)


def _stamp(seconds: float) -> bytes:
    return b"%013d" % (seconds * 1000)


def _stamped(session: Session) -> bytes:
    return _stamp(session.last_accessed) + session.encode()
