"""How far a mean may be off, when other faces of the kind had been measured."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "mean_interval"]

LEVEL: Final = 0.95
RESAMPLES: Final = 1000
LARGE: Final = 20_000  # values, from which the mean is normal to more digits than resampling has
AT_ONCE: Final = 4_000_000  # numbers in memory


def mean_interval(values: npt.NDArray[Any], level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """Ends of the bootstrap interval of a mean, by percentiles of resampled means; of ``LARGE`` sets by the normal's.

    Args:
        values: (N,), N above 0.
        level: share of such intervals that shall hold the mean of the kind, above 0 and below 1.
        seed: of the resampling; the same gives the same ends.

    Raises:
        ValueError: there are no values, or the level is out of its range.

    Source: Efron, Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values have shape {values.shape}; wanted (N,), N above 0")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie within 0…1, both excluded")
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size >= LARGE:  # resampling would take seconds for each figure of each group
        half = NormalDist().inv_cdf((1 + level) / 2) * float(numbers.std()) / math.sqrt(numbers.size)
        return float(numbers.mean()) - half, float(numbers.mean()) + half
    rng = np.random.default_rng(seed)
    part = max(1, AT_ONCE // numbers.size)
    means = [
        numbers[rng.integers(0, numbers.size, (min(part, RESAMPLES - done), numbers.size))].mean(axis=1)
        for done in range(0, RESAMPLES, part)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
