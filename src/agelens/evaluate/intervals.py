"""Intervals that hold: how much of a distribution must be covered to cover the truth.

A network's distributions are too narrow or too wide. On faces that it was not trained on, each true age tells what
central mass would just have reached it; the mass that reaches enough of them is the one to use.

Source: conformalised quantile regression, Romano, Patterson, Candès, NeurIPS 2019, with the central mass as score.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.evaluate.metrics import coverage

__all__ = ["calibrated_mass", "crossfitted_coverage", "reaching_mass"]

Values = npt.NDArray[Any]


def reaching_mass(age_probs: Values, true: Values) -> npt.NDArray[np.float64]:
    """Central mass of each distribution whose interval just reaches the true age: (N, 101), (N,) → (N,), 0…1."""
    # float32 rows sum to a little more than 1
    return np.asarray(np.minimum(np.abs(2 * ages.cdf(age_probs, true) - 1), 1.0), dtype=np.float64)


def calibrated_mass(age_probs: Values, true: Values, level: float) -> float:
    """The central mass whose intervals hold the truth of a new face with probability ``level``.

    Args:
        age_probs: (N, 101) of calibration faces, none of which the network was trained on.
        true: (N,) their ages.
        level: wanted, above 0 and below 1.

    Returns:
        The ⌈(N + 1)·level⌉-th smallest reaching mass, 1 where N is too small for the level.
    """
    masses = np.sort(reaching_mass(age_probs, true))
    rank = math.ceil((len(masses) + 1) * level)
    return 1.0 if rank > len(masses) else float(masses[rank - 1])


def crossfitted_coverage(age_probs: Values, true: Values, level: float, seed: int = 0) -> float:
    """Measured coverage where each half of the faces (N ≥ 2) is judged by the mass that the other half gave."""
    order = np.random.default_rng(seed).permutation(len(true))
    halves = np.array_split(order, 2)
    covered = 0.0
    for fit, judge in (halves, halves[::-1]):
        mass = calibrated_mass(age_probs[fit], true[fit], level)
        covered += coverage(ages.interval(age_probs[judge], mass), np.clip(true[judge], 0, ages.MAX_AGE)) * len(judge)
    return covered / len(true)
