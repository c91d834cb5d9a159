"""A timm backbone with an age head and, where wanted, a gender head."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from agelens.data.columns import GENDERS
from agelens.errors import ConfigError
from agelens.train.config import TrainConfig
from agelens.train.heads import AgeHead, build_head
from agelens.train.sections import BackboneConfig
from agelens.train.strided import widen_strided
from agelens.train.weights import Matched, load_weights, weights_path

__all__ = ["MEAN", "STD", "AgeNetwork", "Logits", "build_network", "load_start"]

# ImageNet's, on the 0…255 scale of a uint8 crop; most of timm's weights were learnt with them.
MEAN = tuple(255 * one for one in IMAGENET_DEFAULT_MEAN)
STD = tuple(255 * one for one in IMAGENET_DEFAULT_STD)


class Logits(NamedTuple):
    """``age`` (N, the head's outputs) and ``gender`` (N, 2), before the softmax, or None without a gender head."""

    age: torch.Tensor
    gender: torch.Tensor | None


class AgeNetwork(nn.Module):
    """Crops in, logits out; normalisation is part of the network, so no caller can forget it."""

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        head: AgeHead,
        *,
        dropout: float = 0.0,
        neck: int | None = None,
        gender: bool = True,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        """
        Args:
            backbone: maps (N, 3, H, W) to (N, ``features``).
            features: its width.
            head: what the age's numbers mean.
            dropout: share of the features, and of the neck's, left out in training.
            neck: width of a hidden layer before the age's numbers; None for none.
            gender: whether there is a gender head.
            mean: of the colours, on the 0…255 scale, that the backbone's weights were learnt with.
            std: their standard deviation, likewise.
        """
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = head
        self.age = _layer(features, head.outputs, neck, dropout)
        self.gender = nn.Linear(features, len(GENDERS)) if gender else None
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: torch.Tensor) -> Logits:
        """(N, 3, H, W), 0…255 in any dtype, RGB → logits."""
        pixels = (crops.float() - self.mean) / self.std  # type: ignore[operator]  # buffers are tensors
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = self.dropout(self.backbone(pixels))
        return Logits(self.age(features), None if self.gender is None else self.gender(features))


def _layer(features: int, outputs: int, neck: int | None, dropout: float) -> nn.Module:
    if neck is None:
        return nn.Linear(features, outputs)
    return nn.Sequential(nn.Linear(features, neck), nn.ReLU(), nn.Dropout(dropout), nn.Linear(neck, outputs))


def build_network(config: TrainConfig) -> AgeNetwork:
    """The network of a configuration, with random weights.

    Raises:
        ConfigError: timm has no such backbone, or it takes no crops of this size.
    """
    name = config.backbone.name
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=5)
        raise ConfigError(f"backbone.name: timm has no {name!r}; near it: {', '.join(near) or 'nothing'}")
    backbone, features = _sized(name, config.input.size, config.backbone.settings)
    widen_strided(backbone)
    learnt_with: Mapping[str, Sequence[float]] = getattr(backbone, "pretrained_cfg", {})
    return channels_last(
        AgeNetwork(
            backbone,
            features,
            build_head(config.head),
            dropout=config.backbone.dropout,
            neck=config.head.neck,
            gender=config.gender is not None,
            mean=[255 * one for one in learnt_with.get("mean", IMAGENET_DEFAULT_MEAN)],
            std=[255 * one for one in learnt_with.get("std", IMAGENET_DEFAULT_STD)],
        )
    )


def load_start(network: AgeNetwork, config: TrainConfig) -> Matched | None:
    """Fill the backbone with the weights that the configuration starts from; None where these are random.

    Raises:
        ConfigError: the weights cannot be had, or do not fit.
    """
    start = config.backbone.start
    if start is None:
        return None
    if start != "hub":
        return load_weights(network.backbone, weights_path(start))
    tensors = _from_hub(config.backbone, network.backbone).state_dict()
    network.backbone.load_state_dict(tensors)
    return Matched(len(tensors), len(tensors), "name", (), 0)


def _from_hub(wanted: BackboneConfig, like: nn.Module) -> nn.Module:
    size = getattr(getattr(like, "patch_embed", None), "img_size", None)  # timm brings the places' numbers to that
    settings = {**wanted.settings, **({} if size is None else {"img_size": size})}
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it tells of each of a dozen tries
    try:
        backbone: nn.Module = timm.create_model(wanted.name, pretrained=True, num_classes=0, **settings)
    except Exception as error:  # the hub's client raises its own tree, and its requests' and timm's
        raise ConfigError(
            f"backbone: timm's weights for {wanted.name!r} could not be had from the hub ({type(error).__name__}); "
            "set pretrained to false, and weights to a file's path or to null for random numbers"
        ) from error
    finally:
        logger.setLevel(level)
    return backbone


def channels_last(network: AgeNetwork) -> AgeNetwork:
    """The same network with its weights laid out for the convolutions that CPUs and GPUs run fastest."""
    for weights in network.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return network


def _sized(name: str, size: int, settings: Mapping[str, Any]) -> tuple[nn.Module, int]:
    """A backbone that takes crops of a size, and its width.

    Whatever settings of the user's make timm's constructors and networks raise is told as theirs.
    """
    if not settings:
        return _sized_alone(name, size)
    try:
        return _sized_alone(name, size, **settings)
    except Exception as error:
        said = f"{type(error).__name__}: {error}" if not isinstance(error, ConfigError) else str(error)
        raise ConfigError(f"backbone.settings: no {name!r} with {dict(settings)}: {said}") from error


def _sized_alone(name: str, size: int, **settings: Any) -> tuple[nn.Module, int]:
    """Some of timm's must be told the size to take it."""
    try:
        backbone = timm.create_model(name, num_classes=0, **settings)
        return backbone, _features(backbone, name, size)
    except ConfigError as error:
        try:
            backbone = timm.create_model(name, num_classes=0, img_size=size, **settings)
        except (TypeError, AssertionError, ValueError, RuntimeError):
            raise error from None
        return backbone, _features(backbone, name, size)
    except RuntimeError as error:
        raise ConfigError(f"backbone.name: {' '.join(str(error).split())}") from error


def _features(backbone: nn.Module, name: str, size: int) -> int:
    """Width of a backbone's output, by asking it: some of timm's say ``num_features`` and give another."""
    try:
        with torch.inference_mode():
            features = backbone.eval()(torch.zeros(2, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(f"backbone.name: {name!r} takes no pictures of {size} pixels: {error}") from error
    backbone.train()  # Lightning trains each part in the mode in which it comes
    return int(features.shape[1])
