"""The routing cookie: carried in the one Cookie line there may be, and followed when it changes."""

import pytest

from loadtests.routing import NOWHERE, followed, lines_with

ROUTE = b"route=replica-1"


def head(*fields: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *fields)) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"", b"Cookie: route=replica-1\r\n"),
        (b"Authorization: Bearer x\r\n", b"Authorization: Bearer x\r\nCookie: route=replica-1\r\n"),
        (b"Cookie: a=b\r\nX-CSRF-Token: c\r\n", b"Cookie: a=b; route=replica-1\r\nX-CSRF-Token: c\r\n"),
    ],
)
def test_there_is_one_cookie_line(lines: bytes, said: bytes):
    assert lines_with(lines, ROUTE) == said
    assert lines_with(lines, NOWHERE) == lines


@pytest.mark.parametrize("name", [b"Set-Cookie", b"set-cookie"])
def test_the_last_word_is_the_balancers(name: bytes):
    told = head(b"Server: x", name + b": __Host-session=1; Path=/", name + b": route=replica-2; path=/; HttpOnly")
    assert followed(NOWHERE, told) == followed(ROUTE, told) == b"route=replica-2"


@pytest.mark.parametrize(
    "told",
    [head(b"Server: x"), head(b"Set-Cookie: __Host-session=1; Path=/"), head(b"Set-Cookie: reroute=replica-2"), b""],
)
def test_an_answer_that_says_nothing_of_it_leaves_it(told: bytes):
    assert followed(ROUTE, told) == ROUTE
    assert followed(NOWHERE, told) == NOWHERE


def test_a_sign_out_that_clears_the_browsers_cookies_clears_this_one():
    assert followed(ROUTE, head(b'clear-site-data: "cache", "cookies", "storage"')) == NOWHERE
    assert followed(ROUTE, head(b'Clear-Site-Data: "*"')) == NOWHERE
    assert followed(ROUTE, head(b'Clear-Site-Data: "cache"')) == ROUTE
