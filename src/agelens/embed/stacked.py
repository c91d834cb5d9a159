"""Many networks of one shape as one: their weights stacked, each layer one batched product.

Member r of the stack computes what its own ``Mlp`` would; numbers lie as (R, features, N), so that a layer's batch norm
is one too, over R x features channels. Dropout leaves out the same places of all members.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Final, cast

import torch
from torch import nn
from torch.nn import functional

from agelens.embed.mlp import Dense, Mlp, Residual, dense_layers
from agelens.train.heads import AgeHead

__all__ = ["StackedMlp", "masks"]

MOMENTUM: Final = 0.1  # of batch norm, torch's own


class _StackedDense(nn.Module):
    """R layers ``Dense``: (R, inputs, N) → (R, outputs, N)."""

    def __init__(self, members: Sequence[Dense]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([one.linear.weight.detach() for one in members]))
        self.bias = nn.Parameter(torch.stack([one.linear.bias.detach()[:, None] for one in members]))
        self.dropout = members[0].dropout.p
        norms = [one.norm for one in members if one.norm is not None]
        self.norm = nn.BatchNorm1d(sum(one.num_features for one in norms)) if norms else None
        for name, values in (self.norm.state_dict() if self.norm is not None else {}).items():
            if values.ndim:
                values.copy_(torch.cat([one.state_dict()[name] for one in norms]))

    def forward(self, numbers: torch.Tensor, masks: Iterator[torch.Tensor]) -> torch.Tensor:
        if self.norm is not None:
            members, width, faces = numbers.shape
            numbers = self.norm(numbers.reshape(1, members * width, faces)).view(members, width, faces)
            if self.training and self.dropout:
                numbers = numbers * next(masks)[:width, :faces].to(numbers.dtype)
        return torch.baddbmm(self.bias.to(numbers.dtype), self.weight.to(numbers.dtype), numbers)

    @torch.no_grad()
    def give(self, place: int, member: Dense) -> None:
        """Copy the weights of one member into its own layer."""
        member.linear.weight.copy_(self.weight[place])
        member.linear.bias.copy_(self.bias[place, :, 0])
        if self.norm is not None and member.norm is not None:
            width = member.linear.in_features
            for name, values in member.norm.state_dict().items():
                if values.ndim:
                    values.copy_(self.norm.state_dict()[name][place * width : (place + 1) * width])


class StackedMlp(nn.Module):
    """R networks ``Mlp``: (R, D, N) scaled vectors → (R, outputs, N).

    Attributes:
        heads: copies of the members'; empty where they tell gender alone.
        widest: most numbers that dropout has to do with at once.
    """

    def __init__(self, members: Sequence[Mlp]) -> None:
        """``members`` have one shape; their weights are copied."""
        super().__init__()
        self.count = len(members)
        self.residual = [isinstance(layer, Residual) for layer in members[0].layers]
        same = zip(*(dense_layers(one) for one in members), strict=True)
        self.dense = nn.ModuleList(_StackedDense(layers) for layers in same)
        self.heads = nn.ModuleList(copy.deepcopy(one.head) for one in members if one.head is not None)
        self.widest = max(one.linear.in_features for one in dense_layers(members[0]))

    def forward(self, vectors: torch.Tensor, masks: Iterator[torch.Tensor]) -> torch.Tensor:
        """``masks`` gives a mask for each layer with dropout, in training."""
        numbers, dense = vectors, iter(self.dense)
        for residual in self.residual:
            changed = functional.relu(next(dense)(numbers, masks))
            numbers = functional.relu(numbers + next(dense)(changed, masks)) if residual else changed
        result: torch.Tensor = next(dense)(numbers, masks)
        return result

    @property
    def age_heads(self) -> list[AgeHead]:
        """``heads``, as what they are."""
        return [cast("AgeHead", one) for one in self.heads]

    def give(self, place: int, member: Mlp) -> Mlp:
        """Copy the weights of one member into a network of its own, which is returned."""
        for stacked, one in zip(self.dense, dense_layers(member), strict=True):
            cast("_StackedDense", stacked).give(place, one)
        if member.head is not None:
            member.head.load_state_dict(self.heads[place].state_dict())
        return member


def masks(share: float, shape: tuple[int, int], seed: int) -> Iterator[torch.Tensor]:
    """Endless dropout masks, 0 or ``1 / (1 - share)``, (features, N), that all members share."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield (torch.rand(shape, generator=generator) >= share) / (1 - share)
