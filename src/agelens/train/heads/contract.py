"""What an age head is: numbers of the network to a distribution over the axis, and a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from agelens import ages

__all__ = ["AgeHead", "expected_age", "mean_of"]


class AgeHead(nn.Module, ABC):
    """The arithmetic between the network's last layer and the axis.

    Attributes:
        outputs: numbers a face that the last layer gives.
        learns_bands: whether a face of which only a band is known teaches it anything.
        own_loss: whether its loss goes by numbers of its own, learnt or taken by ``fit``, so that heads of one kind
            cannot do each other's work.
    """

    outputs: int = ages.NUM_BINS
    learns_bands: bool = True
    own_loss: bool = False

    @abstractmethod
    def probs(self, raw: torch.Tensor) -> torch.Tensor:
        """(N, ``outputs``) numbers → (N, 101) float32, rows summing to 1."""

    @abstractmethod
    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """(N, ``outputs``) float32 numbers, (N,) years within 0…100, (N,) weights; N above 0 → a scalar."""

    def fit(self, age: npt.NDArray[np.floating]) -> None:
        """Take what needs no gradient from the ages of the training, (N,) years; nothing, in most heads."""

    @abstractmethod
    def band_loss(self, raw: torch.Tensor, low: torch.Tensor, high: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Minus the log-likelihood of the band, ``-log Σ_{low ≤ k ≤ high} p_k``, a weighted mean.

        In logarithms all through: a face whose band is nearly impossible to the network teaches it the most.

        Args:
            raw: (N, ``outputs``) float32 numbers of the network.
            low: (N,) first whole year of each band.
            high: (N,) last whole year, within it.
            weight: (N,) what each face counts for.

        Raises:
            NotImplementedError: the head learns nothing from bands.
        """


def mean_of(losses: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of each face's loss times its weight: (N,), (N,) → a scalar."""
    return (losses * weight).mean()


def expected_age(probs: torch.Tensor) -> torch.Tensor:
    """Mean of each distribution: (N, 101) → (N,) years, in float32 whatever the precision around it.

    Not a matrix product: autocast would round its 101 terms to bf16, and the age to a quarter of a year.
    """
    axis = torch.arange(ages.NUM_BINS, device=probs.device, dtype=torch.float32)
    return (probs.float() * axis).sum(dim=1)
