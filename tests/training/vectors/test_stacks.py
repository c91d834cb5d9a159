"""Networks in one stack come out as each alone, and each as plain torch modules would."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from agelens import ages
from agelens.data.manifest import Manifest
from agelens.data.vectors import read_vectors
from agelens.embed.config import MlpConfig
from agelens.embed.fit import Faces, Member, Plan, fit
from agelens.embed.judge import judge
from agelens.embed.labels import labels_of
from agelens.embed.mlp import build_mlp, scale_all
from agelens.embed.stacked import StackedMlp, masks
from agelens.errors import ConfigError
from agelens.train.reading import changed

PLAN = Plan(3, 10)


@pytest.fixture
def faces(vectors_store: Manifest) -> Faces:
    rows = vectors_store.split("all")
    return Faces(torch.from_numpy(read_vectors(vectors_store, rows)), labels_of(rows))


def _members(config: MlpConfig, faces: Faces, count: int) -> list[Member]:
    """Each with other weights, other faces, and another number of them."""
    members = []
    for seed in range(count):
        network = build_mlp(config, faces.vectors.shape[1], seed)
        scale_all([network], faces.vectors)
        order = np.random.default_rng(seed).permutation(len(faces.vectors))
        members.append(Member(network, order[: 150 + 7 * seed], order[200 + seed :], seed))
    return members


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mlp__blocks": 0},
        {"mlp__width": None, "mlp__residuals": 2},
        {"mlp__dropout": 0.0, "gender": None},
        {"head": None, "keep": "gender"},
        {"head": {"kind": "ranges", "bands": [[0, 29], [30, 49], [50, 100]]}, "keep": "accuracy"},
        {"head": {"kind": "coral"}, "keep": "mae"},
        {"head": {"kind": "corn"}},
        {"head": {"kind": "histogram", "num_bins": 21, "loss": "emd"}},
        {"head": {"kind": "mean-variance"}},
        {"head": {"kind": "regression", "loss": "rmse"}},
        {"data__balance": "smoothed", "schedule": {"kind": "exponential", "gamma": 0.8}},
    ],
    ids=str,
)
def test_members_of_a_stack_come_out_as_each_alone(
    changes: dict[str, Any], vectors_config: MlpConfig, faces: Faces
) -> None:
    config = changed(vectors_config, **changes)
    together, alone = _members(config, faces, 3), _members(config, faces, 3)
    of_stack = fit(faces, together, config, PLAN)
    one_by_one = [fit(faces, [one], config, PLAN)[0] for one in alone]
    for got, wanted, first, second in zip(of_stack, one_by_one, together, alone, strict=True):
        assert got.best == wanted.best
        for these, those in zip(got.figures, wanted.figures, strict=True):
            assert these == pytest.approx(those, rel=1e-4, nan_ok=True)
        for name, weights in second.network.state_dict().items():
            torch.testing.assert_close(first.network.state_dict()[name], weights, rtol=1e-3, atol=1e-4)
    assert not torch.equal(together[0].network.last.linear.weight, together[1].network.last.linear.weight)


@pytest.mark.parametrize("kind", ["dldl", "histogram", "mean-variance", "ranges", "coral", "corn"])
def test_bands_are_learnt_alike_in_a_stack(kind: str, vectors_config: MlpConfig, faces: Faces) -> None:
    """Bands that lie across the ranges, members whose ages are not alike, and a third of the ages exact."""
    head = {"kind": kind, "bands": [[0, 24], [25, 39], [40, 100]]} if kind == "ranges" else {"kind": kind}
    config = changed(vectors_config, head=head, gender=None)
    low = (faces.labels.middle // 10 * 10).clamp(max=90)
    age = faces.labels.age.where(torch.arange(len(low)) % 3 == 0, torch.nan)
    ends = (age.nan_to_num(0) + age.isnan() * low, age.nan_to_num(0) + age.isnan() * (low + 9))
    banded = Faces(faces.vectors, faces.labels._replace(age=age, low=ends[0], high=ends[1]))
    order = np.argsort(faces.labels.middle.numpy())
    parts = [order[:150], order[45:195], order[90:]]

    def members() -> list[Member]:
        made = _members(config, banded, 3)
        return [replace(one, train=part, val=order[::5]) for one, part in zip(made, parts, strict=True)]

    together, alone = members(), members()
    fit(banded, together, config, PLAN)
    for one, other in zip(together, alone, strict=True):
        fit(banded, [other], config, PLAN)
        for name, weights in other.network.state_dict().items():
            torch.testing.assert_close(one.network.state_dict()[name], weights, rtol=1e-3, atol=1e-4)


def test_a_stack_computes_what_its_networks_do(vectors_config: MlpConfig, faces: Faces) -> None:
    members = [one.network.eval() for one in _members(vectors_config, faces, 4)]
    for one in members:
        for values in one.parameters():
            torch.nn.init.normal_(values)
    stack, some = StackedMlp(members).eval(), members[0].scaled(faces.vectors[:9])
    numbers = stack(some.T.expand(4, -1, -1), iter(()))
    for place, one in enumerate(members):
        age, gender = one(faces.vectors[:9])
        assert gender is not None
        torch.testing.assert_close(numbers[place].T, torch.cat([age, gender], dim=1))
        again = stack.give(place, copy.deepcopy(members[0]))
        torch.testing.assert_close(again(faces.vectors[:9]).age, age)


def test_a_step_is_that_of_plain_torch(vectors_config: MlpConfig, faces: Faces) -> None:
    """One step of AdamW on the first batch, without dropout, by autograd through the plain modules."""
    config = changed(vectors_config, mlp__dropout=0.0, gender=None, schedule={"kind": "constant"})
    (member,) = _members(config, faces, 1)
    plain = copy.deepcopy(member.network).train()
    places = torch.from_numpy(np.random.default_rng(member.seed).permutation(member.train)[:16])
    decaying = [one for name, one in plain.named_parameters() if "linear.weight" in name]
    others = [one for name, one in plain.named_parameters() if "linear.weight" not in name]
    groups = [{"params": decaying, "weight_decay": config.optim.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.optim.lr)
    raw, age = plain(faces.vectors[places]).age, faces.labels.age[places]
    labels = torch.from_numpy(ages.soft_labels(age.numpy(), 2.0)).float()
    error = ((raw.softmax(dim=1) * torch.arange(101)).sum(dim=1) - age).abs()
    (functional.cross_entropy(raw, labels) + 0.1 * error.mean()).backward()
    optimizer.step()
    fit(faces, [member], config, Plan(1, 1))
    for name, weights in plain.state_dict().items():
        if weights.dtype.is_floating_point:
            torch.testing.assert_close(member.network.state_dict()[name], weights, rtol=1e-4, atol=1e-5)


def test_every_face_is_seen_once_an_epoch_and_the_best_epoch_is_kept(vectors_config: MlpConfig, faces: Faces) -> None:
    config = changed(vectors_config, keep="mae", optim__lr=0.02)
    (member,) = _members(config, faces, 1)
    told: list[tuple[int, int]] = []
    (fitted,) = fit(faces, [member], config, Plan(6, 10), progress=lambda *at: told.append(at))
    assert told == [(step, 60) for step in range(1, 61)]
    errors = [figures["mae"] for figures in fitted.figures]
    assert fitted.best == int(np.argmin(errors))
    found = judge(member.network, faces.vectors, faces.labels, member.val, config)
    assert found["mae"] == pytest.approx(min(errors), rel=1e-4)
    assert min(errors) < 8  # guessing the middle is off by twelve


def test_masks_leave_out_a_share_and_keep_the_mean() -> None:
    mask = next(masks(0.3, (200, 200), 0))
    assert sorted(mask.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert float(mask.mean()) == pytest.approx(1, abs=0.02)
    assert torch.equal(mask, next(masks(0.3, (200, 200), 0)))


def test_figures_are_those_that_can_be_counted_by_hand(vectors_config: MlpConfig, faces: Faces) -> None:
    config = changed(vectors_config, relaxed=3)
    (member,) = _members(config, faces, 1)
    places = np.arange(50)
    found = judge(member.network, faces.vectors, faces.labels, places, config)
    assert member.network.head is not None
    age, gender = member.network(faces.vectors[:50])
    assert gender is not None
    probs = member.network.head.probs(age).detach().numpy()
    true = faces.labels.age[:50].numpy()
    off = np.abs(probs.argmax(axis=1) - true)
    assert found["accuracy"] == pytest.approx((off == 0).mean())
    assert found["relaxed_accuracy"] == pytest.approx((off <= 3).mean())
    assert found["mae"] == pytest.approx(np.abs(ages.expected_age(probs) - true).mean(), rel=1e-4)
    right = gender.argmax(dim=1) == faces.labels.gender[:50]
    assert found["gender"] == pytest.approx(float(right.float().mean()))


def test_a_loss_beyond_all_numbers_is_told(vectors_config: MlpConfig, faces: Faces) -> None:
    config = changed(vectors_config, optim__lr=1e30, mlp__blocks=0, schedule={"kind": "constant"})
    with pytest.raises(ConfigError, match=r"take a lower optim\.lr"):
        fit(faces, _members(config, faces, 1), config, PLAN)
