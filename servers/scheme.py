"""What an authentication scheme is: how it recognises a user, and what it tells the client to send.

A scheme sees a request as its WSGI environ (PEP 3333) and answers with values; it knows no framework. Each is one file
in `servers/schemes/` with its `FACTS` and an `open_scheme(settings, store)`.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from servers.options import Option
from servers.session_store import Session, Store
from servers.users import Account

Environ = Mapping[str, Any]
_USER_AGENT_LENGTH = 200


@dataclass(frozen=True)
class SchemeFacts:
    """What the harness may know of a scheme without opening it.

    Attributes:
        name: as on the axis.
        uses_store: it keeps state on the server's side.
        authenticates: False for the floor that the others are compared with.
        rank: the place in lists and charts.
        recognises_by_store: a request is recognised by what the store holds, so that a replica which does not share
            the store refuses it.
        options: axes that belong to this scheme.
        store_when: values of options with which it keeps state although `uses_store` is False.
        stores: the only stores it can do with; empty for all.
        package: what must be installed beside the locked packages, as imported; None for nothing. Such a scheme is
            somebody else's: it opens its store by itself.

    """

    name: str
    uses_store: bool
    authenticates: bool
    rank: int
    recognises_by_store: bool = False
    options: tuple[Option, ...] = ()
    store_when: Mapping[str, frozenset[str]] = field(default_factory=dict)
    stores: tuple[str, ...] = ()
    package: str | None = None

    def needs_store(self, options: Mapping[str, str]) -> bool:
        """Whether it keeps state on the server's side with these options (name to value)."""
        return self.uses_store or any(options.get(name) in values for name, values in self.store_when.items())

    def missing(self) -> str | None:
        """What to say when its package is not installed; None when it is, or none is needed."""
        if self.package is None or importlib.util.find_spec(self.package) is not None:
            return None
        return (
            f"scheme {self.name} needs the package {self.package}, which is not installed: "
            "`make contestants`, or pip install 'authscale[contestants]'"
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request is from and the sign-in's state.

    Where the credential itself carries them: `expires`, when it ends, in seconds since the epoch; `sign_in`, the name
    of the sign-in it belongs to; `signed_in_ns`, when that began.
    """

    user: str
    role: str
    display_name: str
    serial: int
    session: Session | None = None
    expires: int | None = None
    sign_in: str | None = None
    signed_in_ns: int | None = None


@dataclass(frozen=True)
class Issued:
    """What a client gets to identify itself by: for the body, and header lines for the answer."""

    credential: Mapping[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


def new_session(
    id_: str, account: Account, environ: Environ, absolute_s: int, state: Mapping[str, Any] | None = None
) -> Session:
    """The record of a sign-in that begins now, and of the client it came from; `state` comes beside its own."""
    now = round(time.time(), 3)  # as precise as a record keeps it
    # the balancer adds the client's address as the last one; what stands before it the client wrote itself
    address = str(environ.get("HTTP_X_FORWARDED_FOR", environ.get("REMOTE_ADDR", ""))).split(",")[-1].strip()
    return Session(
        id=id_,
        user=account.name,
        role=account.role,
        created=now,
        last_accessed=now,
        expires=round(now + absolute_s, 3),
        address=address,
        user_agent=environ.get("HTTP_USER_AGENT", "")[:_USER_AGENT_LENGTH],
        state={"display_name": account.name, "serial": 0, **(state or {})},
    )


def live_sessions(store: Store, user: str, idle_s: int) -> list[Session]:
    """The user's sessions whose absolute limit is still to come; the store knows the idle one."""
    now = time.time()
    return [each for each in store.list_by_user(user, idle_s) if each.expires > now]


def end_live_session(store: Store, user: str, id_: str, idle_s: int) -> bool:
    """End one of the user's own sessions; False where it is none of theirs."""
    # ids are hashes, so that telling them tells nothing; a user's index and record both name the user
    if id_ not in {each.id for each in live_sessions(store, user, idle_s)}:
        return False
    return store.delete(id_, user)


class NotAuthenticatedError(Exception):
    """No credential, or none that counts: a 401 with `challenge` as its WWW-Authenticate (RFC 9110, 11.6.1)."""

    def __init__(self, reason: str, challenge: str) -> None:
        super().__init__(reason)
        self.challenge = challenge


class ForbiddenError(Exception):
    """A credential that counts, on a request that must not be served: a 403."""


class ConflictError(Exception):
    """The state changed under the request: a 409, and nothing was written."""


class NoSessionsError(Exception):
    """This scheme keeps no sessions that could be listed, ended or refreshed."""


class Scheme(Protocol):
    """One way to recognise a user. Every method may raise StoreUnavailableError where there is a store."""

    def authenticate(self, environ: Environ) -> Identity:
        """Who sent this. Raises NotAuthenticatedError."""

    def guard_change(self, environ: Environ, identity: Identity) -> None:
        """Raises ForbiddenError where a change of state needs more than the credential, as with cookies."""

    def log_in(self, account: Account, environ: Environ) -> Issued:
        """A new credential for a user whose password was right; an earlier one that came along ends."""

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """Change the sign-in's state; Issued where the client must send something else from now on."""

    def log_out(self, identity: Identity) -> tuple[tuple[str, str], ...]:
        """End this sign-in as far as the scheme can; returns header lines for the answer."""

    def refresh(self, refresh_token: str | None, environ: Environ) -> Issued:
        """A new credential for one that renews. Raises NotAuthenticatedError, NoSessionsError."""

    def log_out_everywhere(self, user: str) -> int:
        """End every sign-in of the user. Raises NoSessionsError."""

    def sessions(self, identity: Identity) -> list[Session]:
        """The user's live sessions. Raises NoSessionsError."""

    def end_session(self, identity: Identity, id_: str) -> bool:
        """End one of the user's own sessions. Raises NoSessionsError."""

    def jwks(self) -> list[Mapping[str, Any]]:
        """Public keys that verify this scheme's tokens (RFC 7517)."""


@runtime_checkable
class FlaskExtension(Protocol):
    """A scheme that is an extension of Flask and must be registered with the application: somebody else's."""

    def install(self, app: Any) -> None:
        """Register with the Flask application before it serves.

        A session interface put in place of the application's must start the request's clock: it is called first.
        """


@dataclass
class WithoutSessions:
    """The answers of a scheme that keeps nothing on the server's side."""

    _reason: str = field(default="this scheme keeps no sessions on the server", init=False, repr=False)

    def guard_change(self, environ: Environ, identity: Identity) -> None:
        """Nothing more is asked: the browser sends nothing by itself."""

    def refresh(self, refresh_token: str | None, environ: Environ) -> Issued:  # noqa: ARG002 - the same for everybody
        """See `Scheme`."""
        raise NoSessionsError("this scheme's credentials are not refreshed; sign in again")

    def log_out_everywhere(self, user: str) -> int:  # noqa: ARG002 - the same for everybody
        """See `Scheme`."""
        raise NoSessionsError(self._reason)

    def sessions(self, identity: Identity) -> list[Session]:  # noqa: ARG002 - the same for everybody
        """See `Scheme`."""
        raise NoSessionsError(self._reason)

    def end_session(self, identity: Identity, id_: str) -> bool:  # noqa: ARG002 - the same for everybody
        """See `Scheme`."""
        raise NoSessionsError(self._reason)

    def log_out(self, identity: Identity) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 - the same for everybody
        """Nothing on the server ends: what the client still has stays good until it expires."""
        return ()

    def jwks(self) -> list[Mapping[str, Any]]:
        """No public keys: a symmetric key is nobody's to publish."""
        return []
