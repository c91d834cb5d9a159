"""What a stack of networks makes small: the sum of its members' losses, each as ``train.objective`` has it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from agelens.embed.config import MlpConfig
from agelens.embed.labels import Labels
from agelens.train.dataset import NO_GENDER
from agelens.train.heads import AgeHead

__all__ = ["stack_loss"]


def stack_loss(
    numbers: torch.Tensor, labels: Labels, weight: torch.Tensor, heads: Sequence[AgeHead], config: MlpConfig
) -> torch.Tensor:
    """The sum of the members' losses, each a mean over its own N faces: a scalar.

    Args:
        numbers: (R, outputs, N), the last layer's; the age's first, then gender's.
        labels: (R, N) of each.
        weight: (R, N), what a face counts for.
        heads: the members'; none of networks that tell gender alone.
        config: with the weights of the losses.
    """
    numbers = numbers.float()
    loss = torch.zeros(())
    if config.head is not None:
        loss = loss + config.head.weight * _age_loss(numbers[:, : heads[0].outputs], labels, weight, heads)
    if config.gender is not None:
        loss = loss + config.gender.weight * _gender_loss(numbers[:, -2:], labels.gender, weight)
    return loss


def _age_loss(raw: torch.Tensor, labels: Labels, weight: torch.Tensor, heads: Sequence[AgeHead]) -> torch.Tensor:
    """Heads whose loss is the same for all do their work in one."""
    faces = raw.transpose(1, 2)
    if heads[0].own_loss:
        parts = zip(heads, faces, labels.age, labels.low, labels.high, weight, strict=True)
        return torch.stack([_head_loss(*one) for one in parts]).sum()
    flat = (one.flatten() for one in (labels.age, labels.low, labels.high, weight))
    return len(raw) * _head_loss(heads[0], faces.flatten(0, 1), *flat)


def _head_loss(
    head: AgeHead, raw: torch.Tensor, age: torch.Tensor, low: torch.Tensor, high: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """The head's own loss of exact ages and the likelihood of bands, by how many there are of each: (N, …) → a scalar.

    All faces go through both, with a weight of 0 where a label is of the other kind.
    """
    exact = ~age.isnan()
    if bool(exact.all()):
        return head.loss(raw, age, weight)
    loss = head.band_loss(raw, low, high, weight * ~exact)
    return loss + head.loss(raw, age.where(exact, 0), weight * exact) if bool(exact.any()) else loss


def _gender_loss(raw: torch.Tensor, gender: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Of each member the mean cross-entropy over the faces whose gender is known, 0 where none is; their sum."""
    known = (gender != NO_GENDER).float()
    losses = functional.cross_entropy(raw, gender.clamp(min=0), reduction="none") * weight * known
    return (losses.sum(dim=1) / known.sum(dim=1).clamp(min=1)).sum()
