"""Figures of merit, in numpy: the arithmetic of each number stands here once.

Those of ages and classes take (N,) arrays, N above 0; those of distributions (N, 101) beside (N,) true ages, which are
read as whole years within 0…100, as birthdays count. All refuse numbers that are not finite, so that no table shows
what nobody measured.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens import ages

__all__ = [
    "accuracy",
    "auc",
    "bias",
    "brier",
    "calibration_error",
    "coverage",
    "crps",
    "cumulative_score",
    "cumulative_scores",
    "earth_movers_distance",
    "epsilon_error",
    "mae",
    "mse",
    "negative_log_likelihood",
    "relaxed_accuracy",
    "rmse",
]

Values = npt.NDArray[Any]
LEAST: Final = 1e-7  # a probability: of an age that a model rules out the logarithm would be endless


def mae(predicted: Values, true: Values) -> float:
    """Mean absolute error: ``mean |ŷ - y|`` over (N,) and (N,), in years.

    Raises:
        ValueError: the arrays are empty, of different shapes or not finite; so do the functions below.
    """
    return float(np.abs(_errors(predicted, true)).mean())


def mse(predicted: Values, true: Values) -> float:
    """Mean squared error: ``mean (ŷ - y)²`` over (N,) and (N,), in years²."""
    return float(np.square(_errors(predicted, true)).mean())


def rmse(predicted: Values, true: Values) -> float:
    """Root of the mean squared error: ``√ mean (ŷ - y)²`` over (N,) and (N,), in years."""
    return float(np.sqrt(mse(predicted, true)))


def bias(predicted: Values, true: Values) -> float:
    """Mean error: ``mean (ŷ - y)`` over (N,) and (N,), in years; above 0 where faces are taken for older."""
    return float(_errors(predicted, true).mean())


def cumulative_score(predicted: Values, true: Values, years: float = 5) -> float:
    """CS@k: share of (N,) predictions within k ``years`` of the truth, 0…1.

    Source: Geng, Zhou, Smith-Miles, "Automatic age estimation based on facial aging patterns", PAMI 2007.
    """
    return float((np.abs(_errors(predicted, true)) <= years).mean())


def cumulative_scores(predicted: Values, true: Values, up_to: int = 15) -> npt.NDArray[np.float64]:
    """The curve of ``cumulative_score`` at 0, 1, … ``up_to`` years: (up_to + 1,), rising within 0…1."""
    errors = np.abs(_errors(predicted, true))
    return np.asarray((errors[:, None] <= np.arange(up_to + 1)).mean(axis=0))


def epsilon_error(predicted: Values, apparent: Values, deviation: Values) -> float:
    """Mean of ``1 - exp(-(ŷ - µ)² / 2σ²)`` over (N,) ages, 0…1: errors count by how far annotators differ.

    Args:
        predicted: (N,) years.
        apparent: (N,) years, µ, the mean of what annotators guessed.
        deviation: (N,) years above 0, σ, the standard deviation of their guesses.

    Source: Escalera et al., "ChaLearn looking at people 2015: apparent age and cultural event recognition", ICCVW 2015.
    """
    deviation, _ = _paired(deviation, apparent)
    if not (deviation > 0).all():
        raise ValueError(f"the least deviation is {deviation.min()}; all must be above 0 years")
    return float((1 - np.exp(-0.5 * np.square(_errors(predicted, apparent) / deviation))).mean())


def accuracy(predicted: Values, true: Values) -> float:
    """Share of (N,) classes that are right, 0…1."""
    predicted, true = _paired(predicted, true)
    return float((predicted == true).mean())


def relaxed_accuracy(predicted: Values, true: Values, within: int = 1) -> float:
    """Share of (N,) whole-numbered classes in rising order that are at most ``within`` classes off, 0…1.

    Source: "1-off accuracy" of Levi, Hassner, "Age and gender classification using convolutional neural networks",
    CVPRW 2015.
    """
    return float((np.abs(_errors(predicted, true)) <= within).mean())


def auc(scores: Values, positive: Values) -> float:
    """Area under the ROC curve: the chance that a positive's score is above a negative's, ties counting half.

    Args:
        scores: (N,) higher for what is likelier positive.
        positive: (N,) booleans, both kinds among them.

    Raises:
        ValueError: all are of one kind, too.

    Source: Mann, Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
    1947.
    """
    scores, positive = _paired(scores, positive)
    positive = positive.astype(bool)
    ours = int(positive.sum())
    if ours in (0, len(positive)):
        raise ValueError(f"{ours} of {len(positive)} are positive; both kinds are needed")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    wins = ranks[places][positive].sum() - ours * (ours + 1) / 2
    return float(wins / (ours * (len(positive) - ours)))


def brier(shares: Values, happened: Values) -> float:
    """Mean of ``(p - o)²`` over (N,) probabilities and whether what they are of happened, (N,) booleans; 0…1.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    return mse(shares, np.asarray(happened, dtype=np.float64))


