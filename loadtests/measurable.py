"""How many valid blocks a cell needs before any figure of it is given."""

from __future__ import annotations

FEWEST = 3
"""Blocks. Two give an interval that says nothing: Student's quantile is 12.7 there, and 4.3 with three."""


def fewest_valid(planned: int) -> int:
    """Return the valid blocks that a cell needs: three and half of what ran, or all where fewer were asked for.

    Half, because what makes a block invalid seldom has nothing to do with what it would have shown: where most are
    invalid, those that are left are the machine's quiet moments, and not what was asked about.
    """
    return min(planned, max(FEWEST, (planned + 1) // 2))
