"""The network on vectors, as one member is: plain torch modules, which a bundle is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from agelens.data.columns import GENDERS
from agelens.embed.config import MlpConfig, MlpSection
from agelens.train.heads import AgeHead, build_head
from agelens.train.network import Logits

__all__ = ["Dense", "Mlp", "Residual", "build_mlp", "dense_layers", "scale_all"]

TINY: Final = 1e-7  # spread of a number that is the same in all vectors


class Dense(nn.Module):
    """Batch norm and dropout where wanted, then a linear layer: (N, ``inputs``) → (N, ``outputs``).

    Source of the order: Chen et al., "Rethinking the usage of batch normalization and dropout in the training of deep
    neural networks", 2019.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float | None = None) -> None:
        """``dropout`` None leaves both out."""
        super().__init__()
        self.norm = None if dropout is None else nn.BatchNorm1d(inputs)
        self.dropout = nn.Dropout(dropout or 0.0)
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        if self.norm is not None:
            numbers = self.dropout(self.norm(numbers))
        result: torch.Tensor = self.linear(numbers)
        return result


class Residual(nn.Module):
    """``relu(x + second(relu(first(x))))``: (N, ``width``) → (N, ``width``)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = Dense(width, width, dropout)
        self.second = Dense(width, width, dropout)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return functional.relu(numbers + self.second(functional.relu(self.first(numbers))))


class Mlp(nn.Module):
    """Vectors in, logits out; scaling the vectors is part of the network.

    Attributes:
        head: what the age's numbers mean; None for gender alone.
        layers: residual layers and those that change the width; a ReLU follows each of the latter.
        last: gives the age's numbers, then gender's.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, inputs: int, section: MlpSection, head: AgeHead | None, *, gender: bool) -> None:
        """
        Args:
            inputs: width of the vectors.
            section: what lies between.
            head: of the age, or None.
            gender: whether gender is told too.
        """
        super().__init__()
        self.head = head
        self.genders = len(GENDERS) if gender else 0
        width = section.width or inputs
        layers: list[nn.Module] = [] if section.width is None else [Dense(inputs, width)]
        for _ in range(section.blocks):
            layers += [Residual(width, section.dropout) for _ in range(section.residuals)]
            layers += [Dense(width, max(1, width // 2), section.dropout)]
            width = max(1, width // 2)
        self.layers = nn.ModuleList(layers)
        self.last = Dense(width, (0 if head is None else head.outputs) + self.genders)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))

    def forward(self, vectors: torch.Tensor) -> Logits:
        """(N, D) float32 → logits; ``age`` is (N, 0) of a network that tells gender alone."""
        numbers = self.scaled(vectors)
        for layer in self.layers:
            numbers = layer(numbers) if isinstance(layer, Residual) else functional.relu(layer(numbers))
        return self.split(self.last(numbers))

    def scaled(self, vectors: torch.Tensor) -> torch.Tensor:
        """Each number of a vector with a mean of 0 and a spread of 1, over the faces that ``scale_all`` was told."""
        return (vectors - self.mean) * self.scale

    def split(self, numbers: torch.Tensor) -> Logits:
        """The last layer's numbers, (N, all), told apart."""
        outputs = numbers.shape[1] - self.genders
        return Logits(numbers[:, :outputs], numbers[:, outputs:] if self.genders else None)


@torch.no_grad()
def scale_all(networks: Sequence[Mlp], vectors: torch.Tensor) -> None:
    """Have networks scale vectors by the mean and the spread of these, (N, D); a number the same in all becomes 0."""
    spread, mean = torch.std_mean(vectors.double(), dim=0, correction=0)
    for one in networks:
        one.mean.copy_(mean)
        one.scale.copy_((1 / spread).where(spread > TINY, 0))


def dense_layers(member: Mlp) -> list[Dense]:
    """Its linear layers, each with what comes before it, in order; of a residual layer both."""
    layers: list[Dense] = []
    for one in [*member.layers, member.last]:
        layers += [one.first, one.second] if isinstance(one, Residual) else [one] if isinstance(one, Dense) else []
    return layers


def build_mlp(config: MlpConfig, inputs: int, seed: int) -> Mlp:
    """The network of a configuration with random weights, which are the seed's."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        head = None if config.head is None else build_head(config.head)
        return Mlp(inputs, config.mlp, head, gender=config.gender is not None)
