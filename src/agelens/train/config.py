"""A training, written down: typed, checked before anything runs, saved beside what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from agelens.compression import Bits
from agelens.faces.align import CropSpec
from agelens.train.head_configs import AgeHeadConfig, DldlHead
from agelens.train.reading import changed, read_as, write_config
from agelens.train.schedule_configs import OneCycleSchedule, ScheduleConfig
from agelens.train.section import Section, Share
from agelens.train.sections import (
    BackboneConfig,
    CheckpointConfig,
    DataConfig,
    DistillConfig,
    FinetuneConfig,
    GenderConfig,
    InputConfig,
    OptimConfig,
    TrainerConfig,
)

__all__ = ["TrainConfig", "changed", "read_config", "write_config"]


class TrainConfig(Section):
    """The whole of a training.

    Attributes:
        gender: null for a network that tells the age only.
        distill: null for labels alone.
        flip: average each face with its mirror image in the exported bundle: more accurate, twice the network's time.
        rebalance: the power, 0…1, of the training's rarity of each year that the exported bundle multiplies the year's
            probability by: the rare ages, as the old, come out truer, the common ones less so. 0 for not at all; see
            ``balance.year_weights``.
        bits: that each weight takes in the exported bundle: 32, 16 or 8; see ``agelens.compression``.
        log: where figures go beside ``metrics.csv``.
        seed: of the weights, the order of the samples, the augmentation and the dropout.
    """

    data: DataConfig
    backbone: BackboneConfig
    input: InputConfig = InputConfig()
    head: AgeHeadConfig = DldlHead()
    gender: GenderConfig | None = GenderConfig()
    distill: DistillConfig | None = None
    finetune: FinetuneConfig = FinetuneConfig()
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = OneCycleSchedule()
    checkpoint: CheckpointConfig = CheckpointConfig()
    trainer: TrainerConfig = TrainerConfig()
    flip: bool = True
    rebalance: Share = 0.0
    bits: Bits = 32
    log: tuple[Literal["tensorboard", "mlflow"], ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @field_validator("log", mode="before")
    @classmethod
    def _one_or_more(cls, log: Any) -> Any:
        return [log] if isinstance(log, str) else log

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        if self.checkpoint.metric == "val_gender" and self.gender is None:
            raise ValueError("checkpoint.metric is val_gender, but gender is null")
        if self.finetune.epochs and self.finetune.epochs[-1] >= self.optim.epochs:
            raise ValueError(
                f"finetune.epochs end with {self.finetune.epochs[-1]}, but there are {self.optim.epochs} epochs in all"
            )
        return self

    def crop(self, template: str) -> CropSpec:
        """The crop that the network sees, given the template of the stored crops."""
        return CropSpec(self.input.size, self.input.margin, self.input.template or template)


def read_config(path: Path, overrides: Mapping[str, str] | None = None) -> TrainConfig:
    """Read a configuration from YAML, see ``reading.read_as``.

    Raises:
        ConfigError: the file is missing or no YAML, or a key or value in it is wrong; all faults are named at once.
    """
    return read_as(TrainConfig, path, overrides)
