"""Intervals hold the share of true ages that they claim, on faces that they were not fitted to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from agelens import ages
from agelens.evaluate.intervals import (
    banded_mass,
    calibrated_mass,
    calibrated_masses,
    crossfitted_coverage,
    crossfitted_intervals,
    reaching_mass,
)
from agelens.evaluate.metrics import coverage

Floats = npt.NDArray[np.float64]
COUNT = 2000
# Coverage of COUNT fresh faces after fitting on COUNT others has a deviation of at most sqrt(2 · ¼ / 2000) = 0.016;
# three of them, and the seeds are fixed.
TOLERANCE = 0.048


def _faces(seed: int, spread: float, claimed: float) -> tuple[Floats, Floats]:
    """Distributions of deviation ``claimed`` around guesses that are really off by ``spread`` years."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(20, 80, COUNT)
    guess = true + rng.normal(0, spread, COUNT)
    return ages.soft_labels(guess, claimed), true


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("claimed", [2.0, 5.0, 9.0], ids=["too sure", "just right", "too unsure"])
def test_calibrated_intervals_hold_on_fresh_faces(level: float, claimed: float) -> None:
    mass = calibrated_mass(*_faces(1, 5.0, claimed), level)
    probs, true = _faces(2, 5.0, claimed)
    assert coverage(ages.interval(probs, mass), true) == pytest.approx(level, abs=TOLERANCE)


def test_uncalibrated_intervals_of_a_sure_network_do_not_hold() -> None:
    probs, true = _faces(2, 5.0, 2.0)
    assert coverage(ages.interval(probs, 0.9), true) < 0.6


def test_the_surer_the_network_the_more_mass_is_needed() -> None:
    sure, right, unsure = (calibrated_mass(*_faces(1, 5.0, claimed), 0.8) for claimed in (2.0, 5.0, 9.0))
    assert sure > right > unsure
    assert right == pytest.approx(0.8, abs=TOLERANCE)


def test_mass_rises_with_the_level() -> None:
    faces = _faces(1, 5.0, 4.0)
    masses = [calibrated_mass(*faces, level) for level in (0.1, 0.5, 0.8, 0.9, 0.95, 0.99)]
    assert masses == sorted(set(masses))


@pytest.mark.parametrize("claimed", [2.0, 9.0])
def test_reaching_mass_just_reaches_the_truth(claimed: float) -> None:
    probs, true = _faces(4, 5.0, claimed)
    masses = reaching_mass(probs, true)
    for one in range(0, COUNT, 97):
        low, high = ages.interval(probs[one], masses[one])
        if 1e-6 < masses[one] < 1 - 1e-6:
            assert min(abs(true[one] - low), abs(true[one] - high)) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("count", "level", "rank"), [(9, 0.9, 9), (10, 0.5, 6), (19, 0.95, 19), (99, 0.8, 80)])
def test_rank_is_that_of_a_finite_sample(count: int, level: float, rank: int) -> None:
    probs, true = (values[:count] for values in _faces(5, 5.0, 5.0))
    assert calibrated_mass(probs, true, level) == np.sort(reaching_mass(probs, true))[rank - 1]


@pytest.mark.parametrize(("count", "level"), [(8, 0.9), (1, 0.9), (18, 0.95), (0, 0.5)])
def test_too_few_faces_give_the_whole_distribution(count: int, level: float) -> None:
    probs, true = (values[:count] for values in _faces(5, 5.0, 5.0))
    assert calibrated_mass(probs, true, level) == 1.0


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("claimed", [2.0, 9.0])
def test_crossfitted_coverage_is_near_the_level(level: float, claimed: float) -> None:
    measured = crossfitted_coverage(*_faces(6, 5.0, claimed), level)
    assert measured == pytest.approx(level, abs=TOLERANCE)


