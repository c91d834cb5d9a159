"""The age axis against scipy, numpy and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.interpolate import interp1d
from scipy.special import softmax as scipy_softmax
from scipy.stats import binom, norm

from agelens import ages

Floats = npt.NDArray[np.floating[Any]]

EDGES = np.arange(102) - 0.5
SHARES = st.floats(0, 1)


def _random_probs(rows: int = 7, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).dirichlet(np.full(101, 0.2), size=rows)


@st.composite
def distributions(draw: st.DrawFn) -> Floats:
    """One distribution over the axis, with empty bins now and then."""
    masses = draw(hnp.arrays(np.float64, 101, elements=st.sampled_from([0.0, 0.0, 1e-3, 0.1, 1.0, 5.0])))
    masses[draw(st.integers(0, 100))] += draw(st.floats(0.01, 3))
    return masses / masses.sum()


def test_axis_is_every_whole_year_from_0_to_100() -> None:
    assert ages.axis().tolist() == list(range(101))


@given(hnp.arrays(np.float64, (3, 101), elements=st.floats(-1e4, 1e4)))
def test_softmax_is_that_of_scipy(logits: Floats) -> None:
    np.testing.assert_allclose(ages.softmax(logits), scipy_softmax(logits, axis=-1), atol=1e-12)


@pytest.mark.parametrize("deviation", [0.3, 1.0, 2.0, 7.5])
def test_soft_labels_are_normal_densities_normalised_over_the_bins(deviation: float) -> None:
    true = np.array([0, 0.4, 17, 33.3, 99, 100])
    density = norm.pdf(np.arange(101), loc=true[:, None], scale=deviation)
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ages.soft_labels(true, deviation), expected, atol=1e-12)


def test_soft_labels_read_ages_beyond_the_axis_as_its_ends() -> None:
    np.testing.assert_array_equal(ages.soft_labels([-4, 130], 2), ages.soft_labels([0, 100], 2))


@given(st.lists(st.floats(-20, 150), min_size=1, max_size=5), st.floats(0.05, 100))
def test_soft_labels_sum_to_one(true: list[float], deviation: float) -> None:
    labels = ages.soft_labels(true, deviation)
    assert labels.shape == (len(true), 101)
    np.testing.assert_allclose(labels.sum(axis=1), 1)


@pytest.mark.parametrize("deviation", [0, -1, float("nan")])
def test_soft_labels_refuse_a_deviation_not_above_zero(deviation: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ages.soft_labels([30], deviation)


@pytest.mark.parametrize("true", [0.001, 1, 17.5, 50, 99.4])
def test_binomial_probs_are_those_of_scipy(true: float) -> None:
    np.testing.assert_allclose(ages.binomial_probs(true), binom.pmf(np.arange(101), 100, true / 100), atol=1e-12)


@given(hnp.arrays(np.float64, (2, 3), elements=st.floats(-20, 150)))
def test_binomial_probs_have_the_age_as_their_mean_and_one_peak(true: Floats) -> None:
    probs = ages.binomial_probs(true)
    assert probs.shape == (2, 3, 101)
    np.testing.assert_allclose(probs.sum(axis=-1), 1)
    np.testing.assert_allclose(ages.expected_age(probs), np.clip(true, 0, 100), atol=1e-5)
    steps = np.sign(np.round(np.diff(probs, axis=-1), 12))
    assert all(list(row[row != 0]) == sorted(row[row != 0], reverse=True) for row in steps.reshape(6, 100))


@pytest.mark.parametrize("num_bins", [1, 2, 7, 20, 50, 101, 202, 333])
def test_bin_shares_are_the_overlap_of_equal_parts_with_the_years(num_bins: int) -> None:
    fine = 101 * num_bins  # so many slices of the axis: each lies in one part and in one year
    slices = np.arange(fine)
    counts = np.zeros((num_bins, 101))
    np.add.at(counts, (slices // 101, slices // num_bins), 1)
    np.testing.assert_allclose(ages.bin_shares(num_bins), counts / 101, atol=1e-12)


@pytest.mark.parametrize("num_bins", [0, -3])
def test_bin_shares_refuse_fewer_than_one(num_bins: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ages.bin_shares(num_bins)


def test_log_choices_are_binomial_coefficients() -> None:
    np.testing.assert_allclose(np.exp(ages.log_choices()) / 2**100, binom.pmf(np.arange(101), 100, 0.5), rtol=1e-10)


def test_range_shares_without_ages_are_even() -> None:
    shares = ages.range_shares([(0, 4), (10, 10), (60, 100)])
    wanted = np.zeros((3, 101))
    wanted[0, :5], wanted[1, 10], wanted[2, 60:] = 1 / 5, 1, 1 / 41
    np.testing.assert_allclose(shares, wanted)


@given(st.lists(st.floats(-5, 120), max_size=30))
def test_range_shares_are_the_counts_of_ages_and_one_more_each(known: list[float]) -> None:
    bands = [(0, 9), (10, 12), (40, 100)]
    years = [min(max(round(age), 0), 100) for age in known]
    for (low, high), row in zip(bands, ages.range_shares(bands, known), strict=True):
        counts = [1 + years.count(year) if low <= year <= high else 0 for year in range(101)]
        np.testing.assert_allclose(row, np.array(counts) / sum(counts))


@pytest.mark.parametrize("band", [(-1, 4), (5, 4), (90, 101)])
def test_range_shares_refuse_a_band_off_the_axis_or_reversed(band: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="rising order"):
        ages.range_shares([(0, 1), band])


def test_expected_age_is_the_mean() -> None:
    probs = _random_probs()
    brute = [sum(age * row[age] for age in range(101)) for row in probs]
    np.testing.assert_allclose(ages.expected_age(probs), brute)


@given(distributions())
def test_expected_age_lies_on_the_axis(probs: Floats) -> None:
    assert -1e-9 <= float(ages.expected_age(probs)) <= 100 + 1e-9


@pytest.mark.parametrize("shape", [(101,), (4, 101), (2, 3, 101)])
def test_leading_axes_are_kept(shape: tuple[int, ...]) -> None:
    probs = np.full(shape, 1 / 101)
    lead = shape[:-1]
    assert ages.expected_age(probs).shape == lead
    assert ages.quantile(probs, 0.3).shape == lead
    assert ages.cdf(probs, np.full(lead, 12.0)).shape == lead
    assert ages.interval(probs, 0.9).shape == (*lead, 2)
    assert ages.prob_at_least(probs, 18).shape == lead
    assert ages.band_probs(probs, [(0, 9), (10, 100), (5, 5)]).shape == (*lead, 3)


def test_cdf_interpolates_the_cumulated_mass_between_the_edges_of_bins() -> None:
    probs = _random_probs(40)
    points = np.random.default_rng(1).uniform(0, 100, 40)
    curves = [np.concatenate([[0], np.cumsum(row)]) for row in probs]
    expected = [np.interp(point, EDGES, curve) for point, curve in zip(points, curves, strict=True)]
    np.testing.assert_allclose(ages.cdf(probs, points), expected, atol=1e-12)


def test_cdf_reads_ages_beyond_the_axis_as_its_ends() -> None:
    probs = _random_probs(2)
    np.testing.assert_array_equal(ages.cdf(probs, [-30, 400]), ages.cdf(probs, [0, 100]))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5, 0.8, 0.975])
def test_quantile_inverts_the_interpolated_cumulated_mass(share: float) -> None:
    probs = np.random.default_rng(2).dirichlet(np.full(101, 3.0), size=20)  # no empty bins: it can be inverted
    expected = [float(interp1d(np.concatenate([[0], np.cumsum(row)]), EDGES)(share)) for row in probs]
    np.testing.assert_allclose(ages.quantile(probs, share), np.clip(expected, 0, 100), atol=1e-9)


def test_quantiles_of_one_bin_are_spread_over_its_year() -> None:
    probs = np.eye(101)[40]
    assert [float(ages.quantile(probs, share)) for share in (0.25, 0.5, 1)] == [39.75, 40, 40.5]


@given(distributions(), SHARES, SHARES)
def test_quantile_never_falls_as_the_share_grows(probs: Floats, one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert ages.quantile(probs, low) <= ages.quantile(probs, high) + 1e-12


@given(distributions(), st.floats(0.001, 0.999))
def test_cdf_of_a_quantile_is_its_share(probs: Floats, share: float) -> None:
    age = ages.quantile(probs, share)
    if 0 < age < 100:  # half of the outer bins lies beyond the ends, where ages are not
        assert ages.cdf(probs, age) == pytest.approx(share, abs=1e-9)


@given(distributions(), st.floats(0, 100))
def test_quantile_of_a_cdf_is_the_age_where_there_is_mass(probs: Floats, age: float) -> None:
    if probs[round(age)] > 0 and abs(age % 1 - 0.5) > 1e-6:
        assert ages.quantile(probs, min(1.0, float(ages.cdf(probs, age)))) == pytest.approx(age, abs=1e-6)


@given(distributions(), st.floats(0, 100))
def test_cdf_is_a_share(probs: Floats, age: float) -> None:
    assert -1e-12 <= ages.cdf(probs, age) <= 1 + 1e-12


@given(distributions(), SHARES, SHARES)
def test_intervals_are_nested_as_their_mass_grows(probs: Floats, one: float, other: float) -> None:
    small, large = sorted([one, other])
    (low, high), (outer_low, outer_high) = ages.interval(probs, small), ages.interval(probs, large)
    assert outer_low <= low + 1e-9
    assert low <= high + 1e-9
    assert high <= outer_high + 1e-9
    assert outer_low >= 0
    assert outer_high <= 100


def test_interval_holds_its_mass() -> None:
    probs = ages.soft_labels([50, 31.5], 3)
    low, high = ages.interval(probs, 0.8).T
    np.testing.assert_allclose(ages.cdf(probs, high) - ages.cdf(probs, low), 0.8)


@given(st.floats(0, 100), st.floats(1, 20), st.floats(0.3, 0.99))
def test_the_same_mass_for_each_year_is_one_mass(age: float, deviation: float, mass: float) -> None:
    probs = ages.soft_labels([age], deviation)
    np.testing.assert_allclose(ages.interval(probs, np.full(101, mass)), ages.interval(probs, mass), atol=0.1)


@given(st.floats(0, 100), st.floats(1, 20))
def test_masses_of_years_that_are_not_reached_do_not_matter(age: float, deviation: float) -> None:
    probs, masses = ages.soft_labels([age], deviation), np.full(101, 0.8)
    low, high = ages.interval(probs, masses)[0]
    beyond = np.where((ages.axis() < low - 1) | (ages.axis() > high + 1), 1.0, masses)
    np.testing.assert_allclose(ages.interval(probs, beyond)[0], [low, high], atol=1e-9)


@given(distributions(), hnp.arrays(np.float64, 101, elements=SHARES))
def test_intervals_by_year_lie_on_the_axis(probs: Floats, masses: Floats) -> None:
    low, high = ages.interval(probs, masses)
    assert 0 <= low <= high <= 100


def test_intervals_with_masses_by_year_of_a_wide_normal_are_those_of_the_normal() -> None:
    low, high = ages.interval(ages.soft_labels([50], 8), np.where(ages.axis() < 50, 0.5, 0.9))[0]
    assert low == pytest.approx(norm(50, 8).interval(0.5)[0], abs=0.02)
    assert high == pytest.approx(norm(50, 8).interval(0.9)[1], abs=0.02)


@pytest.mark.parametrize("mass", [-0.1, 1.1, np.nan, [0.9] * 100, [*[0.9] * 100, 2.0]])
def test_masses_that_are_none_are_refused(mass: Any) -> None:
    with pytest.raises(ValueError, match="wanted one, or 101 of them"):
        ages.interval(np.eye(101)[3], np.asarray(mass) if isinstance(mass, list) else mass)


def test_interval_of_a_wide_normal_is_that_of_the_normal() -> None:
    ends = ages.interval(ages.soft_labels([50], 8), 0.9)[0]
    np.testing.assert_allclose(ends, norm(50, 8).interval(0.9), atol=0.02)


def test_prob_at_least_sums_the_years_from_there_on() -> None:
    probs = _random_probs()
    for age in (0, 1, 18, 99, 100):
        brute = [sum(row[age:].tolist()) for row in probs]
        np.testing.assert_allclose(ages.prob_at_least(probs, age), brute)


@given(distributions(), st.integers(0, 99))
def test_prob_at_least_falls_with_age(probs: Floats, age: int) -> None:
    assert ages.prob_at_least(probs, age + 1) <= ages.prob_at_least(probs, age) + 1e-12
    assert 0 <= ages.prob_at_least(probs, age) <= 1


def test_prob_at_least_counts_birthdays() -> None:
    assert ages.prob_at_least(np.eye(101)[18], 18) == 1
    assert ages.prob_at_least(np.eye(101)[17], 18) == 0


def test_band_probs_hold_both_ends() -> None:
    probs = _random_probs()
    bands = [(0, 2), (3, 9), (10, 100), (7, 7)]
    brute = [[sum(row[low : high + 1].tolist()) for low, high in bands] for row in probs]
    np.testing.assert_allclose(ages.band_probs(probs, bands), brute)


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_shares_outside_0_to_1_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="0…1"):
        ages.quantile(np.eye(101)[3], share)
    with pytest.raises(ValueError, match="0…1"):
        ages.interval(np.eye(101)[3], share)


@pytest.mark.parametrize("age", [-1, 101])
def test_prob_at_least_refuses_an_age_off_the_axis(age: int) -> None:
    with pytest.raises(ValueError, match="0…100"):
        ages.prob_at_least(np.eye(101)[3], age)


@pytest.mark.parametrize("band", [(-1, 4), (5, 4), (90, 101)])
def test_band_probs_refuse_a_band_off_the_axis_or_reversed(band: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="rising order"):
        ages.band_probs(np.eye(101)[3], [(0, 1), band])


@pytest.mark.parametrize("probs", [0.5, np.zeros(100), np.zeros((101, 2))])
def test_anything_but_101_bins_is_refused(probs: Any) -> None:
    for work in (ages.expected_age, lambda p: ages.quantile(p, 0.5), lambda p: ages.cdf(p, 3.0)):
        with pytest.raises(ValueError, match="101 bins"):
            work(probs)


@given(distributions())
def test_variance_is_that_of_the_years(probs: Floats) -> None:
    years = np.arange(101)
    mean = np.average(years, weights=probs)
    assert float(ages.variance(probs)) == pytest.approx(np.average((years - mean) ** 2, weights=probs), abs=1e-6)


@given(distributions(), st.floats(0, 1))
def test_contracted_mass_moves_towards_the_mean_and_none_is_lost(probs: Floats, factor: float) -> None:
    drawn = ages.contract(probs, factor)
    assert drawn.shape == (101,)
    assert drawn.sum() == pytest.approx(1)
    assert (drawn >= 0).all()
    # mass is moved with the width of its year, and counted for whole years again: half a year at most each
    assert float(ages.variance(drawn)) ** 0.5 <= factor * float(ages.variance(probs)) ** 0.5 + 0.6
    assert float(ages.expected_age(drawn)) == pytest.approx(float(ages.expected_age(probs)), abs=0.5)


def test_contracted_samples_are_those_of_the_distribution_moved() -> None:
    probs, factor = ages.soft_labels([30], 8.0)[0], 0.6
    random = np.random.default_rng(0)
    samples = random.choice(101, 200_000, p=probs) + random.uniform(-0.5, 0.5, 200_000)
    moved = 30 + (samples - 30) * factor
    counted = np.histogram(moved, EDGES)[0] / len(moved)
    np.testing.assert_allclose(ages.contract(probs, factor), counted, atol=0.003)


def test_a_factor_of_one_changes_nothing_and_others_are_refused() -> None:
    probs = _random_probs(1)[0]
    np.testing.assert_array_equal(ages.contract(probs, 1), probs)
    for factor in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="0…1"):
            ages.contract(probs, factor)
