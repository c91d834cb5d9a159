"""What of a network is trained, when, and how fast."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from agelens.train.config import TrainConfig, changed
from agelens.train.finetune import free_stages, freed_at, parameter_groups, set_trainable, stages
from agelens.train.network import AgeNetwork, build_network
from agelens.train.sections import FinetuneConfig

# The first parameter of every stage.
FIRSTS = {
    "test_resnet": ["conv1.0.weight", *(f"layer{place}.0.conv1.weight" for place in range(1, 5))],
    "resnet18": ["conv1.weight", *(f"layer{place}.0.conv1.weight" for place in range(1, 5))],
    "test_efficientnet": [
        "conv_stem.weight",
        "blocks.0.0.conv.weight",
        "blocks.1.0.conv_exp.weight",
        "blocks.2.0.conv_exp.weight",
        "blocks.3.0.conv_pw.weight",
        "blocks.4.0.conv_pw.weight",
    ],
    "mobilenetv2_100": [
        "conv_stem.weight",
        "blocks.0.0.conv_dw.weight",
        *(f"blocks.{place}.0.conv_pw.weight" for place in range(1, 7)),
    ],
    "test_vit": ["cls_token", *(f"blocks.{place}.norm1.weight" for place in range(6))],
    "test_convnext": [
        "stem.0.weight",
        "stages.0.blocks.0.gamma",
        *(f"stages.{place}.downsample.0.weight" for place in range(1, 4)),
    ],
}
all_backbones = pytest.mark.parametrize("name", FIRSTS)


@pytest.fixture
def build(tiny_config: TrainConfig) -> Callable[..., AgeNetwork]:
    """Builds a network of a backbone's name."""

    def make(name: str = "test_resnet") -> AgeNetwork:
        torch.manual_seed(0)
        config = changed(tiny_config, backbone__name=name, backbone__dropout=0, input__size=64)
        network = build_network(config)
        for part in network.modules():  # some start with 0, which lets no gradient through
            if isinstance(part, nn.BatchNorm2d):
                nn.init.ones_(part.weight)
        return network

    return make


@all_backbones
def test_stages_have_every_parameter_once_and_in_order(name: str) -> None:
    backbone = timm.create_model(name, num_classes=0)
    assert [one for stage in stages(backbone) for one in stage] == [one for one, _ in backbone.named_parameters()]


@all_backbones
def test_stages_begin_where_the_backbones_do_and_end_with_its_last_norm(name: str) -> None:
    found = stages(timm.create_model(name, num_classes=0))
    assert [stage[0] for stage in found] == FIRSTS[name]
    assert len(found[-1]) > 2


def test_stages_of_a_backbone_that_is_not_timms_are_its_parts() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten())
    assert stages(backbone) == [["0.weight", "0.bias"], ["2.weight", "2.bias"]]


def test_a_last_norm_is_no_stage_of_its_own() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    assert stages(backbone) == [["0.weight", "0.bias"], ["1.weight", "1.bias", "2.weight", "2.bias"]]


def test_what_timm_spares_from_decay_is_spared(tiny_config: TrainConfig) -> None:
    config = changed(tiny_config, backbone__name="test_vit", input__size=160)
    network = build_network(config)
    spared = {network.backbone.pos_embed, network.backbone.cls_token}
    decayed = {one for group in parameter_groups(network, config) if group["weight_decay"] for one in group["params"]}
    assert decayed
    assert not spared & decayed


FROZEN = {"freeze": "backbone"}


@pytest.mark.parametrize(
    ("finetune", "epochs", "wanted"),
    [
        ({}, 4, [5, 5, 5, 5]),
        (FROZEN, 4, [0, 0, 0, 0]),
        (FROZEN | {"unfreeze": "last"}, 4, [0, 0, 1, 1]),
        (FROZEN | {"unfreeze": "last"}, 1, [0]),
        (FROZEN | {"unfreeze": "last"}, 2, [0, 1]),
        (FROZEN | {"unfreeze": "last", "epochs": [1]}, 4, [0, 1, 1, 1]),
        (FROZEN | {"unfreeze": "progressive"}, 6, [0, 1, 2, 3, 4, 5]),
        (FROZEN | {"unfreeze": "progressive"}, 12, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (FROZEN | {"unfreeze": "progressive"}, 3, [0, 1, 2]),
        (FROZEN | {"unfreeze": "progressive"}, 1, [0]),
        (FROZEN | {"unfreeze": "progressive", "epochs": [1, 4]}, 6, [0, 1, 1, 1, 2, 2]),
        (FROZEN | {"unfreeze": "progressive", "epochs": [1, 2, 3, 4, 5, 6, 7]}, 9, [0, 1, 2, 3, 4, 5, 5, 5, 5]),
    ],
)
def test_stages_are_freed_in_their_epochs(finetune: dict[str, object], epochs: int, wanted: list[int]) -> None:
    config = FinetuneConfig.model_validate(finetune)
    assert [free_stages(config, epoch, epochs, 5) for epoch in range(epochs)] == wanted


@given(st.integers(1, 300), st.integers(1, 60))
def test_progressive_frees_as_many_as_there_is_time_for_one_at_a_time(epochs: int, of: int) -> None:
    config = FinetuneConfig(freeze="backbone", unfreeze="progressive")
    starts = freed_at(config, epochs, of)
    assert len(starts) == min(of, epochs - 1)
    assert all(before < after for before, after in pairwise([0, *starts, epochs]))
    free = [free_stages(config, epoch, epochs, of) for epoch in range(epochs)]
    assert free[0] == 0
    assert all(after - before in (0, 1) for before, after in pairwise(free))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
def test_only_the_last_stages_and_the_heads_have_gradients(name: str, build: Callable[..., AgeNetwork]) -> None:
    network = build(name)
    groups = stages(network.backbone)
    for free in (0, 1, 3, len(groups), 2):
        told = set_trainable(network, free)
        wanted = {one for stage in groups[len(groups) - free :] for one in stage}
        assert {one for one, part in network.backbone.named_parameters() if part.requires_grad} == wanted
        assert all(part.requires_grad for one, part in network.named_parameters() if not one.startswith("backbone."))
        numbers = sum(part.numel() for part in network.parameters() if part.requires_grad)
        assert told == (free, len(groups), numbers, sum(part.numel() for part in network.parameters()))


def _averages(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: one.clone() for name, one in network.named_buffers() if "running" in name or "tracked" in name}


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "mobilenetv2_100"])
@pytest.mark.parametrize("free", [0, 1, 3])
def test_frozen_batch_norms_keep_their_averages_and_the_others_move(
    name: str, free: int, build: Callable[..., AgeNetwork]
) -> None:
    network = build(name)
    groups = stages(network.backbone)
    set_trainable(network, free)
    frozen = {one.rpartition(".")[0] for stage in groups[: len(groups) - free] for one in stage}
    before = _averages(network.backbone)
    network(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))
    moved = {one.rpartition(".")[0] for one, now in _averages(network.backbone).items() if not now.equal(before[one])}
    everywhere = {one.rpartition(".")[0] for one in before}
    assert moved == everywhere - frozen
    assert everywhere & frozen
    assert bool(moved) == (free > 0)


