"""The age axis: every piece of arithmetic on age distributions, in numpy.

An age is a distribution over the 101 whole years 0…100. Bin ``k`` means "k years old", as birthdays count:
from the k-th birthday up to the next one. As a continuous quantity bin ``k`` is spread evenly over
[k - ½, k + ½], so that a distribution with all its mass in bin ``k`` has the expected age ``k``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "MAX_AGE",
    "NUM_BINS",
    "Mass",
    "axis",
    "band_probs",
    "bin_shares",
    "binomial_probs",
    "cdf",
    "contract",
    "expected_age",
    "interval",
    "log_choices",
    "prob_at_least",
    "quantile",
    "range_shares",
    "soft_labels",
    "softmax",
    "variance",
]

MAX_AGE = 100
NUM_BINS = MAX_AGE + 1
STEPS = 4  # places a year at which an interval's ends are looked for
ROUNDING = 1e-9  # of a share
AT_ONCE = 1024  # distributions, a few megabytes each hundred

Floats = npt.NDArray[np.floating[Any]]
# Of a distribution, the central share that an interval holds, 0…1: one for all ages, or (101,) one for each year.
Mass = float | Floats


def axis() -> npt.NDArray[np.float64]:
    """The age of every bin: ``[0., 1., … 100.]``, shape (101,), in years."""
    return np.arange(NUM_BINS, dtype=np.float64)


def softmax(logits: npt.ArrayLike) -> Floats:
    """Probabilities from logits over the last axis: ``exp(x_k) / Σ exp(x_j)``, safe from overflow."""
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def soft_labels(ages: npt.ArrayLike, deviation: float) -> Floats:
    """Label distributions: a normal density around each age, normalised over the bins.

    Args:
        ages: true ages in years, shape (N,); ages beyond the axis are read as its ends.
        deviation: standard deviation in years, above 0.

    Returns:
        Shape (N, 101), rows summing to 1.

    Raises:
        ValueError: ``deviation`` is not above 0.

    Source: Gao et al., "Deep label distribution learning with label ambiguity", IEEE TIP 2017, eq. 3.

    >>> soft_labels([30], deviation=2.0)[0, 29:32].round(3).tolist()
    [0.176, 0.199, 0.176]
    """
    if not deviation > 0:
        raise ValueError(f"deviation is {deviation}; it must be above 0 years")
    centres = np.clip(np.asarray(ages, dtype=np.float64), 0, MAX_AGE)[:, None]
    return softmax(-((axis() - centres) ** 2) / (2 * deviation**2))


def binomial_probs(ages: npt.ArrayLike) -> Floats:
    """The binomial distribution over the axis whose mean is each age: (…) → (…, 101).

    ``p_k = C(100, k)·s^k·(1 - s)^(100 - k)`` with ``s = age / 100``: what a single number says of an age. It has one
    peak, no mass beyond the axis, and its mean is the age itself, also at the ends.

    Source: Beckham and Pal, "Unimodal probability distributions for deep ordinal classification", ICML 2017.

    >>> float(expected_age(binomial_probs(2.5)).round(6))
    2.5
    """
    share = np.clip(np.asarray(ages, dtype=np.float64) / MAX_AGE, 1e-9, 1 - 1e-9)[..., None]
    return softmax(log_choices() + axis() * (np.log(share) - np.log1p(-share)))


def log_choices() -> npt.NDArray[np.float64]:
    """``log C(100, k)`` for every bin, (101,)."""
    return np.array([math.log(math.comb(MAX_AGE, k)) for k in range(NUM_BINS)])


def bin_shares(num_bins: int) -> Floats:
    """How equal parts of the axis lie in its years: (num_bins, 101), rows summing to 1.

    Probabilities of the parts, times this, are a distribution over the axis. Where a part ends within a year, its mass
    there counts for the whole of the year.

    Raises:
        ValueError: ``num_bins`` is not above 0.

    >>> bool((bin_shares(101) == np.eye(101)).all())
    True
    """
    if not num_bins > 0:
        raise ValueError(f"num_bins is {num_bins}; it must be above 0")
    edges = np.linspace(0, NUM_BINS, num_bins + 1)[:, None]
    overlap = np.minimum(edges[1:], axis() + 1) - np.maximum(edges[:-1], axis())
    return np.asarray(np.clip(overlap, 0, None) * num_bins / NUM_BINS)


def range_shares(bands: Sequence[tuple[int, int]], ages: npt.ArrayLike = ()) -> Floats:
    """How the mass of each range of whole years spreads over them: (len(bands), 101), rows summing to 1.

    Args:
        bands: first and last year of each, both within it.
        ages: (N,) known ages, whose counts say how; one is added to every year, so that without any it is evenly.

    Raises:
        ValueError: a band lies outside the axis or ends before it starts.
    """
    years = np.clip(np.rint(np.asarray(ages, dtype=np.float64)), 0, MAX_AGE).astype(int)
    counts = np.bincount(years, minlength=NUM_BINS) + 1.0
    shares = np.zeros((len(bands), NUM_BINS))
    for row, (low, high) in zip(shares, bands, strict=True):
        if not 0 <= low <= high <= MAX_AGE:
            raise ValueError(f"band ({low}, {high}) is not within 0…{MAX_AGE} in rising order")
        row[low : high + 1] = counts[low : high + 1] / counts[low : high + 1].sum()
    return shares


def expected_age(probs: npt.ArrayLike) -> Floats:
    """Mean of each distribution, ``Σ k·p_k``: (…, 101) → (…), in years.

    >>> float(expected_age(soft_labels([42], deviation=2.0))[0])
    42.0
    """
    return np.asarray(_checked(probs) @ axis())


def variance(probs: npt.ArrayLike) -> Floats:
    """Variance of each distribution, ``Σ k²·p_k - (Σ k·p_k)²``: (…, 101) → (…), in square years, at least 0.

    >>> float(variance(soft_labels([42], deviation=2.0))[0].round(3))
    4.0
    """
    masses = _checked(probs)
    return np.asarray(np.maximum(masses @ axis() ** 2 - (masses @ axis()) ** 2, 0))


def contract(probs: npt.ArrayLike, factor: float) -> Floats:
    """Draw one distribution together about its mean, so that distances from it shrink by ``factor``: (101,) → (101,).

    The mass of a bin is spread evenly over its year before it moves; the mean stays to a hundredth of a year
    where a spread of a year is left.

    Raises:
        ValueError: ``factor`` is outside 0…1.

    >>> float(variance(contract(soft_labels([42], deviation=4.0)[0], 0.5)).round())
    4.0
    """
    if not 0 <= factor <= 1:
        raise ValueError(f"factor is {factor}; it must lie within 0…1")
    masses = _checked(probs)
    if factor == 1:
        return masses
    edges = np.arange(NUM_BINS + 1) - 0.5
    mean = float(masses @ axis())
    moved = mean + (edges - mean) * factor
    below = np.interp(edges, moved, np.concatenate([[0.0], np.cumsum(masses)]))
    return np.asarray(np.diff(below))


def cdf(probs: npt.ArrayLike, age: npt.ArrayLike) -> Floats:
    """Share of each distribution below an age: (…, 101) and (…) → (…), within 0…1; the inverse of ``quantile``.

    The mass of a bin is spread evenly over its year; ages beyond the axis are read as its ends.
    """
    masses = _checked(probs)
    place = np.clip(np.asarray(age, dtype=np.float64), 0, MAX_AGE) + 0.5
    bins = np.minimum(place.astype(int), MAX_AGE)[..., None]
    upper = np.take_along_axis(np.cumsum(masses, axis=-1), bins, axis=-1)
    mass = np.take_along_axis(masses, bins, axis=-1)
    return np.asarray((upper - mass * (bins + 1 - place[..., None]))[..., 0])


def quantile(probs: npt.ArrayLike, share: float) -> Floats:
    """The age below which ``share`` of each distribution lies: (…, 101) → (…), in years within 0…100.

    The mass of a bin is spread evenly over its year, so the result is continuous.

    Raises:
        ValueError: ``share`` is outside 0…1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must lie within 0…1")
    masses = _checked(probs)
    upper = np.cumsum(masses, axis=-1)
    reached = upper >= share * upper[..., -1:]
    first = reached.argmax(axis=-1)[..., None]
    mass = np.take_along_axis(masses, first, axis=-1)
    below = np.take_along_axis(upper, first, axis=-1) - mass
    inside = np.divide(share * upper[..., -1:] - below, mass, out=np.zeros_like(mass), where=mass > 0)
    return np.asarray(np.clip(first - 0.5 + np.clip(inside, 0, 1), 0, MAX_AGE)[..., 0])


