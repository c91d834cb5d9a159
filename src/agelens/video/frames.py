"""What a frame is, and what frames are read from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["USUAL_RATE", "FrameSource", "RawFrame", "VideoSource", "usable_rate"]

VideoSource = str | os.PathLike[str] | bytes | int

USUAL_RATE: Final = 25.0  # frames a second, of what names none
HIGHEST_RATE: Final = 240.0  # more is a clock, and no rate


@dataclass(frozen=True, slots=True, eq=False)
class RawFrame:
    """A decoded frame.

    Attributes:
        index: 0, 1, …, of those that could be decoded.
        time: seconds since the first one; rises from frame to frame.
        image: (H, W, 3) uint8 RGB, upright.
    """

    index: int
    time: float
    image: npt.NDArray[np.uint8]


@runtime_checkable
class FrameSource(Protocol):
    """What frames are read from.

    Attributes:
        name: for messages.
        rate: frames a second, on average, above 0; of clips of varying rate a guess.
        count: frames in all, about; 0 where nobody knows.
        live: of a camera: frames that nobody takes in time are gone.
        broken: pieces that could not be decoded so far.
    """

    name: str
    rate: float
    count: int
    live: bool
    broken: int

    def frames(self) -> Iterator[RawFrame]:
        """The frames, in order; once."""
        ...

    def close(self) -> None:
        """Give back the file or device."""
        ...


def usable_rate(*rates: float | None) -> float:
    """The first of several frames a second that can be one."""
    return next((float(rate) for rate in rates if rate is not None and 0 < rate <= HIGHEST_RATE), USUAL_RATE)
