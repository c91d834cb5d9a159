"""Which samples come when: a pure function of the seed and the step, so that a run can be taken up anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from agelens.train.dataset import Batch, CropDataset, Place

__all__ = ["ShuffledBatches", "ordered_loader", "shuffled_loader"]


class ShuffledBatches(Sampler[list[Place]]):
    """Batches of places, shuffled anew in each epoch, without a last odd one.

    Attributes:
        step: batches that lie behind, over all epochs. Iterating gives the rest of the epoch in which that falls, and
            then the next epoch.
    """

    def __init__(self, samples: int, batch_size: int, seed: int, *, rank: int = 0, ranks: int = 1) -> None:
        """
        Args:
            samples: in the data set.
            batch_size: samples for each of the ranks.
            seed: of the order.
            rank: which of the processes this is; each gets other samples of the same step.
            ranks: how many there are.
        """
        self._samples = samples
        self._batch_size = max(1, min(batch_size, samples // ranks))
        self._seed = seed
        self._rank, self._ranks = rank, ranks
        self.step = 0

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._samples // (self._batch_size * self._ranks)

    def __iter__(self) -> Iterator[list[Place]]:
        epoch, done = divmod(self.step, len(self))
        self.step = (epoch + 1) * len(self)
        order = np.random.default_rng([self._seed, epoch]).permutation(self._samples)
        together = self._batch_size * self._ranks
        for start in range(done * together, len(self) * together, together):
            chosen = order[start : start + together][self._rank :: self._ranks]
            yield [(epoch, int(index)) for index in chosen]


def shuffled_loader(dataset: CropDataset, batches: ShuffledBatches, *, workers: int) -> DataLoader[Batch]:
    """Batches for training."""
    return DataLoader(
        cast("Dataset[Batch]", dataset),  # one sample goes in, a batch of them comes out
        batch_sampler=cast("Sampler[list[int]]", batches),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )


def ordered_loader(
    dataset: CropDataset, *, batch_size: int, workers: int, rank: int = 0, ranks: int = 1
) -> DataLoader[Batch]:
    """All samples in order, shared out among the ranks, for validation."""
    places = [(0, index) for index in range(rank, len(dataset), ranks)]
    chunks = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
    return DataLoader(
        cast("Dataset[Batch]", dataset),
        batch_sampler=cast("Sampler[list[int]]", chunks),
        num_workers=workers,
        persistent_workers=workers > 0,
    )
