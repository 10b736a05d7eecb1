"""A day on the site: mostly reads, some changes of state, now and then a sign-out, and a sign-in after it.

Real-life analogue: an office application, where 2 requests in 100 leave and somebody signs in again.
By hand: locust -f loadtests/scenarios/mixed.py --host URL
"""

from locust import task

from loadtests.virtual_user import VirtualUser


class Worker(VirtualUser):
    """Each arrival is one request; a user who is signed out signs in with the next one."""

    def _or_sign_in(self, operation: str) -> None:
        getattr(self, operation if self.signed_in else "login")()

    @task(80)
    def read(self) -> None:
        """An authenticated read."""
        self._or_sign_in("me")

    @task(18)
    def change(self) -> None:
        """A change of state."""
        self._or_sign_in("profile")

    @task(2)
    def leave(self) -> None:
        """A sign-out."""
        self._or_sign_in("logout")
