"""A training on vectors, written down, as ``train.config`` does for crops."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agelens.train.config import TrainConfig, read_config
from agelens.train.head_configs import AgeHeadConfig, DldlHead
from agelens.train.reading import read_as, read_raw
from agelens.train.schedule_configs import OneCycleSchedule, PlateauSchedule, ScheduleConfig
from agelens.train.section import Positive, Section, Share, Weight
from agelens.train.sections import GenderConfig

__all__ = ["MlpConfig", "MlpOptim", "MlpSection", "PretrainConfig", "VectorsConfig", "on_vectors", "read_any_config"]


class VectorsConfig(Section):
    """Which vectors, and how they are fed.

    Attributes:
        manifest: what ``agelens embed`` wrote; relative to the working folder.
        batch_size: faces a step, 2 or more (batch norm needs two).
        balance: what a face counts for, see ``balance.sample_weights``.
    """

    manifest: Path
    batch_size: Annotated[int, Field(ge=2, le=65536)] = 64
    balance: Literal["none", "inverse", "smoothed"] = "none"


class MlpSection(Section):
    """The network: blocks of residual layers, each block followed by a layer that halves the width.

    Source: Kim, "Generalizing MLPs with dropouts, batch normalization, and skip connections", 2021.

    Attributes:
        width: of a first layer, which brings the vectors to it; null: the blocks begin at the vectors' own width.
        blocks: how many; 0 leaves one layer of the vectors, or of the first layer.
        residuals: residual layers a block.
        dropout: share of the numbers left out before each layer of a block.
    """

    width: Annotated[int, Field(ge=2, le=8192)] | None = 64
    blocks: Annotated[int, Field(ge=0, le=16)] = 1
    residuals: Annotated[int, Field(ge=0, le=16)] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2


class MlpOptim(Section):
    """How it is learnt, by AdamW.

    Attributes:
        lr: the schedule's highest learning rate.
        weight_decay: on weights of two dimensions.
        epochs: passes over the training faces.
    """

    lr: Positive = 3e-3
    weight_decay: Weight = 0.05
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20


class PretrainConfig(Section):
    """Other vectors that the network learns from first, with a head of its own.

    Attributes:
        manifest: vectors of the same embedder.
        head: null for gender alone; where its numbers are as many as those of the head that follows, they go on too.
        epochs: passes over its training faces.
        lr: highest learning rate.
    """

    manifest: Path
    head: AgeHeadConfig | None = DldlHead()
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    lr: Positive = 3e-3


class MlpConfig(Section):
    """The whole of a training on vectors.

    Attributes:
        head: of the age; null for a network that tells the gender only.
        gender: null for a network that tells the age only.
        pretrain: what it learns from first; null for nothing.
        keep: by which figure of the validation faces the best epoch is chosen.
        relaxed: classes, years or ranges, that an answer may be off to be right in the relaxed accuracy.
        precision: "float32", "bf16", or "auto": bf16 where the hardware multiplies it.
        rebalance: as in ``TrainConfig``.
        seed: of the weights, the order of the faces and the dropout.
    """

    data: VectorsConfig
    mlp: MlpSection = MlpSection()
    head: AgeHeadConfig | None = DldlHead()
    gender: GenderConfig | None = None
    optim: MlpOptim = MlpOptim()
    schedule: ScheduleConfig = OneCycleSchedule()
    pretrain: PretrainConfig | None = None
    keep: Literal["loss", "accuracy", "mae", "gender"] = "loss"
    relaxed: Annotated[int, Field(ge=0, le=100)] = 1
    precision: Literal["auto", "float32", "bf16"] = "auto"
    rebalance: Share = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _fits(self) -> MlpConfig:
        if self.head is None and self.gender is None:
            raise ValueError("head and gender are both null; the network would tell nothing")
        if self.head is None and self.keep in ("accuracy", "mae"):
            raise ValueError(f"keep is {self.keep}, but head is null; set it to loss or gender")
        if self.gender is None and self.keep == "gender":
            raise ValueError("keep is gender, but gender is null")
        if isinstance(self.schedule, PlateauSchedule):
            raise ValueError("schedule.kind: plateau is not for vectors; exponential and one-cycle are")
        return self


def read_any_config(path: Path, overrides: Mapping[str, str] | None = None) -> TrainConfig | MlpConfig:
    """Read the configuration of a training on crops, or, where it has a section ``mlp``, of one on vectors.

    Raises:
        ConfigError: the file is missing or no YAML, or a key or value in it is wrong; all faults are named at once.
    """
    return read_as(MlpConfig, path, overrides) if on_vectors(path) else read_config(path, overrides)


def on_vectors(path: Path) -> bool:
    """Whether a file is the configuration of a training on vectors, which has a section ``mlp``.

    Raises:
        ConfigError: it is missing or no YAML.
    """
    return "mlp" in read_raw(path)
