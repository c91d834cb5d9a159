"""What each sample counts for, and what each year of an answer, so that rare ages come out as well as common ones."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from agelens import ages
from agelens.data.grouping import year_ends
from agelens.data.manifest import Manifest
from agelens.errors import ConfigError

__all__ = ["sample_weights", "training_year_weights", "year_weights"]

SMOOTHING: Final = 2.0  # years
RAREST: Final = 0.01  # of the commonest year's share; rarer years, and those without a face, are taken for as rare
ANSWER_SMOOTHING: Final = 4.0  # years; the answer's own density should keep its shape
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


def year_weights(
    low: npt.NDArray[np.floating[Any]], high: npt.NDArray[np.floating[Any]], power: float
) -> npt.NDArray[np.float32]:
    """What the probability of each year is multiplied by, so that an answer leans less on how common an age is.

    One over the number of the training's faces of that year, smoothed by a normal density of four years, to a power.

    Args:
        low: (N,) years, the first of each face's band; its age where that is known.
        high: (N,) years, the last; a face counts for all the years from the first to the last in equal parts.
        power: 0…1; 0 changes nothing, 1 takes all ages for equally common.

    Returns:
        (101,) float32, 1 for the commonest year, more for the others, and 100 to that power at most.

    Source: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021 (its adjustment after training).
    """
    first, last = (np.clip(np.rint(ends), 0, ages.MAX_AGE).astype(int) for ends in (low, high))
    part = 1 / (last - first + 1)
    steps = np.zeros(ages.NUM_BINS + 1)
    np.add.at(steps, first, part)
    np.add.at(steps, last + 1, -part)
    counts = np.maximum(steps[:-1].cumsum(), 0)
    shares = gaussian_filter1d(counts, ANSWER_SMOOTHING, mode="nearest", truncate=ages.NUM_BINS)
    rarity = np.maximum(shares / shares.max(), RAREST) ** -power
    return np.asarray(rarity, dtype=np.float32)


def training_year_weights(manifest: Manifest, power: float) -> npt.NDArray[np.float32] | None:
    """``year_weights`` of a manifest's training faces; None for a power of 0, which changes nothing.

    Raises:
        ConfigError: the power is no share.
        DataError: there are no training faces.
    """
    if not 0 <= power <= 1:
        raise ConfigError(f"rebalance is {power}; it must lie within 0…1")
    if not power:
        return None
    return year_weights(*year_ends(manifest.split("train")), power)
