"""A login storm: everybody signs in, again and again; each arrival is one sign-in, and nothing else is asked.

What it costs is the check of the password, argon2id at `HASH_COST`, and the making of a credential. Nobody signs out:
where the server keeps sign-ins, they pile up as they do when users come back on another device.
By hand: locust -f loadtests/scenarios/login.py --host URL
"""

from locust import task

from loadtests.virtual_user import VirtualUser


class Arrival(VirtualUser):
    """Signs in as the same user every time."""

    @task
    def sign_in(self) -> None:
        """One sign-in, without the credential of the one before."""
        self.login()
