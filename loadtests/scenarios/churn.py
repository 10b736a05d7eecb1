"""Users who come and go: sign-ins, reads, changes, renewals, sign-outs, and 10 requests in 100 that must be refused.

Real-life analogue: a shop on a busy day. A visit has some 20 requests; of five that end three are signed out of, the
others are just left. Three in a hundred come back with what has expired, three with what they signed out of, four
with what somebody made up; a kind that a user does not have at hand is made up instead. `LIFE_S` says how long a
credential lives: without it nothing expires within a trial.
By hand: locust -f loadtests/scenarios/churn.py --host URL
"""

import time

from locust import task

from loadtests import samples
from loadtests.past_credentials import PastCredentials, forged, is_good
from loadtests.virtual_user import VirtualUser


class Visitor(VirtualUser):
    """Each arrival is one request; a user without a credential that is still good gets one with the next one."""

    past: PastCredentials

    def arrive(self) -> None:
        """Three sign-ins: one is left to expire, one signed out of, and one is used."""
        self.past = PastCredentials()
        self.login()
        self._go_away()
        self.login()
        self._sign_out()
        self.login()

    def _visit(self, operation: str) -> None:
        if not self.signed_in:
            self.login()
        elif is_good(self.ends_ns, time.monotonic_ns()):
            getattr(self, operation)()
        else:
            self.past.leave(self.credential, self.ends_ns)
            (self.refresh if self.can_refresh else self.login)()

    def _sign_out(self) -> None:
        credential, ends_ns = self.credential, self.ends_ns
        if self.logout():
            self.past.revoke(credential, ends_ns)

    def _go_away(self) -> None:
        """Nobody tells the server: this one needs no request, so that the next visit begins with the sign-in."""
        self.past.leave(self.credential, self.ends_ns)
        self.forget()

    def _leave(self) -> None:
        self._go_away()
        self.login()

    def _renew(self) -> None:
        if self.can_refresh:
            self.past.leave(self.credential, self.ends_ns)
            self.refresh()
        else:
            self.me()

    def _expired(self) -> None:
        self._must_be_refused(samples.EXPIRED)

    def _revoked(self) -> None:
        self._must_be_refused(samples.REVOKED)

    def _forged(self) -> None:
        self._must_be_refused(samples.FORGED)

    def _must_be_refused(self, kind: str) -> None:
        if not self.credential.line:
            self.me()  # a server that asks for no credential refuses none
            return
        now_ns = time.monotonic_ns()
        found = {samples.EXPIRED: self.past.expired, samples.REVOKED: self.past.revoked}.get(kind)
        credential = found(now_ns) if found else None
        if credential is None:
            kind, credential = samples.FORGED, forged(self.credential)
        self.try_me(kind, credential)

    @task(74)
    def read(self) -> None:
        """An authenticated read."""
        self._visit("me")

    @task(8)
    def change(self) -> None:
        """A change of state."""
        self._visit("profile")

    @task(3)
    def renew(self) -> None:
        """A refresh, or a read for want of something to refresh."""
        self._visit("_renew")

    @task(3)
    def sign_out(self) -> None:
        """A sign-out."""
        self._visit("_sign_out")

    @task(2)
    def come_back(self) -> None:
        """The end of a visit without a sign-out, and the sign-in of the next."""
        self._visit("_leave")

    @task(3)
    def come_back_late(self) -> None:
        """A read with a credential that has expired."""
        self._visit("_expired")

    @task(3)
    def go_back(self) -> None:
        """A read with a credential that was signed out of, as a stolen one is."""
        self._visit("_revoked")

    @task(4)
    def make_up(self) -> None:
        """A read with a credential that nobody issued."""
        self._visit("_forged")
