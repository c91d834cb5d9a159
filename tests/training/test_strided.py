"""Strided depthwise convolutions compute in float32 beside bf16, and nothing else about a network changes."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from agelens.train.config import TrainConfig, changed
from agelens.train.network import build_network
from agelens.train.strided import widen_strided

# plain convolutions, and timm's own that pad as TensorFlow does
NETWORKS = ["test_efficientnet", "tf_mobilenetv3_small_minimal_100"]


def _pair(name: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = timm.create_model(name, num_classes=5)
    widened = copy.deepcopy(plain)
    widen_strided(widened)
    return plain, widened


@pytest.mark.parametrize("name", NETWORKS)
def test_strided_depthwise_layers_alone_give_float32_under_autocast(name: str) -> None:
    _, network = _pair(name)
    kinds: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            strided = module.groups == module.in_channels and max(module.stride) > 1
            module.register_forward_hook(lambda _m, _i, out, strided=strided: kinds[strided].add(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        network.eval()(torch.randn(2, 3, 64, 64)).float().sum().backward()
    assert kinds == {True: {torch.float32}, False: {torch.bfloat16}}


@pytest.mark.parametrize("name", NETWORKS)
def test_without_autocast_answers_and_names_are_the_same(name: str) -> None:
    plain, widened = _pair(name)
    assert list(plain.state_dict()) == list(widened.state_dict())
    pixels = torch.randn(2, 3, 64, 64)
    assert torch.equal(plain.eval()(pixels), widened.eval()(pixels))


@pytest.mark.parametrize("name", NETWORKS)
def test_under_autocast_answers_and_gradients_are_near(name: str) -> None:
    found = []
    for network in _pair(name):
        with torch.autocast("cpu", torch.bfloat16):
            answer = network.eval()(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
        answer.float().square().sum().backward()
        found.append(torch.cat([one.grad.flatten() for one in network.parameters() if one.grad is not None]))
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.98


def test_a_copy_has_weights_of_its_own() -> None:
    """As the averaged network has, which is a deep copy."""
    _, network = _pair(NETWORKS[0])
    other = copy.deepcopy(network)
    with torch.no_grad():
        for one in other.parameters():
            one.zero_()
    pixels = torch.randn(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(network.eval()(pixels), other.eval()(pixels))


def test_twice_is_as_once() -> None:
    _, network = _pair(NETWORKS[0])
    kinds = [type(module) for module in network.modules()]
    widen_strided(network)
    assert [type(module) for module in network.modules()] == kinds


def test_networks_are_built_so(tiny_config: TrainConfig) -> None:
    network = build_network(changed(tiny_config, backbone__name="test_efficientnet"))
    names = {kind.__name__ for module in network.modules() for kind in type(module).__mro__}
    assert "_InFloat32" in names
