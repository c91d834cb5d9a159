"""Intervals that hold: how much of a distribution must be covered to cover the truth.

A network's distributions are too narrow or too wide, and by different measure at different ages: those of rare ages
lean to the common ones. On faces that it was not trained on, each true age tells what central mass would just have
reached it; for each year, the mass that reaches enough of the faces of about that age is the one to use.

Source: conformalised quantile regression, Romano, Patterson, Candès, NeurIPS 2019, with the central mass as score;
conditional on the label as in Vovk, "Conditional validity of inductive conformal predictors", ACML 2012, with nearby
ages weighted by their distance (Guan, "Localized conformal prediction", Biometrika 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.evaluate.metrics import coverage

__all__ = [
    "Calibration",
    "banded_mass",
    "calibrated_mass",
    "calibrated_masses",
    "crossfitted_coverage",
    "crossfitted_intervals",
    "reaching_mass",
]

Values = npt.NDArray[Any]
# Distributions and true ages of calibration faces, and a level, to what ``ages.interval`` takes.
Calibration = Callable[[Values, Values, float], ages.Mass]
ROUNDING: Final = 1e-9
LEANING: Final = 10.0  # faces
NEAR: Final = (1.5, 0.1)  # years, and years a year of age: the deviation within which ages count as about the same


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

    Raises:
        ValueError: the level is out of its range, or an age is not known; so do the functions below.
    """
    _check(level, true)
    masses = np.sort(reaching_mass(age_probs, true))
    rank = math.ceil((len(masses) + 1) * level - ROUNDING)
    return 1.0 if rank > len(masses) else float(masses[rank - 1])


def calibrated_masses(age_probs: Values, true: Values, level: float) -> npt.NDArray[np.float64]:
    """The central mass for each year, whose intervals hold the truth of a new face of about that age with ``level``.

    Faces count for a year by a normal density of their distance, whose deviation is 1.5 years at birth and a tenth of
    the age more later on. The mass is a mean of theirs and of that of all ages, in which the latter counts for ten
    faces: where few are near, it leans to that. Of what the sources prove this keeps no more than the idea; how far it
    holds is measured (``benchmarks/intervals.py``).

    Args:
        age_probs: (N, 101) of calibration faces, none of which the network was trained on.
        true: (N,) their ages.
        level: wanted, above 0 and below 1.

    Returns:
        (101,) within 0…1.
    """
    of_all = calibrated_mass(age_probs, true, level)
    reached = reaching_mass(age_probs, true)
    order = np.argsort(reached, kind="stable")
    masses, years = reached[order], ages.axis()[:, None]
    distance = (np.clip(true, 0, ages.MAX_AGE)[order] - years) / (NEAR[0] + NEAR[1] * years)
    near = np.exp(-0.5 * distance**2)
    known = near.sum(axis=1)
    wanted = level * (known + near.max(axis=1, initial=0))  # as if the new face were one more
    ranks = (near.cumsum(axis=1) < wanted[:, None]).sum(axis=1)
    trust = known / (known + LEANING)
    return np.asarray(trust * np.append(masses, 1.0)[ranks] + (1 - trust) * of_all)


def banded_mass(age_probs: Values, low: Values, high: Values, level: float) -> float:
    """``calibrated_mass`` by faces of which only a band is known, their ages taken for evenly spread over its years.

    Where bands are wide beside the network's errors the intervals hold more than the level: nobody can see how near
    it is within a band.

    Args:
        age_probs: (N, 101) of calibration faces, none of which the network was trained on.
        low: (N,) first whole years of the bands, 0…100.
        high: (N,) last years, likewise, not before the first.
        level: wanted, above 0 and below 1.
    """
    _check(level, low, high)
    years, low, high = ages.axis(), np.asarray(low), np.asarray(high)
    if not ((low >= 0) & (low <= high) & (high <= ages.MAX_AGE)).all():
        raise ValueError(f"bands must lie within 0…{ages.MAX_AGE}, their first year not after their last")
    inside = (low[:, None] <= years) & (years <= high[:, None])
    faces = (inside / inside.sum(axis=1, keepdims=True))[inside]
    masses = np.abs(2 * ages.cdf(np.asarray(age_probs)[:, None], years[None]) - 1)[inside]
    order = np.argsort(masses, kind="stable")
    rank = int((faces[order].cumsum() < (len(low) + 1) * level - ROUNDING).sum())
    return 1.0 if rank == len(masses) else float(min(masses[order][rank], 1.0))


def _check(level: float, *known: Values) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie within 0…1, both excluded")
    if not all(np.isfinite(values).all() for values in known):
        raise ValueError("an age is not known, or not finite; leave such faces out")


def crossfitted_intervals(
    age_probs: Values, true: Values, level: float, *, calibrate: Calibration = calibrated_masses, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Intervals of each half of the faces (N ≥ 2) by what the other half gave: (N, 101), (N,) → (N, 2), years."""
    order = np.random.default_rng(seed).permutation(len(true))
    halves = np.array_split(order, 2)
    intervals = np.zeros((len(true), 2))
    for fit, judge in (halves, halves[::-1]):
        intervals[judge] = ages.interval(age_probs[judge], calibrate(age_probs[fit], true[fit], level))
    return intervals


def crossfitted_coverage(age_probs: Values, true: Values, level: float, seed: int = 0) -> float:
    """Share of the faces (N ≥ 2) whose true age lies within their ``crossfitted_intervals``."""
    return coverage(crossfitted_intervals(age_probs, true, level, seed=seed), np.clip(true, 0, ages.MAX_AGE))
