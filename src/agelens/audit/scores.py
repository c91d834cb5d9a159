"""How unlikely a label is, in the eyes of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agelens import ages

__all__ = ["UNLIKELY_AGE", "UNLIKELY_GENDER", "age_score", "gender_score", "spread"]

Floats = npt.NDArray[np.float64]

# A network is surer than it should be: so many years are added to the spread of its distribution. Of the scores that
# benchmarks/audit_labels.py compares, the error by this spread finds the most wrong ages in UTKFace.
FLOOR_YEARS: Final = 4.0

# From which scores labels are shown. So high are 1.7 % and 1.5 % of UTKFace's own, of which some are wrong, and 95 %
# and 82 % of the wrong ones that the benchmark plants.
UNLIKELY_AGE: Final = 1.45
UNLIKELY_GENDER: Final = 1.6


def spread(age_probs: npt.NDArray[Any]) -> Floats:
    """Standard deviation of each distribution: (N, 101) → (N,) years."""
    squares = (ages.axis() - ages.expected_age(age_probs)[:, None]) ** 2
    return np.asarray(np.sqrt((age_probs * squares).sum(axis=1)), dtype=np.float64)


def age_score(age_probs: npt.NDArray[Any], low: npt.NDArray[Any], high: npt.NDArray[Any]) -> Floats:
    """How far the expected age lies from the label, in spreads of the distribution and four years more.

    Args:
        age_probs: (N, 101).
        low: (N,) the label's first year.
        high: (N,) its last; the same for an exact age.

    Returns:
        (N,), 0 where the expected age is within the label, NaN where the label is.
    """
    expected = ages.expected_age(age_probs)
    below, above = np.clip(low, None, ages.MAX_AGE) - expected, expected - np.clip(high, None, ages.MAX_AGE)
    return np.asarray(np.maximum(np.maximum(below, above), 0) / (spread(age_probs) + FLOOR_YEARS), dtype=np.float64)


def gender_score(gender_probs: npt.NDArray[Any], genders: Sequence[str], labels: Sequence[Any]) -> Floats:
    """Surprise at each label, ``-ln p``: (N, G) and N labels → (N,); NaN where the label is none of ``genders``."""
    columns = np.array([genders.index(label) if label in genders else -1 for label in labels], dtype=np.int64)
    chosen = np.take_along_axis(gender_probs, np.maximum(columns, 0)[:, None], axis=1)[:, 0].astype(np.float64)
    return np.where(columns < 0, np.nan, -np.log(np.maximum(chosen, 1e-9)))
