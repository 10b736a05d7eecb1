"""Reads what an answer says for the next request: a hidden field of a page, a text in a JSON document, a redirect."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from loadtests.client import Answer


def hidden_value(body: bytes, name: str) -> str:
    """The value of the input `name`, or the content of such a meta, on a page; empty where there is none."""
    found = _Found(name)
    found.feed(body.decode("utf-8", "replace"))
    return found.value


class _Found(HTMLParser):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.value = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if said.get("name") == self._name and not self.value:
            self.value = {"input": said.get("value"), "meta": said.get("content")}.get(tag) or ""


def text_at(body: bytes, path: str) -> str | None:
    """The text or number at a dotted path of a JSON document, as text; None where there is none."""
    try:
        found: Any = json.loads(body)
    except ValueError:
        return None
    for key in path.split("."):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    if isinstance(found, bool) or not isinstance(found, (str, int, float)):
        return None
    return str(found)


def redirected_to(answer: Answer) -> str:
    """The path (and query) that an answer sends to; empty for one that does not."""
    if not 300 <= answer.status < 400:  # noqa: PLR2004 - redirection, RFC 9110
        return ""
    where = urlsplit(answer.headers.get(b"location", b"").decode("latin-1"))
    return where.path + (f"?{where.query}" if where.query else "")
