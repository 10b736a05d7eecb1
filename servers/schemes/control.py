"""No authentication: the floor that every other scheme's cost is counted from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from servers.scheme import Environ, Identity, Issued, SchemeFacts, WithoutSessions
from servers.session_store import Store
from servers.users import Account, user_name

if TYPE_CHECKING:
    from servers.settings import Settings

FACTS = SchemeFacts(name="control", uses_store=False, authenticates=False, rank=0)

# as long as any other user's name, so that the answer has as many bytes
_NOBODY = Identity(user_name(0, 1), "reader", user_name(0, 1), 0)


def open_scheme(settings: Settings, store: Store | None) -> ControlScheme:  # noqa: ARG001 - it needs nothing
    """The floor."""
    return ControlScheme()


class ControlScheme(WithoutSessions):
    """Everybody is the same user; see `servers.scheme.Scheme`."""

    def authenticate(self, environ: Environ) -> Identity:  # noqa: ARG002 - it does not look
        """See `Scheme`."""
        return _NOBODY

    def log_in(self, account: Account, environ: Environ) -> Issued:  # noqa: ARG002
        """See `Scheme`."""
        return Issued({"kind": "none"})

    def change(self, identity: Identity, display_name: str) -> tuple[Identity, Issued | None]:
        """See `Scheme`."""
        return replace(identity, display_name=display_name, serial=identity.serial + 1), None
