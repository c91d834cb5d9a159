"""The training step, as Lightning wants it."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from agelens.errors import ConfigError
from agelens.train.config import TrainConfig
from agelens.train.dataset import Batch
from agelens.train.figures import BETTER, Sums, batch_sums
from agelens.train.finetune import free_stages, freed_at, parameter_groups, set_trainable, stages
from agelens.train.network import AgeNetwork
from agelens.train.objective import total_loss
from agelens.train.schedule_configs import PlateauSchedule
from agelens.train.schedules import Factor, rate_factor

__all__ = ["AgeModule", "build_optimizer"]


class AgeModule(lightning.LightningModule):
    """Loss, optimiser and figures around an ``AgeNetwork``.

    Attributes:
        news: what people should hear of, in lines; whoever tells them takes the lines away.
    """

    def __init__(self, network: AgeNetwork, config: TrainConfig) -> None:
        """``network`` is trained in place."""
        super().__init__()
        self.network = network
        self.config = config
        self.news: list[str] = []
        self.train_sums, self._val_sums = Sums(), Sums()
        self._stages = len(stages(network.backbone))
        self._free: int | None = None
        self._told: int | None = None
        self._plateau: ReduceLROnPlateau | None = None
        self._kept_plateau: dict[str, Any] | None = None
        if config.trainer.compile:
            self.network.compile(dynamic=False)

    def on_train_start(self) -> None:
        """Free what was free when a run was cut off in the middle of an epoch."""
        self._set_free()

    def on_train_epoch_start(self) -> None:
        """Free what is due to be trained."""
        self._set_free()

    def _set_free(self) -> None:
        free = free_stages(self.config.finetune, self.current_epoch, self.config.optim.epochs, self._stages)
        trainable = set_trainable(self.network, free)
        if free != self._told:
            self.news.append(str(trainable))
        if self._free not in (None, free) and self._plateau is not None:
            for group in self._plateau.optimizer.param_groups:  # the other schedules know it by themselves
                group["lr"] *= self.config.finetune.lr_factor
        self._free = self._told = free

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a run that is taken up needs beside what Lightning keeps."""
        plateau = None if self._plateau is None else self._plateau.state_dict()
        checkpoint["agelens"] = {"free": self._free, "plateau": plateau, "sums": self.train_sums.values}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up a run."""
        kept = checkpoint["agelens"]
        self._free, self.train_sums.values, self._kept_plateau = kept["free"], kept["sums"], kept["plateau"]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Random numbers of a step are its own: a run taken up in the middle draws the same ones."""
        place = [self.config.seed, self.global_step, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The loss of one batch.

        Raises:
            ConfigError: it is no finite number.
        """
        logits = self.network(batch["crop"])
        loss = total_loss(self.network.head, logits, batch, self.config)
        if not torch.isfinite(loss):
            place = f"batch {batch_idx + 1} of epoch {self.current_epoch + 1}"
            half = " or set trainer.precision: float32" if logits.age.dtype == torch.bfloat16 else ""
            raise ConfigError(f"the loss is {loss.item()} at {place}; lower optim.lr or optim.clip{half}")
        self.train_sums.add(batch_sums(self.network.head, logits, batch, loss))
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Scale gradients down; Lightning's own way refuses fused optimisers, for what float16 would need."""
        if self.config.optim.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters(), self.config.optim.clip)

    def on_train_epoch_end(self) -> None:
        """Figures of the training faces as they were met, augmented and with dropout."""
        self._log_means("train", self.train_sums)
        self.train_sums = Sums()
        if self._plateau is not None:  # not by Lightning, which would do it after the checkpoint is written
            self._plateau.step(float(self.trainer.callback_metrics[self.config.checkpoint.metric]))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Figures of the averaged weights."""
        # not through the compiled call: the last batch's size would have it compiled again
        logits = self.network.forward(batch["crop"])
        loss = total_loss(self.network.head, logits, batch, self.config)
        self._val_sums.add(batch_sums(self.network.head, logits, batch, loss))

    def on_validation_epoch_end(self) -> None:
        """Log the figures."""
        self._log_means("val", self._val_sums)
        self._val_sums = Sums()

    def _log_means(self, split: str, sums: Sums) -> None:
        names = ("loss", "mae", "cs5", "band", "gender")
        table = torch.tensor([sums.values.get(name, (0.0, 0.0)) for name in names], dtype=torch.float32)
        if self.trainer.world_size > 1:
            table = self.trainer.strategy.reduce(table.to(self.device), reduce_op="sum").cpu()
        together = Sums()
        together.add({name: (total, count) for name, (total, count) in zip(names, table.tolist(), strict=True)})
        self.log_dict({f"{split}_{name}": mean for name, mean in together.means().items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser, and the schedule that sets its learning rates at every step."""
        optimizer = build_optimizer(self.network, self.config)
        if isinstance(self.config.schedule, PlateauSchedule):
            self._plateau = self._build_plateau(optimizer, self.config.schedule)
            return {"optimizer": optimizer}
        steps = LambdaLR(optimizer, self._factor())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": steps, "interval": "step"}}

    def _build_plateau(self, optimizer: torch.optim.Optimizer, schedule: PlateauSchedule) -> ReduceLROnPlateau:
        plateau = ReduceLROnPlateau(
            optimizer,
            mode="min" if BETTER[self.config.checkpoint.metric] == "lower" else "max",
            factor=schedule.factor,
            patience=schedule.patience,
            min_lr=[group["lr"] * schedule.lowest for group in optimizer.param_groups],
        )
        if self._kept_plateau is not None:
            plateau.load_state_dict(self._kept_plateau)
        return plateau

    def _factor(self) -> Factor:
        """The schedule, lower by ``lr_factor`` after each stage that was freed."""
        finetune, epochs = self.config.finetune, self.config.optim.epochs
        steps = int(self.trainer.estimated_stepping_batches)
        per_epoch = max(1, steps // epochs)
        schedule = rate_factor(self.config.schedule, steps, per_epoch)
        starts = [epoch * per_epoch for epoch in freed_at(finetune, epochs, self._stages)]
        return lambda step: schedule(step) * finetune.lr_factor ** sum(step >= start for start in starts)


def build_optimizer(network: AgeNetwork, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a configuration over all of a network's weights, see ``finetune.parameter_groups``.

    Adam is fused, one pass over the weights and no loop over the layers. Fused SGD cannot take weights in that are
    freed on the way.
    """
    groups: list[dict[str, Any]] = parameter_groups(network, config)
    if config.optim.name == "sgd":
        return torch.optim.SGD(groups, lr=config.optim.lr, momentum=0.9, nesterov=True)
    kind = torch.optim.AdamW if config.optim.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.optim.lr, fused=True)
