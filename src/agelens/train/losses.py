"""What a training makes small."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from agelens import ages
from agelens.train.config import HeadConfig
from agelens.train.dataset import NO_GENDER
from agelens.train.network import Logits

__all__ = ["AgeGenderLoss", "expected_age"]


def expected_age(logits: torch.Tensor) -> torch.Tensor:
    """Mean of the age distribution: (N, 101) logits → (N,) years, in float32 whatever the precision around it.

    Not a matrix product: autocast would round its 101 terms to bf16, and the age to a quarter of a year.
    """
    axis = torch.arange(ages.NUM_BINS, device=logits.device, dtype=torch.float32)
    return (logits.float().softmax(dim=1) * axis).sum(dim=1)


class AgeGenderLoss(nn.Module):
    """Cross-entropy to a soft age label, plus the error of the expected age, plus gender's cross-entropy.

        loss = CE(p, normal(age, σ)) + λ₁·|Σ k·p_k - age| + λ₂·CE(gender)

    Each term is a mean over the batch, gender's over the samples whose gender is known.

    Source: Gao et al., "Age estimation using expectation of label distribution learning", IJCAI 2018.
    """

    def __init__(self, config: HeadConfig) -> None:
        """``config`` holds σ, λ₁ and λ₂."""
        super().__init__()
        self.config = config
        labels = torch.from_numpy(ages.soft_labels(ages.axis(), config.label_deviation)).float()
        self.register_buffer("labels", labels, persistent=False)

    def forward(self, logits: Logits, age: torch.Tensor, gender: torch.Tensor) -> torch.Tensor:
        """Logits, ages (N,) in years and genders (N,) → a scalar."""
        age = age.clamp(0, ages.MAX_AGE)
        labels = self.labels[age.round().long()]  # type: ignore[index]  # buffers are tensors
        age_logits = logits.age.float()
        loss = functional.cross_entropy(age_logits, labels)
        loss = loss + self.config.l1_weight * functional.l1_loss(expected_age(logits.age), age)
        known = gender != NO_GENDER
        if known.any():
            loss = loss + self.config.gender_weight * functional.cross_entropy(
                logits.gender.float()[known], gender[known]
            )
        return loss
