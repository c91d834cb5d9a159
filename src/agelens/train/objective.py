"""What a training makes small: the age's loss and gender's, each over the samples that have the label."""

from __future__ import annotations

import torch
from torch.nn import functional

from agelens.train.config import TrainConfig
from agelens.train.dataset import NO_GENDER, Batch
from agelens.train.heads import AgeHead
from agelens.train.network import Logits

__all__ = ["age_loss", "gender_loss", "total_loss"]


def total_loss(head: AgeHead, logits: Logits, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """``λ₁·age + λ₂·gender``, a scalar, in float32 whatever the precision around it."""
    with torch.autocast(logits.age.device.type, enabled=False):
        loss = config.head.weight * age_loss(head, logits.age.float(), batch)
        if logits.gender is not None and config.gender is not None:
            loss = loss + config.gender.weight * gender_loss(logits.gender.float(), batch["gender"], batch["weight"])
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
