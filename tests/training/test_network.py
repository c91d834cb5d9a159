"""A backbone with two heads, and what it starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from agelens.errors import ConfigError
from agelens.train.config import TrainConfig, changed
from agelens.train.head_configs import CoralHead, CornHead, DldlHead, RegressionHead
from agelens.train.heads import HEADS, build_head
from agelens.train.network import MEAN, STD, AgeNetwork, build_network, load_start


@pytest.fixture
def build(tiny_config: TrainConfig) -> Callable[..., AgeNetwork]:
    """Builds the network of ``tiny_config`` with other values."""
    return lambda **values: build_network(changed(tiny_config, **values))


def _mean_colour() -> nn.Module:
    """A backbone whose three features are the mean of each colour."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_byobnet", "test_nfnet"])
def test_logits_have_a_row_for_each_crop(name: str, build: Callable[..., AgeNetwork]) -> None:
    network = build(backbone__name=name).eval()
    for size in (32, 48):
        logits = network(torch.zeros(3, 3, size, size, dtype=torch.uint8))
        assert logits.age.shape == (3, 101)
        assert logits.gender.shape == (3, 2)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("neck", [None, 24])
def test_every_head_gets_as_many_numbers_as_it_wants(
    kind: str, neck: int | None, build: Callable[..., AgeNetwork]
) -> None:
    network = build(head={"kind": kind, "neck": neck}).eval()
    logits = network(torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8))
    assert logits.age.shape == (3, network.head.outputs)
    assert network.head.probs(logits.age).shape == (3, 101)


def test_neck_is_a_hidden_layer_before_the_age_only(build: Callable[..., AgeNetwork]) -> None:
    network = build(head__neck=24, backbone__dropout=0.3).eval()
    parts: list[Any] = list(network.age.children())
    first, relu, dropout, last = parts
    assert (first.in_features, first.out_features, last.in_features, last.out_features) == (96, 24, 24, 101)
    assert dropout.p == 0.3
    assert isinstance(relu, nn.ReLU)
    assert isinstance(network.gender, nn.Linear)
    features = torch.randn(5, 96, generator=torch.Generator().manual_seed(0))
    weights = [part.detach().numpy() for part in network.age.parameters()]
    hidden = np.maximum(features.numpy() @ weights[0].T + weights[1], 0)
    assert network.age(features).detach().numpy() == pytest.approx(hidden @ weights[2].T + weights[3], abs=1e-5)


def test_without_gender_there_is_no_second_head(build: Callable[..., AgeNetwork]) -> None:
    network = build(gender=None)
    assert network.gender is None
    assert network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).gender is None
    assert not [name for name, _ in network.named_parameters() if "gender" in name]


@pytest.mark.parametrize(
    ("config", "own"), [(DldlHead(), 0), (RegressionHead(), 0), (CoralHead(), 100), (CornHead(), 100)]
)
def test_the_heads_own_numbers_are_part_of_the_network(config: Any, own: int) -> None:
    head = build_head(config)
    network = AgeNetwork(_mean_colour(), 3, head)
    extra = sum(one.numel() for one in network.parameters()) - (4 * head.outputs + 4 * 2)
    assert extra == own


def test_what_a_head_was_fitted_to_is_kept_with_the_weights(build: Callable[..., AgeNetwork]) -> None:
    for kind in HEADS:
        fitted, fresh = build(head__kind=kind), build(head__kind=kind)
        fitted.head.fit(np.array([20.0, 30, 31, 70]))
        fresh.load_state_dict(fitted.state_dict())
        raw = torch.randn(2, fitted.head.outputs)
        assert torch.equal(fresh.head.probs(raw), fitted.head.probs(raw))


def test_every_part_is_ready_to_be_trained(build: Callable[..., AgeNetwork]) -> None:
    assert all(part.training for part in build().modules())


def test_convolutions_are_laid_out_channels_last(build: Callable[..., AgeNetwork]) -> None:
    weights = [one for one in build().parameters() if one.ndim == 4]
    assert weights
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in weights)


def test_normalisation_is_part_of_the_network() -> None:
    network = AgeNetwork(_mean_colour(), 3, build_head(DldlHead())).eval()
    crops = torch.tensor([10, 130, 250], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 8, 8)
    features = (np.array([10, 130, 250]) - np.array(MEAN)) / np.array(STD)
    weight, bias = (one.detach().numpy() for one in network.age.parameters())
    assert network(crops).age[0].detach().numpy() == pytest.approx(weight @ features + bias, abs=1e-5)


def test_mean_and_deviation_are_imagenets() -> None:
    assert np.array(MEAN) / 255 == pytest.approx([0.485, 0.456, 0.406])
    assert np.array(STD) / 255 == pytest.approx([0.229, 0.224, 0.225])


