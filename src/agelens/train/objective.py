"""What a training makes small: the age's loss and gender's, each over the samples that have the label, and the distance
from what other models say."""

from __future__ import annotations

from typing import Final

import torch
from torch.nn import functional

from agelens.train.config import TrainConfig
from agelens.train.dataset import NO_GENDER, Batch
from agelens.train.heads import AgeHead
from agelens.train.network import Logits

__all__ = ["age_loss", "gender_loss", "taught_loss", "total_loss"]

LEAST: Final = 1e-7  # a probability, in float32: its logarithm must stay a number


def total_loss(head: AgeHead, logits: Logits, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """``λ₁·age + λ₂·gender + λ₃·taught``, a scalar, in float32 whatever the precision around it."""
    with torch.autocast(logits.age.device.type, enabled=False):
        loss = config.head.weight * age_loss(head, logits.age.float(), batch)
        if logits.gender is not None and config.gender is not None:
            loss = loss + config.gender.weight * gender_loss(logits.gender.float(), batch["gender"], batch["weight"])
        if "taught_age" in batch and config.distill is not None:
            loss = loss + config.distill.weight * taught_loss(head, logits, batch, config)
        return loss


def age_loss(head: AgeHead, raw: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The head's own loss of the faces whose age is known, and the likelihood of the band of the others.

    The two means are weighted by how many faces they are of. Their scales differ: the likelihood is that of every head,
    the exact age's loss its own.
    """
    exact = ~batch["age"].isnan()
    if exact.all():
        return head.loss(raw, batch["age"], batch["weight"])
    banded = ~exact
    low, high = batch["low"][banded], batch["high"][banded]
    loss = head.band_loss(raw[banded], low, high, batch["weight"][banded]) * banded.float().mean()
    if exact.any():
        own = head.loss(raw[exact], batch["age"][exact], batch["weight"][exact])
        loss = loss + own * exact.float().mean()
    return loss


def gender_loss(raw: torch.Tensor, gender: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over the faces whose gender is known: (N, 2), (N,), (N,) → a scalar, 0 where none is."""
    known = (gender != NO_GENDER).float()
    losses = functional.cross_entropy(raw, gender.clamp(min=0), reduction="none") * weight * known
    return losses.sum() / known.sum().clamp(min=1)


def taught_loss(head: AgeHead, logits: Logits, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """Cross-entropy to the distributions that other models gave: the age's, and gender's as much as its head counts.

    Source: Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015, at temperature 1.
    """
    logs = head.probs(logits.age.float()).clamp(min=LEAST).log()
    loss = (-(batch["taught_age"] * logs).sum(dim=1) * batch["weight"]).mean()
    if logits.gender is not None and config.gender is not None:
        distances = -(batch["taught_gender"] * logits.gender.float().log_softmax(dim=1)).sum(dim=1)
        loss = loss + config.gender.weight * (distances * batch["weight"]).mean()
    return loss