def calibration_error(shares: Values, happened: Values, bins: int = 10) -> float:
    """Expected calibration error of (N,) probabilities within 0…1 and whether what they are of happened: 0…1.

    Faces are put into equal ranges of probability; the mean distance of mean probability and share, by their number.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    errors = _errors(shares, np.asarray(happened, dtype=np.float64))
    places = np.clip((np.asarray(shares, dtype=np.float64) * bins).astype(int), 0, bins - 1)
    return float(np.abs(np.bincount(places, weights=errors, minlength=bins)).sum() / len(errors))


def earth_movers_distance(probs: Values, true: Values) -> float:
    """Mean way of each distribution's mass to the true age: ``mean Σ_k p_k·|k - y|``, in years.

    Source: Hou, Yu, Samaras, "Squared earth mover's distance-based loss", 2016, at power 1.
    """
    probs, years = _distributions(probs, true)
    return float((probs * np.abs(ages.axis() - years[:, None])).sum(axis=1).mean())


def negative_log_likelihood(probs: Values, true: Values) -> float:
    """Mean of ``-ln p_y``, of what the model held the true year for; at most 16.1, that of one in ten million."""
    probs, years = _distributions(probs, true)
    return float(-np.log(np.maximum(probs[np.arange(len(years)), years], LEAST)).mean())


def crps(probs: Values, true: Values) -> float:
    """Continuous ranked probability score over whole years: ``mean Σ_k (F(k) - [y ≤ k])²``, years; 0 is perfect.

    Of a model that is sure of one age each it is the mean absolute error.

    Source: Gneiting, Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA 2007, section 4.2.
    """
    probs, years = _distributions(probs, true)
    below = years[:, None] <= ages.axis()
    return float(np.square(probs.cumsum(axis=1) - below).sum(axis=1).mean())


def coverage(intervals: Values, true: Values) -> float:
    """Share of (N,) true ages within their (N, 2) intervals, both ends included, 0…1."""
    ends = np.asarray(intervals)
    if ends.shape[1:] != (2,):
        raise ValueError(f"intervals have shape {ends.shape}; wanted (N, 2)")
    (low, true), (high, _) = _paired(ends[:, 0], true), _paired(ends[:, 1], true)
    return float(((low <= true) & (true <= high)).mean())


def _errors(predicted: Values, true: Values) -> Values:
    predicted, true = _paired(predicted, true)
    # float32 sums lose digits over many samples, and small integers wrap around
    return np.asarray(predicted.astype(np.float64) - true.astype(np.float64))


def _paired(predicted: Values, true: Values) -> tuple[Values, Values]:
    if predicted.shape != true.shape or predicted.ndim != 1 or predicted.size == 0:
        raise ValueError(f"shapes {predicted.shape} and {true.shape}; wanted (N,) twice, N above 0")
    for values in (predicted, true):
        missing = ~np.isfinite(values) if values.dtype.kind in "fc" else pd.isna(values)
        if missing.any():
            raise ValueError(f"{int(missing.sum())} of {len(values)} values are not finite, or missing")
    return predicted, true


def _distributions(probs: Values, true: Values) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Distributions in float64 and the true ages as whole years of the axis."""
    probs = np.asarray(probs, dtype=np.float64)
    if probs.ndim != 2 or probs.shape[1] != ages.NUM_BINS or probs.shape[:1] != true.shape or not len(true):
        raise ValueError(f"shapes {probs.shape} and {true.shape}; wanted (N, {ages.NUM_BINS}) and (N,), N above 0")
    if not (np.isfinite(true).all() and (probs >= 0).all() and np.allclose(probs.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("ages must be finite, and probabilities not below 0 and sum to 1")
    return probs, np.clip(np.floor(true), 0, ages.MAX_AGE).astype(np.intp)
