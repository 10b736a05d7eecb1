"""The twins' users as credentials of a `[target]`: `python -m loadtests.people --users 200 > people.csv`.

For twins that run elsewhere, as on a cluster, and are measured like anybody's service. Their password is no secret.
"""

from __future__ import annotations

import argparse
import csv
import sys

from servers.users import PASSWORD, user_name


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.people", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, required=True, help="how many, from the first on")
    parser.add_argument("--accounts", type=int, default=10_000, help="size of the user table (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if not 0 < arguments.users <= arguments.accounts:
        parser.error(f"--users must lie between 1 and the {arguments.accounts} accounts, not {arguments.users}")
    rows = ((user_name(number, arguments.accounts), PASSWORD) for number in range(arguments.users))
    csv.writer(sys.stdout, lineterminator="\n").writerows([("username", "password"), *rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
