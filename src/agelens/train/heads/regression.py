"""The head of one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from agelens import ages
from agelens.train.head_configs import RegressionHead
from agelens.train.heads.contract import AgeHead, mean_of

__all__ = ["Regression"]

LOSSES: Final[Mapping[str, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]]] = {
    "mse": lambda got, wanted, _: (got - wanted) ** 2,
    "mae": lambda got, wanted, _: (got - wanted).abs(),
    "rmse": lambda got, wanted, _: (got - wanted) ** 2,
    "huber": lambda got, wanted, delta: functional.huber_loss(got, wanted, reduction="none", delta=delta),
}
EDGE: Final = 1e-6  # the binomial needs a share above 0 and below 1


class Regression(AgeHead):
    """See ``RegressionHead``: ``mean + deviation · number``, mean and standard deviation of the training's ages.

    In the age's own scale of 0…1 an optimiser's single step would move it by decades.
    """

    outputs = 1
    learns_bands = False
    own_loss = True
    mean: torch.Tensor
    deviation: torch.Tensor
    log_choices: torch.Tensor
    axis: torch.Tensor

    def __init__(self, config: RegressionHead) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(0.5))
        self.register_buffer("deviation", torch.tensor(0.2))
        self.register_buffer("log_choices", torch.from_numpy(ages.log_choices()).float(), persistent=False)
        self.register_buffer("axis", torch.from_numpy(ages.axis()).float(), persistent=False)

    def fit(self, age: npt.NDArray[np.floating]) -> None:
        self.mean = torch.tensor(float(np.mean(age)) / ages.MAX_AGE)
        self.deviation = torch.tensor(max(float(np.std(age)), 1.0) / ages.MAX_AGE)

    def probs(self, raw: torch.Tensor) -> torch.Tensor:
        share = self._share(raw.float()).clamp(EDGE, 1 - EDGE)
        return (self.log_choices + self.axis * (share.log() - (1 - share).log())).softmax(dim=1)

    def band_loss(self, raw: torch.Tensor, low: torch.Tensor, high: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("a regression learns from exact ages only")

    def loss(self, raw: torch.Tensor, age: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        delta = self.config.huber_delta / ages.MAX_AGE
        error = mean_of(LOSSES[self.config.loss](self._share(raw)[:, 0], age / ages.MAX_AGE, delta), weight)
        return (error + 1e-12).sqrt() if self.config.loss == "rmse" else error

    def _share(self, raw: torch.Tensor) -> torch.Tensor:
        """The age on the scale of 0…1, unbounded: (N, 1) → (N, 1)."""
        return self.mean + self.deviation * raw
