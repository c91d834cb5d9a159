"""What a training makes small, over faces of which not everything is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from agelens.train.config import TrainConfig, changed
from agelens.train.dataset import NO_GENDER, Batch
from agelens.train.heads import HEADS, AgeHead, build_head
from agelens.train.network import Logits
from agelens.train.objective import age_loss, gender_loss, total_loss

NAN = float("nan")
AGES = [3.0, 18, NAN, 37, NAN, 100]
LOW, HIGH = [3.0, 18, 25, 37, 60, 100], [3.0, 18, 32, 37, 100, 100]
ONES = [1.0] * 6


def _batch(
    age: list[float] = AGES,
    gender: list[int] = [0, 1] * 3,
    weight: list[float] = ONES,
) -> Batch:
    return Batch(
        crop=torch.zeros(len(age), 3, 8, 8, dtype=torch.uint8),
        age=torch.tensor(age),
        low=torch.tensor(LOW),
        high=torch.tensor(HIGH),
        gender=torch.tensor(gender),
        weight=torch.tensor(weight),
    )


def _logits(head: AgeHead, *, scale: float = 0.5) -> Logits:
    generator = torch.Generator().manual_seed(3)
    age, gender = (torch.randn(6, width, generator=generator) * scale for width in (head.outputs, 2))
    return Logits(age.requires_grad_(), gender.requires_grad_())


@pytest.fixture(params=[kind for kind in HEADS if HEADS[kind].learns_bands])
def config(request: pytest.FixtureRequest, tiny_config: TrainConfig) -> TrainConfig:
    """A configuration of each kind of head."""
    return changed(tiny_config, head__kind=request.param)


@pytest.fixture
def head(config: TrainConfig) -> AgeHead:
    """Its head, fitted to one face of every age."""
    head = build_head(config.head)
    head.fit(np.arange(101.0))
    return head


def test_where_all_ages_are_known_the_age_loss_is_the_heads_own(head: AgeHead) -> None:
    batch = _batch([3.0, 18, 28, 37, 80, 100], weight=[1.0, 0, 2, 3, 0.5, 1])
    raw = _logits(head).age
    assert torch.equal(age_loss(head, raw, batch), head.loss(raw, batch["age"], batch["weight"]))


def test_where_no_age_is_known_it_is_the_likelihood_of_the_bands(head: AgeHead) -> None:
    batch = _batch([NAN] * 6, weight=[1.0, 0, 2, 3, 0.5, 1])
    raw = _logits(head).age
    wanted = head.band_loss(raw, batch["low"], batch["high"], batch["weight"])
    assert age_loss(head, raw, batch).item() == pytest.approx(wanted.item(), rel=1e-6)


def test_each_face_counts_the_same_whether_its_age_or_its_band_is_known(head: AgeHead) -> None:
    batch, raw = _batch(weight=[1.0, 0, 2, 3, 0.5, 1]), _logits(head).age
    exact, banded = torch.tensor([0, 1, 3, 5]), torch.tensor([2, 4])
    own = head.loss(raw[exact], batch["age"][exact], batch["weight"][exact])
    band = head.band_loss(raw[banded], batch["low"][banded], batch["high"][banded], batch["weight"][banded])
    assert age_loss(head, raw, batch).item() == pytest.approx((4 * own + 2 * band).item() / 6, rel=1e-5)


def test_unknown_ages_leave_no_trace_in_the_gradient(head: AgeHead) -> None:
    logits = _logits(head)
    age_loss(head, logits.age, _batch()).backward()
    assert logits.age.grad is not None
    assert torch.isfinite(logits.age.grad).all()
    assert (logits.age.grad.abs().sum(dim=1) > 0).all()


def test_a_face_of_weight_0_teaches_nothing(config: TrainConfig, head: AgeHead) -> None:
    logits = _logits(head)
    weight = [1.0, 0, 0, 2, 1, 1]
    total_loss(head, logits, _batch(weight=weight), config).backward()
    for part in logits:
        assert part is not None
        assert part.grad is not None
        assert (part.grad.abs().sum(dim=1) > 0).tolist() == [one > 0 for one in weight]


@pytest.mark.parametrize("genders", [[0, 1, 1, 0, 1, 0], [0, -1, 1, -1, 1, 0], [-1] * 5 + [1]])
@pytest.mark.parametrize("weight", [ONES, [1.0, 0, 2, 3, 0.5, 0.1]])
def test_gender_loss_is_the_mean_over_the_faces_that_have_one(genders: list[int], weight: list[float]) -> None:
    raw = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)) * 3
    logs = log_softmax(raw.double().numpy(), axis=1)
    terms = [-logs[face, gender] * weight[face] for face, gender in enumerate(genders) if gender != NO_GENDER]
    got = gender_loss(raw, torch.tensor(genders), torch.tensor(weight))
    assert got.shape == ()
    assert got.item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_unknown_gender_teaches_the_gender_head_nothing(tiny_config: TrainConfig) -> None:
    head, gender = build_head(tiny_config.head), torch.tensor([0, NO_GENDER, 1, NO_GENDER, 1, 0])
    logits = _logits(head)
    total_loss(head, logits, _batch(gender=gender.tolist()), tiny_config).backward()
    assert logits.gender is not None
    assert logits.gender.grad is not None
    rows = logits.gender.grad.abs().sum(dim=1)
    assert ((rows > 0) == (gender != NO_GENDER)).all()


def test_no_gender_known_means_no_gender_term(tiny_config: TrainConfig) -> None:
    config = changed(tiny_config, gender__weight=100.0)
    head = build_head(config.head)
    logits, batch = _logits(head), _batch(gender=[NO_GENDER] * 6)
    loss = total_loss(head, logits, batch, config)
    assert loss.item() == pytest.approx(age_loss(head, logits.age, batch).item(), rel=1e-6)
    loss.backward()
    assert logits.gender is not None
    assert logits.gender.grad is None or not logits.gender.grad.any()


def test_total_is_the_weighted_sum_of_both(config: TrainConfig, head: AgeHead) -> None:
    config = changed(config, head__weight=3.0, gender__weight=0.7)
    logits, batch = _logits(head), _batch(weight=[1.0, 0, 2, 3, 0.5, 1])
    assert logits.gender is not None
    age, gender = age_loss(head, logits.age, batch), gender_loss(logits.gender, batch["gender"], batch["weight"])
    assert total_loss(head, logits, batch, config).item() == pytest.approx(
        3 * age.item() + 0.7 * gender.item(), rel=1e-5
    )


def test_without_a_gender_head_the_total_is_the_age_loss(config: TrainConfig, head: AgeHead) -> None:
    config, logits, batch = changed(config, gender=None, head__weight=1.0), _logits(head), _batch()
    total = total_loss(head, Logits(logits.age, None), batch, config)
    assert torch.equal(total, age_loss(head, logits.age, batch))


def test_total_is_what_numpy_computes(tiny_config: TrainConfig) -> None:
    head = build_head(tiny_config.head)  # dldl: deviation 2, L1 weighted 0.1; gender 0.5
    logits, batch = _logits(head, scale=2.0), _batch()
    raw = logits.age.detach().double().numpy()
    axis, probs, logs = np.arange(101), softmax(raw, axis=1), log_softmax(raw, axis=1)
    terms = []
    for face, age in enumerate(AGES):
        if np.isnan(age):
            terms.append(-np.log(probs[face, int(LOW[face]) : int(HIGH[face]) + 1].sum()))
        else:
            label = np.exp(-((axis - age) ** 2) / 8)
            terms.append(-(label / label.sum()) @ logs[face] + 0.1 * abs(probs[face] @ axis - age))
    assert logits.gender is not None
    gender = -log_softmax(logits.gender.detach().double().numpy(), axis=1)[range(6), [0, 1] * 3]
    wanted = np.mean(terms) + 0.5 * gender.mean()
    assert total_loss(head, logits, batch, tiny_config).item() == pytest.approx(wanted, rel=1e-5)


def test_total_is_exact_where_the_rest_is_bf16(config: TrainConfig, head: AgeHead) -> None:
    logits, batch = _logits(head), _batch()
    with torch.autocast("cpu", torch.bfloat16):
        half = total_loss(head, logits, batch, config)
    assert half.dtype == torch.float32
    assert torch.equal(half, total_loss(head, logits, batch, config))


def test_bf16_logits_are_summed_in_float32(config: TrainConfig, head: AgeHead) -> None:
    logits, batch = _logits(head), _batch()
    assert logits.gender is not None
    half = Logits(logits.age.bfloat16(), logits.gender.bfloat16())
    loss: Any = total_loss(head, half, batch, config)
    assert half.gender is not None
    assert loss.dtype == torch.float32
    assert torch.equal(loss, total_loss(head, Logits(half.age.float(), half.gender.float()), batch, config))
