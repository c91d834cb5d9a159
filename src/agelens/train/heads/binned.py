"""Heads that give each part of the axis a probability by a softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from agelens import ages
from agelens.train.head_configs import DldlHead, HistogramHead, MeanVarianceHead, RangesHead
from agelens.train.heads.contract import AgeHead, expected_age, mean_of

__all__ = ["Dldl", "Histogram", "MeanVariance", "Ranges"]


class _Softmax(AgeHead):
    """A softmax over parts of the axis, each of which spreads over its years."""

    shares: torch.Tensor
    centres: torch.Tensor

    def __init__(self, shares: npt.NDArray[np.floating]) -> None:
        """``shares`` (parts, 101): how the parts lie in the years."""
        super().__init__()
        self.outputs = len(shares)
        self.register_buffer("shares", torch.from_numpy(shares).float())
        self.register_buffer("centres", torch.from_numpy(shares @ ages.axis()).float())

    def probs(self, raw: torch.Tensor) -> torch.Tensor:
        parts = raw.float().softmax(dim=1)
        with torch.autocast(raw.device.type, enabled=False):
            return parts @ self.shares

    def band_loss(self, raw: torch.Tensor, low: torch.Tensor, high: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        axis = torch.arange(ages.NUM_BINS, device=raw.device)
        inside = ((axis >= low[:, None]) & (axis <= high[:, None])).float()
        shares = self._shares_inside(inside, (low + high) / 2)
        within = (raw.log_softmax(dim=1) + shares.log()).masked_fill(shares == 0, NEVER).logsumexp(dim=1)
        return mean_of(-within, weight)

    def _shares_inside(self, inside: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
        """How much of each part lies in each band: (N, 101) of 0 and 1, (N,) years → (N, parts)."""
        return inside @ self.shares.T

    def _labels(self, age: torch.Tensor, deviation: float) -> torch.Tensor:
        """Normal densities around the ages, over the parts' middles: (N,) → (N, parts)."""
        return (-((self.centres - age[:, None]) ** 2) / (2 * deviation**2)).softmax(dim=1)


def _earth_movers(raw: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Squared earth mover's distance, ``Σ_k (F_k - G_k)²`` between cumulative distributions: (N,).

    Source: Hou, Yu, Samaras, "Squared earth mover's distance-based loss for training deep neural networks", 2016.
    """
    return (raw.softmax(dim=1) - labels).cumsum(dim=1).square().sum(dim=1)


def _cross_entropy(raw: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """``-Σ_k q_k·log p_k``: (N,)."""
    return functional.cross_entropy(raw, labels, reduction="none")


def _divergence(raw: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence, ``Σ_k q_k·log(q_k / p_k)``: (N,)."""
    return functional.kl_div(raw.log_softmax(dim=1), labels, reduction="none").sum(dim=1)


NEVER: Final = -1e4  # the logarithm of nearly nothing
DISTANCES: Final[Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = {
    "emd": _earth_movers,
    "cross-entropy": _cross_entropy,
    "kl": _divergence,
}


class Histogram(_Softmax):
    """See ``HistogramHead``."""

    def __init__(self, config: HistogramHead) -> None:
        super().__init__(ages.bin_shares(config.num_bins))
        # the shares' own middles are bent at the ends, where parts of a year are cut off
        middles = (np.arange(config.num_bins) + 0.5) * ages.NUM_BINS / config.num_bins - 0.5
        self.centres = torch.from_numpy(middles).float()
        self.deviation = config.age_deviation
        self.distance = DISTANCES[config.loss]

    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return mean_of(self.distance(raw, self._labels(age, self.deviation)), weight)


class Dldl(_Softmax):
    """See ``DldlHead``: ``CE(p, normal(age, σ)) + λ·|Σ k·p_k - age|``."""

    def __init__(self, config: DldlHead) -> None:
        super().__init__(np.eye(ages.NUM_BINS))
        self.config = config

    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        distance = _cross_entropy(raw, self._labels(age, self.config.age_deviation))
        error = (expected_age(raw.softmax(dim=1)) - age).abs()
        return mean_of(distance + self.config.l1_weight * error, weight)


class MeanVariance(_Softmax):
    """See ``MeanVarianceHead``: ``CE(p, age) + λ₁·(m - age)²/2 + λ₂·Σ p_k·(k - m)²`` with ``m = Σ k·p_k``."""

    def __init__(self, config: MeanVarianceHead) -> None:
        super().__init__(np.eye(ages.NUM_BINS))
        self.config = config

    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        probs = raw.softmax(dim=1)
        mean = expected_age(probs)
        variance = (probs * (self.centres - mean[:, None]) ** 2).sum(dim=1)
        distance = functional.cross_entropy(raw, age.round().long(), reduction="none")
        spread = self.config.mean_weight * (mean - age) ** 2 / 2 + self.config.variance_weight * variance
        return mean_of(distance + spread, weight)


class Ranges(_Softmax):
    """See ``RangesHead``."""

    even: torch.Tensor
    lows: torch.Tensor
    highs: torch.Tensor

    def __init__(self, config: RangesHead) -> None:
        super().__init__(ages.range_shares(config.bands))
        self.bands = config.bands
        lows, highs = (torch.tensor(ends, dtype=torch.float32) for ends in zip(*config.bands, strict=True))
        self.register_buffer("even", self.shares.clone(), persistent=False)
        self.register_buffer("lows", lows, persistent=False)
        self.register_buffer("highs", highs, persistent=False)

    def fit(self, age: npt.NDArray[np.floating]) -> None:
        self.shares = torch.from_numpy(ages.range_shares(self.bands, age)).float()

    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return mean_of(functional.cross_entropy(raw, self.classes(age), reduction="none"), weight)

    def _shares_inside(self, inside: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
        """Each range's years count evenly here: what ``fit`` takes is for answers alone."""
        shares = inside @ self.even.T
        nearest = functional.one_hot(self.classes(middle), self.outputs).to(shares.dtype)
        return torch.where(shares.any(dim=1, keepdim=True), shares, nearest)

    def classes(self, age: torch.Tensor) -> torch.Tensor:
        """The range of each age, or the nearest: (N,) years → (N,)."""
        year = age.round()[:, None]
        beyond = (self.lows - year).clamp(min=0) + (year - self.highs).clamp(min=0)
        return beyond.argmin(dim=1)
