"""Signed-in readers: everybody logs in once before measuring, then reads pages that need a signed-in user.

By hand: locust -f loadtests/scenarios/browse.py --host URL
"""

from locust import task

from loadtests.virtual_user import VirtualUser


class Reader(VirtualUser):
    """Reads, nothing else: the cost of recognising a user."""

    @task
    def read(self) -> None:
        """One authenticated read."""
        self.me()
