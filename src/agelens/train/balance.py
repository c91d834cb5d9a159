"""What each sample counts for, so that rare ages are learnt as well as common ones."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from agelens import ages

__all__ = ["sample_weights"]

SMOOTHING: Final = 2.0  # years
# A year of which there is one face among thousands would otherwise outweigh a whole batch.
HEAVIEST: Final = 10.0


def sample_weights(age: npt.NDArray[np.floating[Any]], balance: str) -> npt.NDArray[np.float32]:
    """Weights of samples, their mean 1 before the heaviest are cut to ten times the mean.

    Args:
        age: (N,) years; of a band, its middle.
        balance: "none": all 1. "inverse": one over the number of samples of the same whole year. "smoothed": the same
            with the numbers smoothed over the years by a normal density of two years.

    Returns:
        (N,) float32.

    Source of "smoothed": Yang et al., "Delving into deep imbalanced regression", ICML 2021 (label distribution
    smoothing).
    """
    if balance == "none":
        return np.ones(len(age), dtype=np.float32)
    years = np.clip(np.rint(age), 0, ages.MAX_AGE).astype(int)
    counts = np.bincount(years, minlength=ages.NUM_BINS).astype(np.float64)
    if balance == "smoothed":
        counts = gaussian_filter1d(counts, SMOOTHING, mode="constant")
    weights = 1 / counts[years]
    return np.asarray(np.minimum(weights / weights.mean(), HEAVIEST), dtype=np.float32)
