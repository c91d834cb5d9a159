"""Intervals of means, against scipy's and against how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from agelens.evaluate import bootstrap
from agelens.evaluate.bootstrap import mean_interval


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
