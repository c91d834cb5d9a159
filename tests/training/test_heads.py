"""Every age head against the same arithmetic in numpy and scipy, and what all of them must hold to."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit, log_softmax, softmax
from scipy.stats import binom, norm

from agelens.train.head_configs import (
    AgeHeadConfig,
    CoralHead,
    CornHead,
    DldlHead,
    HistogramHead,
    MeanVarianceHead,
    RangesHead,
    RegressionHead,
)
from agelens.train.heads import HEADS, AgeHead, build_head, expected_age
from agelens.train.heads.binned import Ranges

Floats = npt.NDArray[np.floating[Any]]
AXIS = np.arange(101.0)
CONFIGS: list[AgeHeadConfig] = [
    *(RegressionHead(loss=loss) for loss in ("mse", "mae", "rmse", "huber")),
    *(HistogramHead(loss=loss) for loss in ("emd", "cross-entropy", "kl")),
    HistogramHead(num_bins=20),
    HistogramHead(num_bins=303, loss="cross-entropy"),
    DldlHead(),
    MeanVarianceHead(),
    RangesHead(),
    RangesHead(bands=((2, 10), (20, 60), (70, 90))),
    CoralHead(),
    CornHead(),
]
ADIENCE = ((0, 2), (4, 6), (8, 13), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100))
AGES = np.array([0.0, 1, 17.6, 37, 80, 100], dtype=np.float32)
WEIGHTS = np.array([1.0, 0.5, 3, 0, 2, 0.1], dtype=np.float32)


def _name(config: AgeHeadConfig) -> str:
    return "-".join([config.kind, *map(str, config.model_dump(exclude_defaults=True))])


all_heads = pytest.mark.parametrize("config", CONFIGS, ids=_name)


def _raw(head: AgeHead, faces: int = 6, scale: float = 2.0, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(faces, head.outputs, generator=generator) * scale


def _loss(head: AgeHead, raw: torch.Tensor, ages: Floats = AGES, weights: Floats = WEIGHTS) -> float:
    loss = head.loss(raw, torch.from_numpy(ages).float(), torch.from_numpy(weights).float())
    assert loss.shape == ()
    return loss.item()


def _double(raw: torch.Tensor) -> Floats:
    return np.asarray(raw.detach().double().numpy())


def _fitted(head: AgeHead) -> AgeHead:
    head.fit(np.random.default_rng(0).integers(0, 90, 500).astype(np.float32))
    return head


def test_every_kind_of_head_is_tested() -> None:
    assert {config.kind for config in CONFIGS} == set(HEADS)


@all_heads
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probs_are_distributions_over_the_axis(config: AgeHeadConfig, scale: float, dtype: torch.dtype) -> None:
    head = _fitted(build_head(config))
    probs = head.probs(_raw(head, 9, scale).to(dtype))
    assert probs.shape == (9, 101)
    assert probs.dtype == torch.float32
    assert (probs >= 0).all()
    assert probs.sum(dim=1).detach().numpy() == pytest.approx(np.ones(9), abs=1e-4)


@all_heads
def test_probs_are_exact_where_the_rest_is_bf16(config: AgeHeadConfig) -> None:
    head = build_head(config)
    raw = _raw(head)
    with torch.autocast("cpu", torch.bfloat16):
        half = head.probs(raw)
    assert torch.equal(half, head.probs(raw))


@all_heads
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_gradients_are_finite_however_sure_the_network(config: AgeHeadConfig, scale: float) -> None:
    head = build_head(config)
    raw = _raw(head, scale=scale).requires_grad_()
    ages, ones = torch.from_numpy(AGES), torch.ones(6)
    losses = [head.loss(raw, ages, ones)]
    if head.learns_bands:
        losses.append(head.band_loss(raw, ages.floor(), ages.ceil(), ones))
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss, raw, retain_graph=True)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@all_heads
def test_loss_teaches_each_face_that_counts_and_no_other(config: AgeHeadConfig) -> None:
    head = build_head(config)
    raw = _raw(head, scale=0.3).requires_grad_()
    head.loss(raw, torch.from_numpy(AGES), torch.from_numpy(WEIGHTS)).backward()
    assert raw.grad is not None
    assert (raw.grad.abs().sum(dim=1) > 0).tolist() == (WEIGHTS > 0).tolist()


@all_heads
def test_weights_multiply_the_loss_of_their_face(config: AgeHeadConfig) -> None:
    head = build_head(config)
    raw, ages = _raw(head, scale=0.3), np.full(3, 44, dtype=np.float32)
    alone = [_loss(head, raw[[row]], ages[:1], np.ones(1)) for row in range(3)]
    squared = config.kind == "regression" and config.loss == "rmse"
    power = 2 if squared else 1
    together = _loss(head, raw[:3], ages, np.array([3.0, 0, 1.5])) ** power
    assert together == pytest.approx((3 * alone[0] ** power + 1.5 * alone[2] ** power) / 3, rel=1e-4)


@all_heads
def test_numbers_learnt_by_the_loss_say_the_age(config: AgeHeadConfig) -> None:
    head = build_head(config)
    ages = torch.tensor([8.0, 45.0, 83.0])
    if isinstance(head, Ranges):  # within a range it is the training's ages that say where
        head.fit(ages.numpy().repeat(10_000))
    raw = torch.zeros(3, head.outputs, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.02 if config.kind == "regression" else 0.3)
    for _ in range(400):
        optimizer.zero_grad()
        head.loss(raw, ages, torch.ones(3)).backward()
        optimizer.step()
    tolerance = 2.6 if config.model_dump().get("num_bins") == 20 else 1.0
    assert expected_age(head.probs(raw)).tolist() == pytest.approx(ages.tolist(), abs=tolerance)


@all_heads
@pytest.mark.parametrize("age", [8.0, 45.0, 83.0])
def test_loss_is_lower_for_the_right_answer_than_for_wrong_ones(config: AgeHeadConfig, age: float) -> None:
    head = build_head(config)
    answers = {true: _sure(head, config, true) for true in (8.0, 45.0, 83.0)}
    right = _loss(head, answers.pop(age), np.array([age]), np.ones(1))
    assert all(right < _loss(head, wrong, np.array([age]), np.ones(1)) for wrong in answers.values())


def _sure(head: AgeHead, config: AgeHeadConfig, age: float) -> torch.Tensor:
    """Numbers that say an age, (1, outputs)."""
    if config.kind == "regression":
        return torch.tensor([[(age - 50) / 20]])  # before it is fitted, mean 50 and standard deviation 20
    if config.kind == "coral":  # the threshold at which its chances are even, of biases that fall from 3 to -3
        return torch.tensor([[6 * age / 99 - 3]])
    if config.kind == "corn":
        return torch.where(torch.arange(100) < age, 9.0, -9.0)[None]
    reach = (torch.as_tensor(head.shares) * torch.arange(101)).sum(dim=1)
    return -((reach - age) ** 2)[None] / 50


def test_expected_age_is_exact_where_the_rest_is_bf16() -> None:
    probs = torch.randn(6, 101, generator=torch.Generator().manual_seed(0)).mul(3).softmax(dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        age = expected_age(probs)
    assert age.dtype == torch.float32
    assert age.numpy() == pytest.approx(_double(probs) @ AXIS, abs=1e-4)


# regression


def test_regression_answers_with_the_binomial_of_its_age() -> None:
    head = build_head(RegressionHead())
    head.fit(np.array([20.0, 40.0]))
    ages = np.array([0.5, 3, 30, 77.7, 99])
    probs = head.probs(torch.from_numpy((ages - 30) / 10)[:, None])  # mean 30, standard deviation 10
    np.testing.assert_allclose(probs, binom.pmf(AXIS, 100, ages[:, None] / 100), atol=1e-5)


@pytest.mark.parametrize(("raw", "age"), [(-7.0, 0.0), (7.0, 100.0)])
def test_regression_beyond_the_axis_is_its_end(raw: float, age: float) -> None:
    probs = build_head(RegressionHead()).probs(torch.tensor([[raw]]))
    assert expected_age(probs).item() == pytest.approx(age, abs=0.01)


def test_regression_starts_at_the_mean_age_of_the_training() -> None:
    head = build_head(RegressionHead())
    assert expected_age(head.probs(torch.zeros(1, 1))).item() == pytest.approx(50, abs=1e-3)
    head.fit(np.array([10.0, 20, 60]))
    assert expected_age(head.probs(torch.zeros(1, 1))).item() == pytest.approx(30, abs=1e-3)


@pytest.mark.parametrize("loss", ["mse", "mae", "rmse", "huber"])
def test_regression_loss_is_what_numpy_computes(loss: Literal["mse", "mae", "rmse", "huber"]) -> None:
    head = _fitted(build_head(RegressionHead(loss=loss, huber_delta=20.0)))
    raw = _raw(head, scale=0.5)
    trained_on = np.random.default_rng(0).integers(0, 90, 500)
    error = np.abs(trained_on.mean() + _double(raw)[:, 0] * trained_on.std() - AGES) / 100
    assert error.min() < 0.2 < error.max()  # both of Huber's branches
    each = {
        "mse": error**2,
        "mae": error,
        "rmse": error**2,
        "huber": np.where(error < 0.2, error**2 / 2, 0.2 * (error - 0.1)),
    }[loss]
    wanted = np.mean(each * WEIGHTS) ** (0.5 if loss == "rmse" else 1)
    assert _loss(head, raw) == pytest.approx(wanted, rel=1e-4)


def test_regression_learns_nothing_from_bands_and_the_others_do() -> None:
    assert {kind for kind in HEADS if not build_head(_config(kind)).learns_bands} == {"regression"}


def _config(kind: str) -> AgeHeadConfig:
    return next(config for config in CONFIGS if config.kind == kind)


# distributions


def _normal(age: Floats, deviation: float, centres: Floats) -> Floats:
    density = norm.pdf(centres, age[:, None], deviation)
    return np.asarray(density / density.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("num_bins", [20, 101, 303])
@pytest.mark.parametrize("loss", ["emd", "cross-entropy", "kl"])
def test_histogram_loss_is_what_scipy_computes(loss: Literal["emd", "cross-entropy", "kl"], num_bins: int) -> None:
    head = build_head(HistogramHead(num_bins=num_bins, age_deviation=4.0, loss=loss))
    raw = _raw(head)
    width = 101 / num_bins
    labels = _normal(AGES, 4.0, np.arange(-0.5 + width / 2, 100.5, width))
    probs, logs = softmax(_double(raw), axis=1), log_softmax(_double(raw), axis=1)
    each = {
        "emd": sum((probs[:, :k].sum(axis=1) - labels[:, :k].sum(axis=1)) ** 2 for k in range(1, num_bins + 1)),
        "cross-entropy": -(labels * logs).sum(axis=1),
        "kl": (labels * (np.log(np.maximum(labels, 1e-300)) - logs)).sum(axis=1),
    }[loss]
    assert _loss(head, raw) == pytest.approx(float(np.mean(each * WEIGHTS)), rel=1e-3)


def test_histogram_of_a_hundred_and_one_bins_is_a_softmax_over_the_years() -> None:
    head = build_head(HistogramHead())
    raw = _raw(head)
    np.testing.assert_allclose(head.probs(raw), softmax(_double(raw), axis=1), atol=1e-6)


def test_histogram_of_few_bins_spreads_each_over_its_years() -> None:
    probs = build_head(HistogramHead(num_bins=2)).probs(torch.tensor([[50.0, 0.0]]))
    np.testing.assert_allclose(probs[0], [*[1 / 50.5] * 50, 0.5 / 50.5, *[0] * 50], atol=1e-6)


@pytest.mark.parametrize("config", [DldlHead(), DldlHead(age_deviation=0.7, l1_weight=1.3), DldlHead(l1_weight=0)])
def test_dldl_loss_is_what_scipy_computes(config: DldlHead) -> None:
    head = build_head(config)
    raw = _raw(head)
    labels = _normal(AGES, config.age_deviation, AXIS)
    distance = -(labels * log_softmax(_double(raw), axis=1)).sum(axis=1)
    error = np.abs(softmax(_double(raw), axis=1) @ AXIS - AGES)
    assert _loss(head, raw) == pytest.approx(np.mean((distance + config.l1_weight * error) * WEIGHTS), rel=1e-4)


@pytest.mark.parametrize("config", [MeanVarianceHead(), MeanVarianceHead(mean_weight=1.5, variance_weight=0.4)])
def test_mean_variance_loss_is_what_explicit_loops_give(config: MeanVarianceHead) -> None:
    head = build_head(config)
    raw = _raw(head)
    total = 0.0
    for row, age, weight in zip(softmax(_double(raw), axis=1), AGES, WEIGHTS, strict=True):
        mean = sum(k * row[k] for k in range(101))
        variance = sum(row[k] * (k - mean) ** 2 for k in range(101))
        loss = -np.log(row[round(age)]) + config.mean_weight * (mean - age) ** 2 / 2 + config.variance_weight * variance
        total += weight * loss
    assert _loss(head, raw) == pytest.approx(total / 6, rel=1e-4)


# ranges


@given(
    st.lists(st.integers(0, 100), min_size=4, max_size=12, unique=True).map(sorted),
    st.lists(st.floats(0, 100, width=32), min_size=1, max_size=20),
)
@settings(deadline=None)
def test_the_range_of_an_age_is_the_one_it_lies_in_or_the_nearest(ends: list[int], ages: list[float]) -> None:
    bands = tuple(zip(ends[::2], ends[1::2], strict=False))
    head = Ranges(RangesHead(bands=bands))
    for age, got in zip(ages, head.classes(torch.tensor(ages)).tolist(), strict=True):
        low, high = bands[got]
        distances = [max(first - round(age), round(age) - last, 0) for first, last in bands]
        assert max(low - round(age), round(age) - high, 0) == min(distances)


def test_adience_bands_hold_their_ages_and_gaps_go_to_the_nearest() -> None:
    head = Ranges(RangesHead(bands=ADIENCE))
    for place, (low, high) in enumerate(ADIENCE):
        assert head.classes(torch.tensor([low, high, high + 0.9])).tolist() == [place] * 3
    assert head.classes(torch.tensor([22.0, 23.0, 56.0, 58.0, 35.0])).tolist() == [3, 4, 6, 7, 4]


def test_default_ranges_are_five_years_each_and_the_rest_from_80_on() -> None:
    head = Ranges(RangesHead())
    assert head.outputs == 17
    assert head.classes(torch.arange(101)).tolist() == [min(year // 5, 16) for year in range(101)]


def test_ranges_loss_is_the_cross_entropy_of_the_class() -> None:
    head = build_head(RangesHead(bands=ADIENCE))
    raw = _raw(head)
    classes = [0, 0, 3, 5, 7, 7]  # of AGES
    each = -log_softmax(_double(raw), axis=1)[range(6), classes]
    assert _loss(head, raw) == pytest.approx(np.mean(each * WEIGHTS), rel=1e-4)


def test_ranges_spread_as_the_ages_of_the_training_do() -> None:
    head = build_head(RangesHead(bands=((0, 9), (10, 19))))
    sure = torch.tensor([[50.0, 0.0]])
    np.testing.assert_allclose(head.probs(sure)[0, :10], np.full(10, 0.1), atol=1e-6)
    head.fit(np.array([3.0] * 90 + [15.0] * 7))
    assert head.probs(sure)[0, 3].item() == pytest.approx(91 / 100)
    assert head.probs(sure)[0, 10:].sum().item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "bands", [[(0, 9)], [(0, 9), (9, 20)], [(10, 20), (0, 9)], [(9, 0), (10, 20)], [(0, 101), (102, 103)], []]
)
def test_ranges_that_fall_or_overlap_are_refused(bands: list[tuple[int, int]]) -> None:
    with pytest.raises(ValidationError, match=r"bands must be|less than or equal to 100"):
        RangesHead(bands=tuple(bands))


# thresholds


def _answers(logit: float, older: bool) -> float:
    """Binary cross-entropy of one question."""
    return float(-np.log(expit(logit) if older else expit(-logit)))


def test_coral_loss_is_what_explicit_loops_give() -> None:
    head = _fitted(build_head(CoralHead()))
    raw, biases = _raw(head), _double(head.get_parameter("biases"))
    total = 0.0
    for face, age in enumerate(AGES):
        questions = [_answers(_double(raw)[face, 0] + biases[k], round(float(age)) > k) for k in range(100)]
        total += WEIGHTS[face] * sum(questions)
    assert _loss(head, raw) == pytest.approx(total / 6, rel=1e-4)


def test_corn_loss_is_what_explicit_loops_give() -> None:
    head = _fitted(build_head(CornHead()))
    raw, biases = _raw(head), _double(head.get_parameter("biases"))
    total = 0.0
    for k in range(100):
        for face in (face for face in range(6) if round(float(AGES[face])) > k - 1):
            total += WEIGHTS[face] * _answers(_double(raw)[face, k] + biases[k], round(float(AGES[face])) > k)
    assert _loss(head, raw) == pytest.approx(total / 6, rel=1e-4)


def test_corn_loss_is_minus_the_log_of_the_ages_probability() -> None:
    head = _fitted(build_head(CornHead()))
    raw = _raw(head, scale=0.2)
    probs = _double(head.probs(raw))
    wanted = -np.log([row[round(float(age))] for row, age in zip(probs, AGES, strict=True)])
    assert _loss(head, raw) == pytest.approx((wanted * WEIGHTS).mean(), rel=1e-3)


def test_coral_probs_are_the_steps_between_thresholds() -> None:
    head = build_head(CoralHead())
    biases = np.linspace(3, -3, 100)
    older = expit(np.array([[0.7], [-2.0]]) + biases)
    wanted = -np.diff(older, axis=1, prepend=1, append=0)
    np.testing.assert_allclose(head.probs(torch.tensor([[0.7], [-2.0]])).detach(), wanted, atol=1e-6)


def test_corn_probs_are_products_of_the_answers() -> None:
    head = build_head(CornHead())
    raw = _raw(head, 2)
    for row, got in zip(_double(raw) + np.linspace(3, -3, 100), head.probs(raw).detach(), strict=True):
        passed, wanted = 1.0, []
        for logit in row:
            wanted.append(passed * expit(-logit))
            passed *= expit(logit)
        np.testing.assert_allclose(got, [*wanted, passed], atol=1e-6)


def test_coral_thresholds_out_of_order_give_no_negative_probability() -> None:
    head = build_head(CoralHead())
    with torch.no_grad():
        head.get_parameter("biases").copy_(torch.linspace(-3, 3, 100))
    probs = head.probs(torch.zeros(1, 1))
    assert probs.min() >= 0
    assert probs.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("config", [CoralHead(), CornHead()], ids=lambda config: config.kind)
def test_thresholds_start_with_the_distribution_of_the_training(config: AgeHeadConfig) -> None:
    head = build_head(config)
    ages = np.random.default_rng(1).integers(0, 101, 20_000)
    ages = ages[ages % 3 > 0]  # no year that 3 divides
    head.fit(np.asarray(ages, dtype=np.float32))
    counts = np.bincount(ages, minlength=101)
    np.testing.assert_allclose(head.probs(torch.zeros(1, head.outputs))[0].detach(), counts / counts.sum(), atol=5e-4)


@pytest.mark.parametrize("config", [CoralHead(), CornHead()], ids=lambda config: config.kind)
def test_thresholds_are_learnt(config: AgeHeadConfig) -> None:
    head = build_head(config)
    head.loss(_raw(head), torch.from_numpy(AGES), torch.ones(6)).backward()
    assert [name for name, one in head.named_parameters() if one.grad is not None and one.grad.any()] == ["biases"]


# bands


@pytest.mark.parametrize("config", [config for config in CONFIGS if config.kind != "regression"], ids=_name)
def test_band_loss_is_minus_the_log_of_the_bands_probability(config: AgeHeadConfig) -> None:
    head = build_head(config)
    raw = _raw(head, scale=0.1)
    bands = [(0, 100), (0, 60), (25, 32), (38, 43), (48, 53), (30, 100)]
    probs = _double(head.probs(raw))
    likelihoods = [sum(row[k] for k in range(low, high + 1)) for row, (low, high) in zip(probs, bands, strict=True)]
    wanted = np.mean(-np.log(np.maximum(likelihoods, 1e-8)) * WEIGHTS)
    lows, highs = torch.tensor(bands, dtype=torch.float32).T
    assert head.band_loss(raw, lows, highs, torch.from_numpy(WEIGHTS)).item() == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind != "regression"])
def test_numbers_learnt_from_a_band_lie_in_it(kind: str) -> None:
    head = build_head(_config(kind))
    raw = torch.zeros(1, head.outputs, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.3)
    for _ in range(200):
        optimizer.zero_grad()
        head.band_loss(raw, torch.tensor([25.0]), torch.tensor([39.0]), torch.ones(1)).backward()
        optimizer.step()
    assert 25 <= expected_age(head.probs(raw)).item() <= 39


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind != "regression"])
def test_a_band_that_seems_impossible_teaches_the_most(kind: str) -> None:
    head = build_head(_config(kind))
    raw = torch.zeros(1, head.outputs)
    raw[:, -1] = 40.0 if head.outputs > 1 else 25.0  # as old as can be, and sure of it
    if kind == "corn":
        raw[:] = 25.0
    raw.requires_grad_()
    head.band_loss(raw, torch.tensor([0.0]), torch.tensor([2.0]), torch.ones(1)).backward()
    assert raw.grad is not None
    assert raw.grad.abs().max() > 0.1


def test_a_band_between_two_ranges_counts_for_the_nearest() -> None:
    head = Ranges(RangesHead(bands=((2, 10), (20, 60), (70, 90))))
    raw = _raw(head, 1)
    losses = [
        head.band_loss(raw, torch.tensor([low]), torch.tensor([high]), torch.ones(1))
        for low, high in ((12.0, 13.0), (2.0, 10.0))
    ]
    assert losses[0].item() == pytest.approx(losses[1].item())


def test_a_regression_learns_nothing_from_bands() -> None:
    head = build_head(RegressionHead())
    assert not head.learns_bands
    with pytest.raises(NotImplementedError, match="exact ages only"):
        head.band_loss(torch.zeros(1, 1), torch.tensor([0.0]), torch.tensor([2.0]), torch.ones(1))
