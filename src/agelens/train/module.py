"""The training step, as Lightning wants it."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler

from agelens.errors import ConfigError
from agelens.train.config import TrainConfig
from agelens.train.dataset import NO_GENDER, Batch
from agelens.train.losses import AgeGenderLoss, expected_age
from agelens.train.network import AgeNetwork

__all__ = ["AgeModule"]


class AgeModule(lightning.LightningModule):
    """Loss, optimiser and validation figures around an ``AgeNetwork``."""

    def __init__(self, network: AgeNetwork, config: TrainConfig) -> None:
        """``network`` is trained in place."""
        super().__init__()
        self.network = network
        self.config = config
        self.loss = AgeGenderLoss(config.head)
        if config.compile:
            self.network.compile(dynamic=False)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The loss of one batch.

        Raises:
            ConfigError: it is no finite number.
        """
        loss: torch.Tensor = self.loss(self.network(batch["crop"]), batch["age"], batch["gender"])
        if not torch.isfinite(loss):
            place = f"batch {batch_idx + 1} of epoch {self.current_epoch + 1}"
            raise ConfigError(f"the loss is {loss.item()} at {place}; lower optim.lr or optim.clip")
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Mean absolute error in years and gender accuracy, of the averaged weights."""
        # not through the compiled call: the last batch's size would have it compiled again
        logits = self.network.forward(batch["crop"])
        errors = (expected_age(logits.age) - batch["age"]).abs()
        self.log("val_mae", errors.mean(), batch_size=len(errors), prog_bar=True)
        known = batch["gender"] != NO_GENDER
        if known.any():
            right = (logits.gender.argmax(dim=1) == batch["gender"])[known].float()
            self.log("val_gender", right.mean(), batch_size=int(known.sum()), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW under a one-cycle schedule; biases and norms are not decayed."""
        config = self.config.optim
        matrices = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        vectors = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=config.lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=config.lr,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=config.warmup,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
