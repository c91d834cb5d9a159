"""Intervals of means, against scipy's and against how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from agelens.evaluate import bootstrap
from agelens.evaluate.bootstrap import difference_interval, mean_interval


def test_ends_are_scipys_within_the_noise_of_resampling() -> None:
    values = np.random.default_rng(1).exponential(5, 300)
    wanted = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2).confidence_interval
    assert mean_interval(values) == pytest.approx((wanted.low, wanted.high), abs=0.08)


def test_it_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        low, high = mean_interval(rng.normal(2, 1, 80), 0.8)
        held += low <= 2 <= high
    assert 0.73 <= held / 300 <= 0.86


def test_the_same_seed_gives_the_same_ends_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(size=50)
    once = mean_interval(values)
    assert mean_interval(values) == once
    monkeypatch.setattr(bootstrap, "AT_ONCE", 170)  # three resamples at once
    assert mean_interval(values) == once
    assert mean_interval(values, seed=1) != once


def test_a_large_sets_interval_is_what_resampling_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).exponential(5, bootstrap.LARGE)
    fast = mean_interval(values)
    monkeypatch.setattr(bootstrap, "LARGE", 10**9)
    assert fast == pytest.approx(mean_interval(values), abs=0.01)


def test_one_value_is_its_own_interval() -> None:
    assert mean_interval(np.array([True])) == (1.0, 1.0)


@pytest.mark.parametrize(("values", "level"), [(np.zeros(0), 0.9), (np.zeros((2, 2)), 0.9), (np.zeros(2), 1.0)])
def test_nothing_to_measure_is_refused(values: np.ndarray, level: float) -> None:
    with pytest.raises(ValueError, match=r"wanted|must lie"):
        mean_interval(values, level)


def test_ten_pictures_of_one_person_are_not_ten_people() -> None:
    rng = np.random.default_rng(6)
    person = np.repeat(np.arange(60), 10)
    values = np.repeat(rng.normal(5, 2, 60), 10) + rng.normal(0, 0.1, 600)
    low, high = mean_interval(values, subjects=person)
    alone = mean_interval(values[::10])
    assert high - low == pytest.approx(alone[1] - alone[0], rel=0.15)
    naive = mean_interval(values)
    assert high - low > 2.5 * (naive[1] - naive[0])


def test_intervals_of_people_hold_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(300):
        sizes = rng.integers(1, 6, 50)
        person = np.repeat(np.arange(50), sizes)
        values = np.repeat(rng.normal(2, 1, 50), sizes) + rng.normal(0, 0.5, sizes.sum())
        low, high = mean_interval(values, 0.8, subjects=person)
        held += low <= 2 <= high
    assert 0.72 <= held / 300 <= 0.87


def test_people_with_one_picture_each_are_values() -> None:
    values = np.random.default_rng(8).normal(size=40)
    assert mean_interval(values, subjects=np.arange(40)) == mean_interval(values)


def test_a_large_sets_interval_of_people_is_what_resampling_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    person = rng.integers(0, 25_000, 60_000)
    values = rng.exponential(5, 60_000) + person % 3
    fast = mean_interval(values, subjects=person)
    monkeypatch.setattr(bootstrap, "LARGE", 10**9)
    assert fast == pytest.approx(mean_interval(values, subjects=person), abs=0.01)


def test_ends_of_a_difference_are_those_of_the_normal_for_normal_values() -> None:
    rng = np.random.default_rng(10)
    ours, others = rng.normal(5, 2, 2000), rng.normal(3, 1, 500)
    half = 1.96 * np.sqrt(ours.var() / 2000 + others.var() / 500)
    middle = ours.mean() - others.mean()
    assert difference_interval(ours, others) == pytest.approx((middle - half, middle + half), abs=0.015)


def test_a_difference_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="both above 0"):
        difference_interval(np.zeros(3), np.zeros(0))
    with pytest.raises(ValueError, match="must lie within"):
        difference_interval(np.zeros(3), np.zeros(3), 0)