def test_frozen_batch_norms_use_their_averages(build: Callable[..., AgeNetwork]) -> None:
    network = build()
    crops = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    set_trainable(network, 0)
    assert all(part.training for part in network.modules() if not isinstance(part, nn.BatchNorm2d))
    assert torch.equal(network(crops).age, network.eval()(crops).age)


def test_norms_without_weights_are_trained_with_the_whole_only() -> None:
    class Head(nn.Module):
        outputs = 101

    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = AgeNetwork(backbone, 4, Head())  # type: ignore[arg-type]  # its arithmetic is not asked for
    set_trainable(network, 0)
    assert not backbone[1].training
    set_trainable(network, 1)
    assert backbone[1].training


def test_what_was_frozen_is_trained_again_when_all_is_free(build: Callable[..., AgeNetwork]) -> None:
    network = build()
    set_trainable(network, 0)
    set_trainable(network, 5)
    assert all(part.training for part in network.modules())
    assert all(part.requires_grad for part in network.parameters())


@pytest.mark.parametrize(
    ("free", "words"),
    [
        (0, r"training the heads: 9,991 of [\d,]+ weights"),
        (2, r"training the heads and the last 2 of 5 stages: [\d,]+ of [\d,]+ weights"),
        (5, r"training everything: ([\d,]+) of \1 weights"),
    ],
)
def test_what_is_trained_is_said_in_a_line(free: int, words: str, build: Callable[..., AgeNetwork]) -> None:
    assert re.fullmatch(words, str(set_trainable(build(), free)))


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "mobilenetv2_100"])
@pytest.mark.parametrize("decay", [1.0, 0.5])
@pytest.mark.parametrize("kind", ["dldl", "coral"])
def test_parameter_groups_have_every_weight_once_with_its_rate_and_decay(
    name: str, decay: float, kind: str, tiny_config: TrainConfig
) -> None:
    config = changed(
        tiny_config,
        backbone__name=name,
        head__kind=kind,
        finetune__layer_decay=decay,
        optim__lr=0.1,
        optim__weight_decay=0.3,
    )
    network = build_network(config)
    found = {id(one): group for group in parameter_groups(network, config) for one in group["params"]}
    listed = [id(one) for group in parameter_groups(network, config) for one in group["params"]]
    assert sorted(listed) == sorted(id(one) for one in network.parameters())

    by_stage = stages(network.backbone)
    place = {one: number for number, stage in enumerate(by_stage) for one in stage}
    for full, part in network.named_parameters():
        behind = len(by_stage) - place.get(full.removeprefix("backbone."), len(by_stage))
        assert found[id(part)]["lr"] == pytest.approx(0.1 * decay**behind), full
        assert found[id(part)]["weight_decay"] == (0.3 if part.ndim > 1 else 0), full


def test_one_rate_for_all_makes_two_groups(build: Callable[..., AgeNetwork], tiny_config: TrainConfig) -> None:
    matrices, vectors = parameter_groups(build(), tiny_config)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.05, 0.0)
    assert matrices["lr"] == vectors["lr"] == 1e-3


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_frozen_weights_are_left_alone_by_the_optimiser(
    kind: type[torch.optim.Optimizer], build: Callable[..., AgeNetwork], tiny_config: TrainConfig
) -> None:
    network = build()
    set_trainable(network, 1)
    before = {name: part.clone() for name, part in network.named_parameters()}
    optimizer = kind(parameter_groups(network, tiny_config))  # type: ignore[call-arg]  # each takes groups
    crops = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    network(crops).age.square().sum().backward()
    optimizer.step()
    moved = {name for name, part in network.named_parameters() if not part.equal(before[name])}
    last = {f"backbone.{name}" for name in stages(network.backbone)[-1]}
    assert moved == last | {"age.weight", "age.bias"}
