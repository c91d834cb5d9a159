"""Figures of merit, in numpy: the arithmetic of each number stands here once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["accuracy", "bias", "coverage", "cumulative_score", "mae", "rmse"]

Values = npt.NDArray[Any]


def mae(predicted: Values, true: Values) -> float:
    """Mean absolute error: ``mean |ŷ - y|`` over (N,) and (N,), in years.

    Raises:
        ValueError: the arrays are empty or of different shapes; so do the functions below.
    """
    return float(np.abs(_errors(predicted, true)).mean())


def rmse(predicted: Values, true: Values) -> float:
    """Root of the mean squared error: ``√ mean (ŷ - y)²`` over (N,) and (N,), in years."""
    return float(np.sqrt(np.square(_errors(predicted, true)).mean()))


def bias(predicted: Values, true: Values) -> float:
    """Mean error: ``mean (ŷ - y)`` over (N,) and (N,), in years; above 0 where faces are taken for older."""
    return float(_errors(predicted, true).mean())


def cumulative_score(predicted: Values, true: Values, years: float = 5) -> float:
    """CS@k: share of (N,) predictions within k ``years`` of the truth, 0…1.

    Source: Geng, Zhou, Smith-Miles, "Automatic age estimation based on facial aging patterns", PAMI 2007.
    """
    return float((np.abs(_errors(predicted, true)) <= years).mean())


def accuracy(predicted: Values, true: Values) -> float:
    """Share of (N,) classes that are right, 0…1."""
    predicted, true = _paired(predicted, true)
    return float((predicted == true).mean())


def coverage(intervals: Values, true: Values) -> float:
    """Share of (N,) true ages within their (N, 2) intervals, both ends included, 0…1."""
    ends = np.asarray(intervals)
    if ends.shape[1:] != (2,):
        raise ValueError(f"intervals have shape {ends.shape}; wanted (N, 2)")
    (low, true), high = _paired(ends[:, 0], true), ends[:, 1]
    return float(((low <= true) & (true <= high)).mean())


def _errors(predicted: Values, true: Values) -> Values:
    predicted, true = _paired(predicted, true)
    # float32 sums lose digits over many samples, and small integers wrap around
    return np.asarray(predicted.astype(np.float64) - true.astype(np.float64))


def _paired(predicted: Values, true: Values) -> tuple[Values, Values]:
    if predicted.shape != true.shape or predicted.ndim != 1 or predicted.size == 0:
        raise ValueError(f"shapes {predicted.shape} and {true.shape}; wanted (N,) twice, N above 0")
    return predicted, true
