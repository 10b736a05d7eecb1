"""What a server counts of itself, over all its lives: a server that was ended and started again counts from zero."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Reader = TypeVar("Reader", bound=Callable[[], Any])
Count = TypeVar("Count")


class Lives(Generic[Reader, Count]):
    """Reads one server's counters; what its earlier lives counted is in it.

    Attributes:
        reader: of the present life.
        held: whether the server is silent on purpose (dead or frozen), so that what is known is the answer.

    """

    def __init__(self, begin: Callable[[], Reader], add: Callable[[Count, Count], Count], nothing: Count) -> None:
        self.reader = begin()
        self.held = False
        self._begin, self._add = begin, add
        self._earlier = self._known = nothing

    def __call__(self) -> Count:
        """Read once, or say what is known of one that is held. Raises OSError when the server does not answer."""
        if not self.held:
            self._known = self._add(self._earlier, self.reader())
        return self._known

    def hold(self) -> None:
        """Read for the last time before the server falls silent; of one that does not answer, what was last read."""
        with contextlib.suppress(OSError):
            self()
        self.held = True

    def go_on(self) -> None:
        """It answers again, and has forgotten nothing."""
        self.held = False

    def begin_again(self) -> None:
        """It is a new process, which counts from zero."""
        self._earlier, self.reader, self.held = self._known, self._begin(), False