def interval(probs: npt.ArrayLike, mass: Mass) -> Floats:
    """Central interval that holds ``mass`` of each distribution: (…, 101) → (…, 2), [low, high] in years.

    Where each year has a mass of its own, the interval goes out from the median for as long as the central mass that
    reaches an age is at most that age's, which is read off between the years along straight lines.

    Raises:
        ValueError: a mass is outside 0…1, or there are neither one nor 101.

    >>> interval(soft_labels([50], deviation=3.0), 0.9)[0].round(1).tolist()
    [45.0, 55.0]
    >>> interval(soft_labels([50], deviation=3.0), np.where(axis() < 50, 0.5, 0.9))[0].round(1).tolist()
    [48.0, 55.0]
    """
    masses = np.asarray(mass, dtype=np.float64)
    if masses.shape not in ((), (NUM_BINS,)) or not ((masses >= 0) & (masses <= 1)).all():
        raise ValueError(f"mass is {mass}; wanted one, or {NUM_BINS} of them, within 0…1")
    if masses.shape:
        return _interval_by_year(_checked(probs), masses)
    tail = (1 - float(masses)) / 2
    return np.stack([quantile(probs, tail), quantile(probs, 1 - tail)], axis=-1)


def _interval_by_year(probs: npt.NDArray[np.float64], masses: npt.NDArray[np.float64]) -> Floats:
    rows = probs.reshape(-1, NUM_BINS)
    ends = [_ends_by_year(rows[start : start + AT_ONCE], masses) for start in range(0, len(rows), AT_ONCE)]
    return np.concatenate([np.zeros((0, 2)), *ends]).reshape(*probs.shape[:-1], 2)


