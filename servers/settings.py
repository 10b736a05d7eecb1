"""A replica's whole configuration, read from the environment and checked before anything is served."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from servers import schemes
from servers.keys import Keys, load_keys
from servers.scheme import SchemeFacts
from servers.unsafe import Unsafe

MAX_SPIN_US = 10_000
MAX_WORK_MS = 1_000


class SettingsError(ValueError):
    """A variable that is missing or wrong: which one, and what it takes."""


@dataclass(frozen=True)
class Settings:
    """See `from_environ` for the variables."""

    scheme: str
    store_url: str | None
    replica_name: str
    users_db: Path
    keys: Keys
    session_idle_s: int = 1800
    session_absolute_s: int = 43200
    session_touch_interval_s: int = 60
    token_ttl_s: int = 900
    token_issuer: str = "authscale"  # noqa: S105 - a name
    token_audience: str = "authscale"  # noqa: S105 - a name
    store_timeout_ms: int = 1000
    options: Mapping[str, str] = field(default_factory=dict)  # of the scheme, by name; every one has its value
    token_keys_file: Path | None = None
    spin_us: int = 0
    unsafe: Unsafe = field(default_factory=Unsafe)
    work_ms: int = 0
    work_cpu_ms: int = 0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read AUTH_SCHEME, STORE_URL (where the scheme uses a store), USERS_DB, SECRET_FILE, REPLICA_NAME.

        And, with defaults: SESSION_IDLE_SECONDS, SESSION_ABSOLUTE_SECONDS, TOKEN_TTL_SECONDS, TOKEN_ISSUER,
        TOKEN_AUDIENCE, STORE_TIMEOUT_MS, SESSION_TOUCH_INTERVAL_SECONDS, TOKEN_KEYS_FILE, AUTH_SPIN_US, WORK_MS,
        WORK_CPU_MS, the variables of `servers.unsafe`, and those of the scheme's own options.

        Raises:
            SettingsError: names the variable.

        """
        known = schemes.facts()
        scheme = _required(environ, "AUTH_SCHEME", f"one of {', '.join(known)}")
        if scheme not in known:
            raise SettingsError(f"AUTH_SCHEME={scheme!r} is unknown; there are: {', '.join(known)}")
        if missing := known[scheme].missing():
            raise SettingsError(f"AUTH_SCHEME: {missing}")
        options = _options(environ, known[scheme])
        store_url = None
        if known[scheme].needs_store(options):
            store_url = _required(environ, "STORE_URL", "as memory:// or redis://host:port/0")
        idle_s = _seconds(environ, "SESSION_IDLE_SECONDS", cls.session_idle_s)
        absolute_s = _seconds(environ, "SESSION_ABSOLUTE_SECONDS", cls.session_absolute_s)
        if idle_s > absolute_s:
            raise SettingsError(f"SESSION_IDLE_SECONDS={idle_s} exceeds SESSION_ABSOLUTE_SECONDS={absolute_s}")
        settings = cls(
            scheme=scheme,
            store_url=store_url,
            replica_name=_replica_name(environ),
            users_db=Path(_required(environ, "USERS_DB", "the path of a seeded user table")),
            keys=_keys(environ),
            session_idle_s=idle_s,
            session_absolute_s=absolute_s,
            token_ttl_s=_seconds(environ, "TOKEN_TTL_SECONDS", cls.token_ttl_s),
            token_issuer=environ.get("TOKEN_ISSUER", cls.token_issuer),
            token_audience=environ.get("TOKEN_AUDIENCE", cls.token_audience),
            store_timeout_ms=_seconds(environ, "STORE_TIMEOUT_MS", cls.store_timeout_ms),
            session_touch_interval_s=_seconds(environ, "SESSION_TOUCH_INTERVAL_SECONDS", cls.session_touch_interval_s),
            options=options,
            token_keys_file=Path(environ["TOKEN_KEYS_FILE"]) if environ.get("TOKEN_KEYS_FILE") else None,
            spin_us=_up_to(environ, "AUTH_SPIN_US", MAX_SPIN_US),
            work_ms=_up_to(environ, "WORK_MS", MAX_WORK_MS),
            work_cpu_ms=_up_to(environ, "WORK_CPU_MS", MAX_WORK_MS),
            unsafe=_unsafe(environ),
        )
        try:
            schemes.check(settings)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        return settings


def _options(environ: Mapping[str, str], facts: SchemeFacts) -> dict[str, str]:
    options = {}
    for option in facts.options:
        try:
            options[option.name] = option.check(environ.get(option.variable, option.default))
        except ValueError as error:
            raise SettingsError(f"{option.variable}: {error}") from error
    return options


def _up_to(environ: Mapping[str, str], name: str, most: int) -> int:
    text = environ.get(name, "0")
    if not text.isascii() or not text.isdecimal() or int(text) > most:
        raise SettingsError(f"{name}={text!r} is not a whole number from 0 to {most}")
    return int(text)


def _unsafe(environ: Mapping[str, str]) -> Unsafe:
    try:
        return Unsafe.from_environ(environ)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _replica_name(environ: Mapping[str, str]) -> str:
    name = environ.get("REPLICA_NAME", "replica-0")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):  # it stands in a header of every answer
        raise SettingsError(f"REPLICA_NAME={name!r} takes 1 to 64 letters, digits, dots, hyphens and underscores")
    return name


def _keys(environ: Mapping[str, str]) -> Keys:
    path = _required(environ, "SECRET_FILE", "a file of 32 random bytes that all replicas share")
    try:
        return load_keys(Path(path))
    except (OSError, ValueError) as error:
        raise SettingsError(f"SECRET_FILE: {error}") from error


def _required(environ: Mapping[str, str], name: str, takes: str) -> str:
    if not environ.get(name):
        raise SettingsError(f"{name} is not set; it takes {takes}")
    return environ[name]


def _seconds(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 2**31:
        raise SettingsError(f"{name}={text!r} is not a whole number above 0")
    return int(text)
