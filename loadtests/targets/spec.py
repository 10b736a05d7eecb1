"""A target: one running service under an experiment's load, as values. What may stand in a file is `reading`'s to say.

A cell of an experiment has a `topology.spec.Topology` or one of these. What a topology has and nobody knows of somebody
else's service is `none` or 0 here: nothing is told of it, and nothing compared by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from topology.spec import NO_STORE

LOGIN, LOGIN_PAGE, CSRF_PAGE = "login", "login-page", "csrf-page"
"""Operations of a sign-in, as samples name them."""
UNKNOWN = "none"
"""Of a policy and a balancer."""
COOKIE, BEARER = "cookie", "bearer"


class TargetError(RuntimeError):
    """A running service does not do what the trial would time; says which one, and what it did."""


@dataclass(frozen=True)
class Expect:
    """Which answer counts. `json`: dotted path in the body to the text there; texts may name `{username}`."""

    status: tuple[int, ...] = (200,)
    body_contains: str = ""
    json: Mapping[str, str] = field(default_factory=dict)

    @property
    def names_user(self) -> bool:
        """Whether a right answer shows whom the service took the request to be from."""
        return any("{username}" in text for text in (self.body_contains, *self.json.values()))


@dataclass(frozen=True)
class Request:
    """What is sent. `body` is text, after `{username}` and `{password}`; `form` is what a form's body is made of."""

    name: str
    path: str
    method: str = "GET"
    weight: int = 1
    body: str = ""
    form: Mapping[str, str] | None = None
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    expect: Expect = field(default_factory=Expect)
    public: bool = False  # answered without a credential, too

    @property
    def changes(self) -> bool:
        """Whether it may change something, so that a CSRF token goes with it where there is one."""
        return self.method not in ("GET", "HEAD")

    @property
    def title(self) -> str:
        """For people: `GET /account`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Hidden:
    """A CSRF token: the value of input or meta `field` on the page at `path`, or of `cookie`.

    It goes back in `header`, and where there is none as `field` of a form.
    """

    path: str = ""
    field: str = ""
    cookie: str = ""
    header: str = ""


@dataclass(frozen=True)
class Login:
    """How to sign in, and what to send from then on: every cookie, or a token in the line that `header` shapes.

    `token` is its dotted path in the body of the answer; `page_token` what the form of the sign-in itself asks for.
    """

    request: Request
    credential: str = COOKIE
    token: str = "access_token"  # noqa: S105 - the name of a field
    header: str = "Authorization: Bearer {token}"
    page_token: Hidden | None = None


@dataclass(frozen=True)
class Refusal:
    """How the service refuses who it does not know: by a status, or by sending them to another page."""

    status: tuple[int, ...] = (401, 403)
    redirect_to: str = ""


@dataclass(frozen=True)
class Target:
    """A service, and how to talk to it. `document` is what an experiment said of it, for run.json: no credentials."""

    name: str
    url: str
    requests: tuple[Request, ...]
    document: Mapping[str, Any]
    login: Login | None = None
    csrf: Hidden | None = None
    refused: Refusal = field(default_factory=Refusal)
    authority: str = ""
    pid_file: str = ""
    credentials: str = ""
    credentials_env: str = ""

    @property
    def id(self) -> str:
        """Of its cell."""
        return self.name

    @property
    def scheme(self) -> str:
        """Its name: what cells are told apart by, as our own are by their scheme."""
        return self.name

    @property
    def store(self) -> str:
        """None that we know of."""
        return NO_STORE

    @property
    def replicas(self) -> int:
        """How many there are is not known."""
        return 0

    @property
    def threads(self) -> int:
        """The same."""
        return 0

    @property
    def policy(self) -> str:
        """The same."""
        return UNKNOWN

    @property
    def balancer(self) -> str:
        """The same."""
        return UNKNOWN

    @property
    def unusual(self) -> dict[str, str]:
        """No option of ours."""
        return {}

    @property
    def every_option(self) -> dict[str, str]:
        """The same."""
        return {}

    @property
    def sticky(self) -> bool:
        """The same."""
        return False

    @property
    def accepts_everywhere(self) -> bool:
        """What it refuses to a signed-in user is a fault: nobody said that it forgets."""
        return True

    @property
    def lags(self) -> bool:
        """The same."""
        return False

    @property
    def ends_at_once(self) -> bool:
        """Nothing of it is asked."""
        return True
