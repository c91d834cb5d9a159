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
from scipy.stats import energy_distance, wasserstein_distance
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    roc_auc_score,
    root_mean_squared_error,
)

from agelens import ages
from agelens.evaluate.metrics import (
    accuracy,
    auc,
    bias,
    brier,
    calibration_error,
    coverage,
    crps,
    cumulative_score,
    cumulative_scores,
    earth_movers_distance,
    epsilon_error,
    mae,
    mse,
    negative_log_likelihood,
    relaxed_accuracy,
    rmse,
)

Values = npt.NDArray[Any]
Metric = Callable[[Values, Values], float]
PAIRED = [mae, mse, rmse, bias, cumulative_score, accuracy, relaxed_accuracy, auc]


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Values, Values]:
    count = draw(st.integers(1, 40))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    years = st.floats(0, 120, width=32)
    return draw(arrays(dtype, count, elements=years)), draw(arrays(dtype, count, elements=years))


@st.composite
def _answers(draw: st.DrawFn) -> tuple[Values, Values]:
    """Distributions over the axis, some with all in one year, and whole true ages."""
    count = draw(st.integers(1, 12))
    weights = draw(arrays(np.float64, (count, ages.NUM_BINS), elements=st.floats(0, 1), fill=st.just(0.0)))
    weights[np.arange(count), draw(arrays(np.int64, count, elements=st.integers(0, 100)))] += 0.5
    true = draw(arrays(np.float64, count, elements=st.integers(0, 100).map(float)))
    return weights / weights.sum(axis=1, keepdims=True), true


@given(_pairs())
def test_errors_are_scikit_learns(pair: tuple[Values, Values]) -> None:
    predicted, true = (values.astype(np.float64) for values in pair)
    assert mae(*pair) == pytest.approx(mean_absolute_error(true, predicted), abs=1e-9)
    assert mse(*pair) == pytest.approx(mean_squared_error(true, predicted), abs=1e-9)
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


@given(_pairs(), st.integers(0, 30))
def test_the_curve_of_cumulative_scores_is_made_of_them(pair: tuple[Values, Values], up_to: int) -> None:
    curve = cumulative_scores(*pair, up_to)
    assert curve.tolist() == [cumulative_score(*pair, years) for years in range(up_to + 1)]


def test_epsilon_error_is_that_of_the_contest() -> None:
    predicted, apparent, deviation = np.array([30.0, 33.0, 30.0]), np.full(3, 30.0), np.array([1.0, 3.0, 9.0])
    assert epsilon_error(predicted, apparent, deviation) == pytest.approx((0 + (1 - np.exp(-0.5)) + 0) / 3)
    assert epsilon_error(np.array([90.0]), np.array([1.0]), np.array([0.5])) == pytest.approx(1.0)


@pytest.mark.parametrize("deviation", [0.0, -1.0, np.nan])
def test_epsilon_error_wants_annotators_that_differ(deviation: float) -> None:
    with pytest.raises(ValueError, match=r"above 0 years|not finite"):
        epsilon_error(np.array([30.0]), np.array([30.0]), np.array([deviation]))


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1), st.integers(0, 8))
def test_relaxed_accuracy_counts_neighbours_too(pairs: list[tuple[int, int]], within: int) -> None:
    predicted, true = (np.array(values) for values in zip(*pairs, strict=True))
    near = sum(abs(one - other) <= within for one, other in pairs)
    assert relaxed_accuracy(predicted, true, within) == pytest.approx(near / len(pairs))
    assert relaxed_accuracy(predicted, true, 0) == pytest.approx(accuracy(predicted, true))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=2))
def test_auc_is_scikit_learns(pairs: list[tuple[float, bool]]) -> None:
    scores, positive = (np.array(values) for values in zip(*pairs, strict=True))
    if positive.all() or not positive.any():
        with pytest.raises(ValueError, match="both kinds are needed"):
            auc(scores, positive)
    else:
        assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


@given(_answers())
def test_scores_of_distributions_are_those_of_scipy_and_scikit_learn(answers: tuple[Values, Values]) -> None:
    probs, true = answers
    each = [(row, [year]) for row, year in zip(probs, true, strict=True)]
    moved = [wasserstein_distance(ages.axis(), year, row) for row, year in each]
    assert earth_movers_distance(probs, true) == pytest.approx(np.mean(moved), abs=1e-7)
    # twice the integral of (F - G)² is the squared energy distance
    squares = [energy_distance(ages.axis(), year, row) ** 2 / 2 for row, year in each]
    assert crps(probs, true) == pytest.approx(np.mean(squares), abs=1e-7)
    held = np.maximum(probs, 1e-7)
    known = [log_loss([int(year)], [row / row.sum()], labels=range(101)) for row, year in zip(held, true, strict=True)]
    assert negative_log_likelihood(probs, true) == pytest.approx(np.mean(known), abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1))
def test_a_model_that_is_sure_scores_its_mean_absolute_error(pairs: list[tuple[int, int]]) -> None:
    predicted, true = (np.array(values, dtype=np.float64) for values in zip(*pairs, strict=True))
    probs = np.eye(ages.NUM_BINS)[predicted.astype(int)]
    assert crps(probs, true) == pytest.approx(mae(predicted, true))
    assert earth_movers_distance(probs, true) == pytest.approx(mae(predicted, true))


@pytest.mark.parametrize("metric", PAIRED)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(metric: Metric, bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        metric(np.array([1.0, bad]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("metric", [crps, earth_movers_distance, negative_log_likelihood])
def test_distributions_of_another_shape_or_without_numbers_are_refused(metric: Metric) -> None:
    for probs, true in [
        (np.zeros((2, 100)), np.zeros(2)),
        (np.zeros((2, 101)), np.zeros(3)),
        (np.zeros((0, 101)), np.zeros(0)),
    ]:
        with pytest.raises(ValueError, match="wanted"):
            metric(probs, true)
    for probs, true in [(np.full((1, 101), np.nan), np.zeros(1)), (np.full((1, 101), 5.0), np.zeros(1))]:
        with pytest.raises(ValueError, match="sum to 1"):
            metric(probs, true)


def test_missing_classes_and_ends_are_refused() -> None:
    with pytest.raises(ValueError, match="missing"):
        accuracy(np.array(["male", None], dtype=object), np.array(["male", "male"], dtype=object))
    with pytest.raises(ValueError, match="missing"):
        auc(np.array([0.1, 0.9]), np.array([0, np.nan]))
    with pytest.raises(ValueError, match="not finite"):
        coverage(np.array([[0.0, np.nan]]), np.array([5.0]))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_brier_is_scikit_learns(pairs: list[tuple[float, bool]]) -> None:
    shares, happened = (np.array(values) for values in zip(*pairs, strict=True))
    assert brier(shares, happened) == pytest.approx(brier_score_loss(happened, shares, labels=[False, True]))


def test_calibration_error_is_the_mean_distance_of_claim_and_share() -> None:
    shares = np.array([0.05, 0.05, 0.05, 0.05, 0.95, 1.0])
    happened = np.array([True, False, False, False, True, True])
    assert calibration_error(shares, happened) == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.025)


def test_honest_probabilities_have_little_calibration_error() -> None:
    rng = np.random.default_rng(0)
    shares = rng.uniform(0, 1, 50_000)
    assert calibration_error(shares, rng.uniform(0, 1, 50_000) < shares) < 0.01
    assert calibration_error(shares, rng.uniform(0, 1, 50_000) < shares**2) > 0.1
