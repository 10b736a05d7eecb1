"""From `[target]` of an experiment's file to targets; whatever is unknown, missing or wrong is refused by name.

The keys are docs/file-formats.md. What all systems share stands in `[target]`; `[[target.systems]]` names several, each
of which may say anything anew. A target's `document` has all of it in one table, and is read by the same rules again.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtests.keys import Kinds, check_keys
from loadtests.targets.messages import NAME, USERNAME, hidden, login, refusal, request, table
from loadtests.targets.spec import Request, Target
from topology.spec import SpecError

_FILES = ("credentials", "pid_file", "authority")
_SHARED: Kinds = {
    "url": str, "requests": list, "login": dict, "csrf": dict, "refused": dict, "allow_remote": bool,
    "credentials": str, "credentials_env": str, "pid_file": str, "authority": str,
}  # fmt: skip
_MOST_REQUESTS = 100


def targets_of(section: Mapping[str, Any], folder: Path) -> tuple[Target, ...]:
    """The systems of `[target]`, in order; files that it names lie beside it, in `folder`. Raises SpecError."""
    check_keys("[target]", section, {}, {**_SHARED, "name": str, "systems": list})
    shared = {name: value for name, value in section.items() if name != "systems"}
    systems = section.get("systems")
    if systems is None:
        systems = [{"name": shared.get("name", "target")}]
    elif "name" in shared:
        raise SpecError("[target]: name is of a target alone; of several each has its own in [[target.systems]]")
    if not systems:
        raise SpecError("[target]: systems: at least one is needed, or none at all and its keys in [target]")
    tables = ({**table("[[target.systems]]", each), **_less(shared, each)} for each in systems)
    made = tuple(target_of(_beside(each, folder)) for each in tables)
    names = [each.name for each in made]
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"[[target.systems]]: {name} stands there more than once")
    return made


def target_of(document: Mapping[str, Any]) -> Target:
    """The target of one table with everything in it, as run.json has it. Raises SpecError."""
    name = str(document.get("name", "target"))
    where = f"[target] {name}"
    check_keys(where, document, {"name": str, "url": str, "requests": list}, _SHARED)
    if not NAME.fullmatch(name):
        raise SpecError(f"[target]: name {name!r}: small letters, digits, - and _, at most 40, such as my-app")
    url = _url(where, document["url"], remote=document.get("allow_remote", False))
    signs_in = login(f"{where} login", document["login"]) if "login" in document else None
    if not 1 <= len(document["requests"]) <= _MOST_REQUESTS:
        raise SpecError(f"{where}: requests: from 1 to {_MOST_REQUESTS} are needed, [[target.requests]] each")
    requests = tuple(request(f"{where} requests", each) for each in document["requests"])
    _names(where, requests, signs_in=signs_in is not None)
    _credentials(where, document, needed=signs_in is not None)
    csrf = hidden(f"{where} csrf", document["csrf"]) if "csrf" in document else None
    return Target(
        name=name,
        url=url,
        requests=requests,
        document=dict(document),
        login=signs_in,
        csrf=csrf,
        refused=refusal(f"{where} refused", document.get("refused", {})),
        **{key: document[key] for key in (*_FILES, "credentials_env") if key in document},
    )


def _less(shared: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    """What a system takes over; where it has a source of credentials of its own, not the other kind of one as well."""
    sources = {"credentials", "credentials_env"}
    said = set(system) | (sources if sources & set(system) else set())
    return {name: value for name, value in shared.items() if name not in said}


def _beside(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The document with its files named from where this program runs, or outright where they lie elsewhere."""
    here = Path.cwd()
    for key in _FILES:
        if isinstance(document.get(key), str):
            path = Path(os.path.normpath(folder.absolute() / document[key]))
            document[key] = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return document


def _url(where: str, text: str, *, remote: bool) -> str:
    """The address without anything behind it. Raises SpecError for one that is not on loopback unless `remote`."""
    address = urlsplit(text)
    try:
        port = address.port
    except ValueError as error:
        raise SpecError(f"{where}: url {text!r}: {error}") from error
    if address.scheme not in ("http", "https") or not address.hostname or port == 0:
        raise SpecError(f"{where}: url {text!r} is none, such as http://127.0.0.1:8000")
    if address.path.strip("/") or address.query or address.fragment or address.username or ":" in address.hostname:
        raise SpecError(f"{where}: url {text!r}: scheme, host and port alone; a path belongs to each request's path")
    if not remote and not _is_loopback(address.hostname):
        raise SpecError(
            f"{where}: {address.hostname} is not on loopback; load goes elsewhere only with allow_remote = true, "
            "and only with its owner's leave"
        )
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names(where: str, requests: tuple[Request, ...], *, signs_in: bool) -> None:
    names = [each.name for each in requests]
    for each in requests:
        if names.count(each.name) > 1:
            raise SpecError(f"{where}: requests: {each.name} stands there more than once")
        if each.expect.names_user and not signs_in:
            raise SpecError(f"{where}: requests: {each.name} expects {USERNAME}, and nobody signs in: [target.login]")
    if signs_in and all(each.public for each in requests):
        raise SpecError(f"{where}: every request is public, so the sign-in would not be seen to matter")


def _credentials(where: str, document: Mapping[str, Any], *, needed: bool) -> None:
    given = [key for key in ("credentials", "credentials_env") if key in document]
    if needed and not given:
        raise SpecError(f"{where}: 'credentials' is missing: a file of username,password, or credentials_env")
    if len(given) > 1:
        raise SpecError(f"{where}: credentials and credentials_env: one source alone")
