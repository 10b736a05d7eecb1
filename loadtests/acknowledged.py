"""What a user was told was written, and what of it an answer no longer shows.

Each change of a user's state raises its serial number by one; an answer bears the number, and what was written last.
Both belong to one sign-in. Whose sign-in is gone is refused and has lost it, and not a write; a write is lost where the
sign-in is still there and its state is older than was acknowledged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Loss:
    """An answer at `at_ns` showed serial `shown` after `acknowledged` had been acknowledged as `text`.

    `came_back_ns` is when a later answer had it all the same (a copy that lagged); None while none had.
    """

    user: int
    at_ns: int
    acknowledged: int
    shown: int
    text: str
    came_back_ns: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For trial.json."""
        return {name: value for name, value in asdict(self).items() if name != "text"}


@dataclass
class Acknowledged:
    """One user's ledger. Times in ns of the samples' clock."""

    user: int
    losses: list[Loss] = field(default_factory=list)
    _serial: int = 0
    _text: str = ""
    _open: Loss | None = None  # may still come back

    def signed_in(self) -> None:
        """A sign-in begins: nothing is acknowledged in it yet."""
        self._serial, self._text, self._open = 0, "", None

    def read(self, serial: int, text: str, at_ns: int) -> bool:
        """An answer showed this state; returns whether it lacks something acknowledged.

        A higher number is no fault: a change whose answer was lost may have been written.
        """
        self._look_for_lost(serial, text, at_ns)
        if serial < self._serial:
            return self._lost(serial, at_ns)
        self._serial, self._text = serial, text
        return False

    def wrote(self, serial: int, text: str, at_ns: int) -> bool:
        """A change was acknowledged under this number; returns whether it was made to a state that lacks something.

        The number is one more than the state had, which then can no longer come back under its own.
        """
        self._look_for_lost(serial - 1, "", at_ns)
        lacks = serial - 1 < self._serial and self._lost(serial - 1, at_ns)
        self._serial, self._text, self._open = serial, text, None
        return lacks

    def _lost(self, serial: int, at_ns: int) -> bool:
        self._open = Loss(self.user, at_ns, self._serial, serial, self._text)
        self.losses.append(self._open)
        self._serial = serial  # what is lost is counted once
        return True

    def _look_for_lost(self, serial: int, text: str, at_ns: int) -> None:
        """A state as late as one that was missed, and not of a change since then, has it."""
        missed = self._open
        if missed and (serial > missed.acknowledged or (serial == missed.acknowledged and text in ("", missed.text))):
            missed.came_back_ns = at_ns
            self._open = None
