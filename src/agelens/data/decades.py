"""Decades of age: 0-9, 10-19, … 80-89, 90+."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["DECADES", "decade_of"]

DECADES: Final = (*(f"{first}-{first + 9}" for first in range(0, 90, 10)), "90+")


def decade_of(ages: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
    """Where each age stands in ``DECADES``: (N,) years, none of them NaN → (N,) 0…9."""
    return np.asarray(np.clip(ages // 10, 0, len(DECADES) - 1), dtype=np.intp)
