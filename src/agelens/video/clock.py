"""Times of frames that rise, whatever a file says."""

from __future__ import annotations

from typing import Final

__all__ = ["Clock"]

BACK: Final = 1.0  # seconds that times may go back by, as where frames are out of order; more is another part's clock
JUMP: Final = 60.0  # seconds between two frames, more than which is another part's clock


class Clock:
    """Turns a file's times into seconds since the first frame.

    Attributes:
        shift: what the file's clock is ahead by, in seconds; changes where parts with clocks of their own were joined.
            None before the first frame.
    """

    def __init__(self, rate: float) -> None:
        """``rate`` is frames a second, for frames without a time."""
        self.shift: float | None = None
        self._step = 1 / rate
        self._last: float | None = None

    def of(self, shown: float | None) -> float:
        """Seconds of the next frame, above those of the one before; ``shown`` is its time by the file, or None."""
        if self._last is None:
            self.shift, self._last = shown or 0.0, 0.0
            return 0.0
        soon = self._last + self._step
        time = soon if shown is None else shown - (self.shift or 0.0)
        if shown is not None and not -BACK <= time - self._last <= JUMP:
            self.shift, time = shown - soon, soon
        self._last = time if time > self._last else self._last + self._step / 2
        return self._last