@pytest.mark.parametrize("neck", [None, 8])
def test_dropout_acts_in_training_only(neck: int | None) -> None:
    network = AgeNetwork(_mean_colour(), 3, build_head(DldlHead()), dropout=0.5, neck=neck)
    crops = torch.full((1, 3, 4, 4), 200, dtype=torch.uint8)
    torch.manual_seed(0)
    assert len({network(crops).age.sum().item() for _ in range(10)}) > 1
    network.eval()
    assert len({network(crops).age.sum().item() for _ in range(10)}) == 1


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("resnet_18", "resnet18"), ("mobilnetv2_100", "mobilenetv2_100"), ("test_resnett", "test_resnet")],
)
def test_unknown_backbone_names_near_ones(typo: str, meant: str, build: Callable[..., AgeNetwork]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(backbone__name=typo)
    message, _, near = str(caught.value).partition("; near it: ")
    assert message == f"backbone.name: timm has no {typo!r}"
    assert meant in near.split(", ")


def test_a_backbone_that_takes_no_crops_of_the_size_is_refused(build: Callable[..., AgeNetwork]) -> None:
    with pytest.raises(ConfigError, match=r"'inception_v3' takes no pictures of 32 pixels: "):
        build(backbone__name="inception_v3")


def test_a_backbone_of_one_size_is_made_for_the_size_that_is_wanted(build: Callable[..., AgeNetwork]) -> None:
    network = build(backbone__name="vit_tiny_patch16_224")
    assert network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).age.shape == (2, 101)


# where it starts


def test_without_weights_it_starts_from_random_numbers(tiny_config: TrainConfig) -> None:
    network = build_network(tiny_config)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    assert load_start(network, tiny_config) is None
    assert all(one.equal(before[name]) for name, one in network.state_dict().items())


def test_a_path_in_a_configuration_fills_the_backbone_and_nothing_else(
    tiny_config: TrainConfig, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    state = timm.create_model("test_resnet", num_classes=10).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    config = changed(tiny_config, backbone__weights=str(tmp_path / "weights.pth"))
    network = build_network(config)
    before = network.get_parameter("age.weight").clone()
    matched = load_start(network, config)
    assert matched is not None
    assert (matched.taken, matched.missing) == (len(state) - 2, ())
    assert all(one.equal(state[name]) for name, one in network.backbone.state_dict().items())
    assert torch.equal(network.get_parameter("age.weight"), before)


@pytest.mark.parametrize("values", [{"backbone__weights": "hub"}, {"backbone__pretrained": True}])
def test_the_hubs_weights_fill_the_backbone(
    values: dict[str, Any], tiny_config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(tiny_config, **values)
    network = build_network(config)
    torch.manual_seed(1)
    there = timm.create_model("test_resnet", num_classes=0)
    asked: list[tuple[Any, Any]] = []

    def download(*names: Any, **settings: Any) -> nn.Module:
        asked.append((names, settings))
        return there

    monkeypatch.setattr(timm, "create_model", download)
    matched = load_start(network, config)
    assert asked == [(("test_resnet",), {"pretrained": True, "num_classes": 0})]
    assert matched is not None
    assert matched.taken == matched.wanted == len(there.state_dict())
    assert all(one.equal(there.state_dict()[name]) for name, one in network.backbone.state_dict().items())


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("no pretrained weights exist")])
def test_hub_that_cannot_be_reached_is_said_with_the_way_out(
    error: Exception, tiny_config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(tiny_config, backbone__weights="hub")
    network = build_network(config)

    def offline(*names: object, **settings: object) -> nn.Module:
        raise error

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        ConfigError, match=r"weights for 'test_resnet' could not be had from the hub.*pretrained to false"
    ):
        load_start(network, config)


def test_settings_go_to_timm_when_the_network_is_made(tiny_config: TrainConfig) -> None:
    settings = {"layers": (1, 2, 1, 1), "channels": (8, 16, 24, 40)}
    network = build_network(changed(tiny_config, backbone__name="resnet18", backbone__settings=settings))
    assert [len(getattr(network.backbone, f"layer{number}")) for number in range(1, 5)] == [1, 2, 1, 1]
    assert network(torch.zeros(2, 3, 32, 32)).age.shape == (2, 101)
    assert isinstance(network.age, nn.Linear)
    assert network.age.in_features == 40


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("test_resnet", {"no_such_thing": 1}),
        ("test_resnet", {"act_layer": "nonsense"}),
        ("resnet18", {"layers": ("a",)}),
        ("resnet18", {"channels": (0, 0, 0, 0)}),
        ("resnet18", {"layers": (3, 4, 6)}),
        ("resnet18", {"channels": (-8, 8, 8, 8)}),
        ("mobilenetv2_100", {"act_layer": "swishh"}),
        ("mobilenetv1_100", {"drop_rate": "a"}),
        ("mobilenetv2_100", {"stem_size": 0}),
        ("test_vit", {"patch_size": 0}),
        ("test_vit", {"num_heads": 0}),
        ("test_efficientnet", {"drop_rate": 2.0}),
    ],
)
def test_settings_that_a_network_does_not_take_are_named(
    name: str, settings: dict[str, Any], tiny_config: TrainConfig
) -> None:
    with pytest.raises(ConfigError, match=f"backbone.settings: no '{name}' with .*{next(iter(settings))}"):
        build_network(changed(tiny_config, backbone__name=name, backbone__settings=settings))


def test_a_backbone_sees_colours_as_its_weights_learnt_them(tiny_config: TrainConfig) -> None:
    config = changed(tiny_config, backbone__name="test_vit", input__size=160)
    wanted = timm.create_model("test_vit").pretrained_cfg
    network = build_network(config)
    assert network.get_buffer("mean").flatten().tolist() == pytest.approx([255 * one for one in wanted["mean"]])
    assert network.get_buffer("std").flatten().tolist() == pytest.approx([255 * one for one in wanted["std"]])
