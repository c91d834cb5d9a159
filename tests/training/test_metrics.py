"""Each figure of merit against scikit-learn or plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, mean_absolute_error, root_mean_squared_error

from agelens.evaluate.metrics import accuracy, bias, coverage, cumulative_score, mae, rmse

Values = npt.NDArray[Any]
Metric = Callable[[Values, Values], float]
PAIRED = [mae, rmse, bias, cumulative_score, accuracy]


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Values, Values]:
    count = draw(st.integers(1, 40))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    ages = st.floats(0, 120, width=32)
    return draw(arrays(dtype, count, elements=ages)), draw(arrays(dtype, count, elements=ages))


@given(_pairs())
def test_errors_are_scikit_learns(pair: tuple[Values, Values]) -> None:
    predicted, true = (values.astype(np.float64) for values in pair)
    assert mae(*pair) == pytest.approx(mean_absolute_error(true, predicted), abs=1e-9)
    assert rmse(*pair) == pytest.approx(root_mean_squared_error(true, predicted), abs=1e-9)
    assert bias(*pair) == pytest.approx(predicted.mean() - true.mean(), abs=1e-9)


@given(_pairs(), st.sampled_from([0, 1, 5, 10.5]))
def test_cumulative_score_counts_what_is_near_enough(pair: tuple[Values, Values], years: float) -> None:
    near = sum(abs(float(one) - float(other)) <= years for one, other in zip(*pair, strict=True))
    assert cumulative_score(*pair, years) == pytest.approx(near / len(pair[0]))


def test_cumulative_score_counts_its_limit_as_near() -> None:
    assert cumulative_score(np.array([30.0, 30.0, 30.0]), np.array([35.0, 25.0, 35.1])) == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.sampled_from("mf"), st.sampled_from("mf")), min_size=1))
def test_accuracy_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    predicted, true = (np.array(values) for values in zip(*pairs, strict=True))
    assert accuracy(predicted, true) == pytest.approx(accuracy_score(true, predicted))


@given(_pairs(), _pairs())
def test_coverage_counts_what_lies_within(ends: tuple[Values, Values], others: tuple[Values, Values]) -> None:
    count = min(len(ends[0]), len(others[0]))
    intervals = np.sort(np.stack([values[:count] for values in ends], axis=1), axis=1)
    true = others[0][:count]
    inside = [float(low) <= float(age) <= float(high) for (low, high), age in zip(intervals, true, strict=True)]
    assert coverage(intervals, true) == pytest.approx(np.mean(inside))


def test_coverage_includes_both_ends() -> None:
    assert coverage(np.array([[20.0, 30.0]] * 4), np.array([20.0, 30.0, 19.9, 30.1])) == 0.5


def test_bias_is_above_0_where_faces_are_taken_for_older() -> None:
    assert bias(np.array([30.0, 41.0]), np.array([20.0, 40.0])) == 5.5


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.float16, np.float32])
def test_type_of_the_ages_does_not_matter(dtype: type[np.generic]) -> None:
    predicted, true = np.array([10, 100], dtype=dtype), np.array([90, 20], dtype=dtype)
    assert mae(predicted, true) == 80
    assert rmse(predicted, true) == 80
    assert bias(predicted, true) == 0
    assert cumulative_score(predicted, true) == 0


def test_float32_loses_nothing_over_many_samples() -> None:
    predicted = np.full(2_000_000, 33.3, dtype=np.float32)
    true = np.zeros(2_000_000, dtype=np.float32)
    assert mae(predicted, true) == pytest.approx(float(np.float32(33.3)), abs=1e-9)
    assert bias(predicted, true) == pytest.approx(float(np.float32(33.3)), abs=1e-9)


@pytest.mark.parametrize("metric", PAIRED)
@pytest.mark.parametrize(
    ("predicted", "true"),
    [
        (np.zeros(0), np.zeros(0)),
        (np.zeros(3), np.zeros(4)),
        (np.zeros((3, 1)), np.zeros((3, 1))),
        (np.zeros(()), np.zeros(())),
        (np.zeros((3, 1)), np.zeros(3)),
    ],
)
def test_empty_or_unequal_arrays_are_refused(metric: Metric, predicted: Values, true: Values) -> None:
    with pytest.raises(ValueError, match=r"wanted \(N,\) twice, N above 0"):
        metric(predicted, true)


@pytest.mark.parametrize(
    ("intervals", "true"),
    [(np.zeros((0, 2)), np.zeros(0)), (np.zeros((3, 2)), np.zeros(4)), (np.zeros(4), np.zeros(4))],
)
def test_coverage_of_empty_or_unequal_arrays_is_refused(intervals: Values, true: Values) -> None:
    with pytest.raises(ValueError, match="wanted"):
        coverage(intervals, true)
