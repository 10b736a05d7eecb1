"""A day on the site: mostly reads, some changes of state, now and then a sign-out, and a sign-in after it.

Real-life analogue: an office application, where 2 requests in 100 leave and somebody signs in again. Where the scheme
has refresh tokens, 3 in 100 renew the credential; where it has none they are reads, so that there are as many requests.
By hand: locust -f loadtests/scenarios/mixed.py --host URL
"""

from locust import task

from loadtests.virtual_user import VirtualUser


class Worker(VirtualUser):
    """Each arrival is one request; a user who is signed out signs in with the next one."""

    def _or_sign_in(self, operation: str) -> None:
        getattr(self, operation if self.signed_in else "login")()

    @task(77)
    def read(self) -> None:
        """An authenticated read."""
        self._or_sign_in("me")

    @task(3)
    def renew(self) -> None:
        """A refresh, or a read for want of something to refresh."""
        self._or_sign_in("refresh" if self.can_refresh else "me")

    @task(18)
    def change(self) -> None:
        """A change of state."""
        self._or_sign_in("profile")

    @task(2)
    def leave(self) -> None:
        """A sign-out."""
        self._or_sign_in("logout")
