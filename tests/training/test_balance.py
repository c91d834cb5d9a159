"""What each sample and each year of an answer counts for, against plain counting."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.train.balance import sample_weights, year_weights

YEARS = st.lists(st.integers(0, 100).map(float), min_size=1, max_size=60)


def _weights(ages: list[float], balance: str) -> list[float]:
    weights = sample_weights(np.array(ages), balance)
    assert weights.dtype == np.float32
    assert weights.shape == (len(ages),)
    return [float(weight) for weight in weights]


def _normalised(each: list[float]) -> list[float]:
    mean = sum(each) / len(each)
    return [min(one / mean, 10.0) for one in each]


@given(YEARS)
def test_none_counts_all_the_same(ages: list[float]) -> None:
    assert _weights(ages, "none") == [1.0] * len(ages)


@given(YEARS)
def test_inverse_is_one_over_the_number_of_samples_of_the_year(ages: list[float]) -> None:
    counts = Counter(ages)
    assert _weights(ages, "inverse") == pytest.approx(_normalised([1 / counts[age] for age in ages]), rel=1e-5)


@given(YEARS)
def test_smoothed_is_one_over_the_numbers_convolved_with_a_normal_density(ages: list[float]) -> None:
    kernel = np.exp(-(np.arange(-8, 9) ** 2) / (2 * 2.0**2))
    kernel /= kernel.sum()
    counts = Counter(ages)
    smoothed = [sum(kernel[step + 8] * counts[age + step] for step in range(-8, 9)) for age in ages]
    assert _weights(ages, "smoothed") == pytest.approx(_normalised([1 / one for one in smoothed]), rel=1e-5)


@pytest.mark.parametrize("balance", ["inverse", "smoothed"])
def test_fractions_count_for_their_nearest_year_and_ages_beyond_the_axis_for_its_end(balance: str) -> None:
    assert _weights([29.6, 30.4, 31.0, 104.0, -2.0], balance) == _weights([30, 30, 31, 100, 0], balance)


def test_inverse_makes_all_years_count_the_same_together() -> None:
    weights = _weights([20.0] * 30 + [40.0] * 60 + [60.0] * 10, "inverse")
    assert [sum(weights[:30]), sum(weights[30:90]), sum(weights[90:])] == pytest.approx([100 / 3] * 3, rel=1e-5)


def test_a_year_of_one_face_among_thousands_does_not_outweigh_a_batch() -> None:
    weights = _weights([30.0] * 5000 + [95.0], "inverse")
    assert weights[-1] == 10
    assert weights[0] == pytest.approx(0.5, rel=1e-3)


def test_smoothed_lets_neighbours_share() -> None:
    ages = [30.0] * 100 + [31.0] + [60.0]
    smoothed, plain = _weights(ages, "smoothed"), _weights(ages, "inverse")
    assert plain[100] == plain[101]
    assert smoothed[100] < 2 * smoothed[0] < smoothed[101]


BANDS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted), min_size=1, max_size=30)


@given(BANDS, st.floats(0, 1))
def test_a_years_weight_is_one_over_its_smoothed_number_to_the_power(bands: list[list[int]], power: float) -> None:
    low, high = np.array(bands, dtype=np.float32).T
    weights = year_weights(low, high, power)
    counts = np.zeros(303)  # the axis, and as much again on either side, where the ends go on
    for first, last in bands:
        counts[101 + first : 101 + last + 1] += 1 / (last - first + 1)
    counts[:101], counts[202:] = counts[101], counts[201]
    kernel = np.exp(-(np.arange(-101, 102) ** 2) / (2 * 4.0**2))
    shares = np.array([kernel @ counts[year : year + 203] for year in range(101)])
    assert weights == pytest.approx(np.maximum(shares / shares.max(), 0.01) ** -power, rel=1e-3)
    assert weights.dtype == np.float32


def test_no_power_changes_no_answer() -> None:
    ages = np.array([1.0, 30.0, 30.0], dtype=np.float32)
    assert year_weights(ages, ages, 0.0) == pytest.approx(np.ones(101))