def _ends_by_year(rows: npt.NDArray[np.float64], masses: npt.NDArray[np.float64]) -> Floats:
    places = np.linspace(0, MAX_AGE, MAX_AGE * STEPS + 1)
    below = cdf((rows / rows.sum(axis=1, keepdims=True))[:, None], places[None])
    room = np.interp(places, axis(), masses) - np.abs(2 * below - 1) + ROUNDING  # 0 and above within the interval
    middle = np.abs(below - 0.5).argmin(axis=1)
    order = np.arange(len(places))
    inside = (room >= 0) | (order == middle[:, None])
    right = np.where(~inside & (order > middle[:, None]), order, len(places)).min(axis=1) - 1
    left = np.where(~inside & (order < middle[:, None]), order, -1).max(axis=1) + 1
    median = quantile(rows, 0.5)
    low, high = _edge(places, room, left, -1), _edge(places, room, right, 1)
    return np.stack([np.minimum(low, median), np.maximum(high, median)], axis=-1)


def _edge(places: Floats, room: Floats, last: npt.NDArray[np.intp], step: int) -> Floats:
    """Where the room ends between the last place within and the next one out."""
    beyond = np.clip(last + step, 0, len(places) - 1)
    faces = np.arange(len(room))
    inner, outer = np.maximum(room[faces, last], 0), np.minimum(room[faces, beyond], 0)
    share = np.divide(inner, inner - outer, out=np.zeros_like(inner), where=inner > outer)
    return np.asarray(places[last] + share * (places[beyond] - places[last]))


def prob_at_least(probs: npt.ArrayLike, age: int) -> Floats:
    """P(age ≥ t), that the t-th birthday has come: (…, 101) → (…), within 0…1.

    Raises:
        ValueError: ``age`` is outside 0…100.

    >>> float(prob_at_least(soft_labels([18], deviation=1.0), 18)[0].round(3))
    0.699
    """
    if not 0 <= age <= MAX_AGE:
        raise ValueError(f"age is {age}; the axis holds 0…{MAX_AGE}")
    return np.asarray(np.minimum(_checked(probs)[..., int(age) :].sum(axis=-1), 1.0))


def band_probs(probs: npt.ArrayLike, bands: Sequence[tuple[int, int]]) -> Floats:
    """Probability of each band of whole years, both ends within it: (…, 101) → (…, len(bands)).

    Raises:
        ValueError: a band lies outside the axis or ends before it starts.

    >>> band_probs(soft_labels([5], deviation=1.0), [(0, 4), (5, 100)])[0].round(2).tolist()
    [0.3, 0.7]
    """
    masses = _checked(probs)
    for low, high in bands:
        if not 0 <= low <= high <= MAX_AGE:
            raise ValueError(f"band ({low}, {high}) is not within 0…{MAX_AGE} in rising order")
    return np.stack([masses[..., low : high + 1].sum(axis=-1) for low, high in bands], axis=-1)


def _checked(probs: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.asarray(probs, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] != NUM_BINS:
        raise ValueError(f"probs have shape {values.shape}; the last axis must hold {NUM_BINS} bins")
    return values
