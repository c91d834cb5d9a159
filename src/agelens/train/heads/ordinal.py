"""Heads that ask, threshold after threshold, whether a face is older."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from agelens import ages
from agelens.train.head_configs import CoralHead, CornHead
from agelens.train.heads.contract import AgeHead, mean_of

__all__ = ["Coral", "Corn"]


class _Ordinal(AgeHead):
    """Answers to "older than k?" for k = 0…99 to a distribution."""

    own_loss = True
    thresholds: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.biases = nn.Parameter(torch.linspace(3, -3, ages.MAX_AGE))
        self.register_buffer("thresholds", torch.arange(ages.MAX_AGE, dtype=torch.float32), persistent=False)

    def _older(self, age: torch.Tensor) -> torch.Tensor:
        """Whether each age is above each threshold: (N,) years → (N, 100), 0 or 1."""
        return (age.round()[:, None] > self.thresholds).float()

    @abstractmethod
    def log_older(self, raw: torch.Tensor) -> torch.Tensor:
        """``log P(y > k)`` for k = 0…99: (N, ``outputs``) → (N, 100)."""

    def probs(self, raw: torch.Tensor) -> torch.Tensor:
        return self._between(self.log_older(raw.float()).exp())

    def band_loss(self, raw: torch.Tensor, low: torch.Tensor, high: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """``P(low ≤ y ≤ high) = P(y > low - 1)·(1 - P(y > high) / P(y > low - 1))``, in logarithms."""
        older = self.log_older(raw)
        certain, never = torch.zeros_like(older[:, :1]), torch.full_like(older[:, :1], -1e4)
        older = torch.cat([certain, older, never], dim=1)  # the column of k is k + 1
        above = older.gather(1, low.long()[:, None])[:, 0]
        beyond = older.gather(1, high.long()[:, None] + 1)[:, 0]
        inside = -torch.expm1((beyond - above).clamp(max=-1e-30))
        return mean_of(-(above + inside.log()), weight)

    @staticmethod
    def _between(older: torch.Tensor) -> torch.Tensor:
        """P(y > k) for k = 0…99, (N, 100), → (N, 101); where they rise with k, the rise is taken for nothing."""
        ones = torch.ones_like(older[:, :1])
        steps = torch.cat([ones, older], dim=1) - torch.cat([older, torch.zeros_like(ones)], dim=1)
        steps = steps.clamp(min=0)
        return steps / steps.sum(dim=1, keepdim=True)


class Coral(_Ordinal):
    """See ``CoralHead``: ``P(y > k) = σ(f(x) + b_k)``, one f and a hundred b; the loss is binary cross-entropy.

    The thresholds start where the ages of the training put them.
    """

    outputs = 1

    def __init__(self, config: CoralHead) -> None:
        super().__init__()
        self.config = config

    def fit(self, age: npt.NDArray[np.floating]) -> None:
        older = (np.rint(age)[:, None] > np.arange(ages.MAX_AGE)).sum(axis=0)
        self.biases.data = torch.from_numpy(np.log((older + 1) / (len(age) - older + 1))).float()

    def log_older(self, raw: torch.Tensor) -> torch.Tensor:
        return functional.logsigmoid(raw + self.biases)

    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        answers = functional.binary_cross_entropy_with_logits(raw + self.biases, self._older(age), reduction="none")
        return mean_of(answers.sum(dim=1), weight)


class Corn(_Ordinal):
    """See ``CornHead``: ``P(y > k | y > k - 1) = σ(f_k(x) + b_k)``; the loss is binary cross-entropy of those asked.

    It is summed over the questions of a face, which makes it minus the log-likelihood of the age; the source takes its
    mean over questions.
    """

    outputs = ages.MAX_AGE

    def __init__(self, config: CornHead) -> None:
        super().__init__()
        self.config = config

    def fit(self, age: npt.NDArray[np.floating]) -> None:
        years = np.rint(age)[:, None]
        asked, older = (years >= np.arange(ages.MAX_AGE)).sum(axis=0), (years > np.arange(ages.MAX_AGE)).sum(axis=0)
        self.biases.data = torch.from_numpy(np.log((older + 1) / (asked - older + 1))).float()

    def log_older(self, raw: torch.Tensor) -> torch.Tensor:
        return functional.logsigmoid(raw + self.biases).cumsum(dim=1)

    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        asked = (age.round()[:, None] >= self.thresholds).float()
        answers = functional.binary_cross_entropy_with_logits(raw + self.biases, self._older(age), reduction="none")
        return mean_of((answers * asked).sum(dim=1), weight)
