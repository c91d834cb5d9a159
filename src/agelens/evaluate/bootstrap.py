"""How far a mean may be off, when other faces of the kind had been measured."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "difference_interval", "mean_interval"]

Values = npt.NDArray[Any]
LEVEL: Final = 0.95
RESAMPLES: Final = 1000
LARGE: Final = 20_000  # values, from which the mean is normal to more digits than resampling has
AT_ONCE: Final = 4_000_000  # numbers in memory


def mean_interval(
    values: Values, level: float = LEVEL, seed: int = 0, *, subjects: Values | None = None
) -> tuple[float, float]:
    """Ends of the bootstrap interval of a mean, by percentiles of resampled means; of ``LARGE`` sets by the normal's.

    Args:
        values: (N,), N above 0.
        level: share of such intervals that shall hold the mean of the kind, above 0 and below 1.
        seed: of the resampling; the same gives the same ends.
        subjects: (N,) whole numbers, whom each value is of: people are drawn then, each with all of their values, as
            two pictures of one person tell less than those of two. None where each value is of another person.

    Raises:
        ValueError: there are no values, or the level is out of its range.

    Source: Efron, Tibshirani, "An introduction to the bootstrap", 1993, chapter 13; for subjects, Field, Welsh,
    "Bootstrapping clustered data", JRSS B 2007.
    """
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values have shape {values.shape}; wanted (N,), N above 0")
    _check_level(level)
    sums, counts = _by_subject(values, subjects)
    if sums.size >= LARGE:  # resampling would take seconds for each figure of each group
        mean = float(sums.sum() / counts.sum())
        spread = math.sqrt(float(np.square(sums - mean * counts).sum())) / float(counts.sum())
        half = NormalDist().inv_cdf((1 + level) / 2) * spread
        return mean - half, mean + half
    return _ends(_resampled(sums, counts, seed), level)


def difference_interval(
    values: Values,
    others: Values,
    level: float = LEVEL,
    seed: int = 0,
    *,
    subjects: tuple[Values | None, Values | None] = (None, None),
) -> tuple[float, float]:
    """Ends of the bootstrap interval of ``mean(values) - mean(others)`` of two sets that share no faces: (N,), (M,).

    ``subjects`` are whom the values of each set are of, as for ``mean_interval``.

    Raises:
        ValueError: a set is empty, or the level is out of its range.
    """
    if not (values.ndim == others.ndim == 1 and values.size and others.size):
        raise ValueError(f"values have shapes {values.shape} and {others.shape}; wanted (N,) and (M,), both above 0")
    _check_level(level)
    sets = zip((values, others), subjects, strict=True)
    means = [_resampled(*_by_subject(one, whom), seed + place) for place, (one, whom) in enumerate(sets)]
    return _ends(means[0] - means[1], level)


def _by_subject(values: Values, subjects: Values | None) -> tuple[Values, Values]:
    """Sum and number of each subject's values."""
    numbers = np.asarray(values, dtype=np.float64)
    if subjects is None:
        return numbers, np.ones(len(numbers))
    _, places = np.unique(subjects, return_inverse=True)
    return np.bincount(places, weights=numbers), np.bincount(places).astype(np.float64)


def _resampled(sums: Values, counts: Values, seed: int) -> Values:
    rng = np.random.default_rng(seed)
    part = max(1, AT_ONCE // sums.size)
    means = []
    for done in range(0, RESAMPLES, part):
        drawn = rng.integers(0, sums.size, (min(part, RESAMPLES - done), sums.size))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


def _ends(means: Values, level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie within 0…1, both excluded")
