"""The training loss against the same arithmetic in numpy and scipy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import norm

from agelens.train.config import HeadConfig
from agelens.train.dataset import NO_GENDER
from agelens.train.losses import AgeGenderLoss, expected_age
from agelens.train.network import Logits

Floats = npt.NDArray[np.float64]
AXIS = np.arange(101)


@pytest.fixture
def logits() -> Logits:
    """Random logits of six faces, with gradients."""
    generator = torch.Generator().manual_seed(3)
    age, gender = (torch.randn(6, width, generator=generator) * 2 for width in (101, 2))
    return Logits(age.requires_grad_(), gender.requires_grad_())


def _reference(logits: Logits, age: Floats, gender: npt.NDArray[np.int64], config: HeadConfig) -> float:
    age_logits, gender_logits = (part.detach().double().numpy() for part in logits)
    labels = norm.pdf(AXIS, age[:, None], config.label_deviation)
    labels /= labels.sum(axis=1, keepdims=True)
    distance = -(labels * log_softmax(age_logits, axis=1)).sum(axis=1).mean()
    error = np.abs(softmax(age_logits, axis=1) @ AXIS - age).mean()
    known = gender >= 0
    wrong = -log_softmax(gender_logits, axis=1)[known, gender[known]].mean() if known.any() else 0.0
    return float(distance + config.l1_weight * error + config.gender_weight * wrong)


@pytest.mark.parametrize("config", [HeadConfig(), HeadConfig(label_deviation=0.7, l1_weight=1.3, gender_weight=2.0)])
@pytest.mark.parametrize("genders", [[0, 1, 1, 0, 1, 0], [0, -1, 1, -1, 1, 0], [-1] * 6])
def test_loss_is_what_numpy_computes(logits: Logits, config: HeadConfig, genders: list[int]) -> None:
    ages = np.array([0.0, 1, 18, 37, 80, 100])
    loss = AgeGenderLoss(config)(logits, torch.tensor(ages, dtype=torch.float32), torch.tensor(genders))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(_reference(logits, ages, np.array(genders), config), rel=1e-4)


def test_unknown_gender_teaches_the_gender_head_nothing(logits: Logits) -> None:
    gender = torch.tensor([0, NO_GENDER, 1, NO_GENDER, 1, 0])
    AgeGenderLoss(HeadConfig())(logits, torch.full((6,), 30.0), gender).backward()
    assert logits.gender.grad is not None
    rows = logits.gender.grad.abs().sum(dim=1)
    assert (rows[gender == NO_GENDER] == 0).all()
    assert (rows[gender != NO_GENDER] > 0).all()


def test_no_gender_known_means_no_gender_term(logits: Logits) -> None:
    unknown = torch.full((6,), NO_GENDER)
    age = torch.full((6,), 30.0)
    loss = AgeGenderLoss(HeadConfig(gender_weight=100.0))(logits, age, unknown)
    assert torch.equal(loss, AgeGenderLoss(HeadConfig(gender_weight=0.0))(logits, age, unknown))
    loss.backward()
    assert logits.gender.grad is None or not logits.gender.grad.any()


def test_ages_beyond_the_axis_are_read_as_its_end(logits: Logits) -> None:
    loss, gender = AgeGenderLoss(HeadConfig()), torch.zeros(6, dtype=torch.int64)
    beyond = loss(logits, torch.full((6,), 116.0), gender)
    assert torch.equal(beyond, loss(logits, torch.full((6,), 100.0), gender))


def test_right_and_sure_costs_less_than_wrong_and_sure() -> None:
    loss = AgeGenderLoss(HeadConfig())
    sure = Logits(torch.zeros(1, 101).index_fill(1, torch.tensor([40]), 20.0), torch.tensor([[9.0, -9.0]]))
    right = loss(sure, torch.tensor([40.0]), torch.tensor([0]))
    for age, gender in ((60.0, 0), (40.0, 1)):
        assert loss(sure, torch.tensor([age]), torch.tensor([gender])) > right + 1


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradient_is_finite_however_sure_the_network(logits: Logits, scale: float) -> None:
    large = Logits(logits.age * scale, logits.gender * scale)
    loss = AgeGenderLoss(HeadConfig())(large, torch.full((6,), 30.0), torch.tensor([0, 1, -1, 0, 1, 1]))
    loss.backward()
    for part in logits:
        assert part.grad is not None
        assert torch.isfinite(part.grad).all()
        assert part.grad.any()


def test_bf16_logits_are_summed_in_float32(logits: Logits) -> None:
    half = Logits(logits.age.bfloat16(), logits.gender.bfloat16())
    loss = AgeGenderLoss(HeadConfig())(half, torch.full((6,), 30.0), torch.zeros(6, dtype=torch.int64))
    assert loss.dtype == torch.float32
    again = _reference(Logits(half.age.float(), half.gender.float()), np.full(6, 30.0), np.zeros(6, int), HeadConfig())
    assert loss.item() == pytest.approx(again, rel=1e-4)


def test_expected_age_is_exact_where_the_rest_is_bf16(logits: Logits) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        age = expected_age(logits.age)
    assert age.dtype == torch.float32
    assert torch.equal(age, expected_age(logits.age))
    wanted = softmax(logits.age.detach().double().numpy(), axis=1) @ AXIS
    assert age.detach().numpy() == pytest.approx(wanted, abs=1e-4)


def test_loss_is_exact_where_the_rest_is_bf16(logits: Logits) -> None:
    loss, age, gender = AgeGenderLoss(HeadConfig(l1_weight=5.0)), torch.full((6,), 33.3), torch.tensor([0, 1] * 3)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(logits, age, gender)
    assert half.item() == pytest.approx(loss(logits, age, gender).item(), rel=1e-6)