def test_crossfitted_coverage_judges_each_half_by_the_other() -> None:
    rng = np.random.default_rng(0)
    true = np.full(40, 50.0)
    probs = ages.soft_labels(true + rng.normal(0, 3, 40), 3.0)
    order = np.random.default_rng(0).permutation(40)
    first, second = order[:20], order[20:]
    by_hand = [
        coverage(ages.interval(probs[judge], calibrated_masses(probs[fit], true[fit], 0.5)), true[judge])
        for fit, judge in ((first, second), (second, first))
    ]
    assert crossfitted_coverage(probs, true, 0.5) == pytest.approx(np.mean(by_hand))


def test_ages_beyond_the_axis_can_be_covered() -> None:
    probs = ages.soft_labels(np.full(40, 99.0), 3.0)
    assert crossfitted_coverage(probs, np.full(40, 116.0), 0.5) == 1.0


def _leaning(seed: int, count: int = 6000) -> tuple[Floats, Floats]:
    """Distributions of one width around guesses that lean to the thirties, the more the older, as networks do."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 91, count).astype(np.float64)
    guess = true - 0.12 * np.maximum(true - 35, 0) + rng.normal(0, 1 + true / 15)
    return ages.soft_labels(guess, 5.0), true


def test_masses_by_year_hold_at_each_age_where_one_mass_for_all_does_not() -> None:
    probs, true = _leaning(1)
    fresh, truth = _leaning(2)
    by_year = ages.interval(fresh, calibrated_masses(probs, true, 0.9))
    for_all = ages.interval(fresh, calibrated_mass(probs, true, 0.9))
    decades = [truth // 10 == decade for decade in range(9)]
    shares = {"by year": by_year, "for all": for_all}
    worst = {name: min(coverage(ends[one], truth[one]) for one in decades) for name, ends in shares.items()}
    assert coverage(by_year, truth) == pytest.approx(0.9, abs=0.02)
    assert worst["by year"] > 0.85
    assert worst["for all"] < 0.7


def test_a_face_counts_for_the_years_near_it() -> None:
    near, far = (ages.soft_labels(np.full(200, guess), 3.0) for guess in (20.0, 80.0))
    true = np.repeat([20.0, 95.0], 200)  # right at twenty, wrong by fifteen years at ninety-five
    masses = calibrated_masses(np.concatenate([near, far]), true, 0.5)
    assert masses[20] < 0.1
    assert masses[95] > 0.9


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_years_without_faces_have_the_mass_of_all(level: float) -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(0, 10, 500).astype(np.float64)
    probs = ages.soft_labels(true + rng.normal(0, 1.0, 500), 1.5)
    assert calibrated_masses(probs, true, level)[90] == pytest.approx(calibrated_mass(probs, true, level), abs=1e-6)


def test_no_faces_at_all_give_the_whole_distribution() -> None:
    assert (calibrated_masses(np.zeros((0, 101)), np.zeros(0), 0.9) == 1).all()


def test_another_calibration_can_be_crossfitted() -> None:
    probs, true = _faces(6, 5.0, 2.0)
    plain = crossfitted_intervals(probs, true, 0.9, calibrate=lambda *_: 0.9)
    np.testing.assert_allclose(plain, ages.interval(probs, 0.9))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("claimed", [2.0, 9.0])
def test_bands_calibrate_to_at_least_the_level(level: float, claimed: float) -> None:
    probs, true = _faces(1, 5.0, claimed)
    low = true // 10 * 10
    fresh, truth = _faces(2, 5.0, claimed)
    intervals = ages.interval(fresh, banded_mass(probs, low, low + 9, level))
    assert level - TOLERANCE / 2 < coverage(intervals, truth) < level + 0.12  # wider by what the bands hide


def test_bands_of_one_year_are_ages() -> None:
    probs, true = _faces(5, 5.0, 5.0)
    years = np.rint(true)
    assert banded_mass(probs, years, years, 0.8) == pytest.approx(calibrated_mass(probs, years, 0.8), abs=1e-9)


def test_too_few_bands_give_the_whole_distribution() -> None:
    probs = ages.soft_labels(np.full(8, 50.0), 3.0)
    assert banded_mass(probs, np.full(8, 40.0), np.full(8, 59.0), 0.9) == 1.0
