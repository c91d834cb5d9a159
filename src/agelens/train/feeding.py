"""The batches of a run, as Lightning wants them."""

from __future__ import annotations

from typing import Any

import lightning
from torch.utils.data import DataLoader

from agelens.errors import ConfigError
from agelens.train.dataset import Batch, CropDataset
from agelens.train.loader import ShuffledBatches, ordered_loader, shuffled_loader
from agelens.train.sections import DataConfig

__all__ = ["Feeding"]


class Feeding(lightning.LightningDataModule):
    """Training and validation batches, from the step on at which a run was cut off."""

    def __init__(self, train_set: CropDataset, val_set: CropDataset, config: DataConfig, seed: int) -> None:
        super().__init__()
        self.train_set, self.val_set = train_set, val_set
        self._config = config
        self._seed = seed
        self._step = 0
        self._origin = {
            "samples": train_set.fingerprint() + val_set.fingerprint(),
            "faces": len(train_set),
            "datasets": train_set.datasets,
        }

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of this process's share."""
        rank, ranks = self._place()
        batches = ShuffledBatches(len(self.train_set), self._config.batch_size, self._seed, rank=rank, ranks=ranks)
        batches.step = self._step
        return shuffled_loader(self.train_set, batches, workers=self._config.workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """All samples of this process's share, in order."""
        rank, ranks = self._place()
        return ordered_loader(
            self.val_set, batch_size=self._config.batch_size, workers=self._config.workers, rank=rank, ranks=ranks
        )

    def state_dict(self) -> dict[str, Any]:
        """The step at which a checkpoint is written, and what was trained on."""
        return {"step": self.trainer.global_step if self.trainer else 0, **self._origin}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint's step.

        Raises:
            ConfigError: it was written while training on other samples.
        """
        if state_dict["samples"] != self._origin["samples"]:
            raise ConfigError("data.manifest: its samples are others than when the run began; start a new run")
        self._step = int(state_dict["step"])

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
