"""Cookies that carry a credential: `__Host-`, so that no other host and no plain HTTP can set or see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_BYTES = 4096  # RFC 6265, 6.1: what a browser keeps of one cookie with its name, value and attributes


def cookie_value(environ: Mapping[str, Any], name: str) -> str | None:
    """The value. Two cookies of the name are none: one of them is somebody else's doing."""
    found = [
        value
        for each, _, value in (pair.strip().partition("=") for pair in environ.get("HTTP_COOKIE", "").split(";"))
        if each == name
    ]
    return found[0] if len(found) == 1 else None


def set_cookie(name: str, value: str, max_age_s: int) -> tuple[str, str]:
    """The header line."""
    return "Set-Cookie", f"{name}={value}; Max-Age={max_age_s}; Path=/; Secure; HttpOnly; SameSite=Strict"
