"""How many valid blocks a cell needs before any figure of it is given."""

from __future__ import annotations


def fewest_valid(planned: int) -> int:
    """Return the valid blocks that a cell needs: half of those that ran.

    Half, because what makes a block invalid seldom has nothing to do with what it would have shown: where most are
    invalid, those that are left are the machine's quiet moments, and not what was asked about. How little two or three
    say is in the width of their interval.
    """
    return (planned + 1) // 2
