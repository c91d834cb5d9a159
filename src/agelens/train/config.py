"""A training, written down: typed, checked before anything runs, saved beside what came of it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agelens.errors import ConfigError
from agelens.faces.align import CropSpec
from agelens.files import write_text

__all__ = [
    "BackboneConfig",
    "DataConfig",
    "HeadConfig",
    "InputConfig",
    "OptimConfig",
    "TrainConfig",
    "read_config",
    "write_config",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Section):
    """Which samples, and how they are fed.

    Attributes:
        manifest: the manifest, or the folder that ``agelens prepare`` wrote; relative to the working folder.
        batch_size: faces a step, 2 or more (batch norm needs two).
        workers: processes that load and augment crops; 0 loads in the training process.
        augment: named augmentation, see ``transforms.PRESETS``.
    """

    manifest: Path
    batch_size: Annotated[int, Field(ge=2, le=65536)] = 64
    workers: Annotated[int, Field(ge=0, le=256)] = 1
    augment: Literal["none", "standard"] = "standard"


class InputConfig(_Section):
    """What the network sees: ``size`` in pixels a side and ``margin`` around the face, as in ``CropSpec``."""

    size: Annotated[int, Field(ge=16, le=1024)] = 128
    margin: Annotated[float, Field(ge=-0.2, le=2)] = 0.0


class BackboneConfig(_Section):
    """Which network.

    Attributes:
        name: any of timm's names.
        weights: where the network starts from: null for random numbers, "hub" for timm's own download,
            "package:DISTRIBUTION/PATH" for a file inside an installed package, or the path of a file of tensors
            (.pth or .pt in timm's or torchvision's order, .safetensors with timm's names).
        dropout: share of the features left out before the heads.
    """

    name: str
    weights: str | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2


class HeadConfig(_Section):
    """What is learnt: a distribution over the age axis, and gender.

    Attributes:
        label_deviation: standard deviation, in years, of the soft age labels.
        l1_weight: weight of the mean absolute error of the expected age, beside the cross-entropy's 1.
        gender_weight: weight of the gender cross-entropy.
    """

    label_deviation: Positive = 2.0
    l1_weight: Annotated[float, Field(ge=0)] = 0.1
    gender_weight: Annotated[float, Field(ge=0)] = 0.5


class OptimConfig(_Section):
    """How it is learnt: AdamW under a one-cycle schedule, weights averaged over the last steps.

    Attributes:
        lr: the schedule's highest learning rate.
        weight_decay: AdamW's, on weights of two and more dimensions.
        epochs: passes over the training split.
        warmup: share of the steps in which the learning rate rises.
        ema_decay: of the averaged weights, 0…1 exclusive; they are the ones validated and exported.
        clip: gradients are scaled down to this norm.
    """

    lr: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 8
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.25
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    clip: Positive = 5.0


class TrainConfig(_Section):
    """The whole of a training.

    Attributes:
        seed: of the weights, the order of the samples and the augmentation.
        precision: "float32", "bf16", or "auto": bf16 where the GPU, or the CPU's AMX tiles, make it faster.
        compile: compile the network first (minutes at the start, then about a third faster on a CPU).
    """

    data: DataConfig
    backbone: BackboneConfig
    input: InputConfig = InputConfig()
    head: HeadConfig = HeadConfig()
    optim: OptimConfig = OptimConfig()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    precision: Literal["auto", "float32", "bf16"] = "auto"
    compile: bool = False

    def crop(self, template: str) -> CropSpec:
        """The crop that the network sees, given the template of the stored crops."""
        return CropSpec(self.input.size, self.input.margin, template)


def read_config(path: Path) -> TrainConfig:
    """Read a configuration from YAML.

    Raises:
        ConfigError: the file is missing or no YAML, or a key or value in it is wrong; all faults are named at once.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: wanted sections like 'data:' and 'backbone:', found {type(raw).__name__}")
    try:
        return TrainConfig.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(_fault(dict(one)) for one in error.errors())
        raise ConfigError(f"{path}: {faults}") from error


def write_config(config: TrainConfig, path: Path) -> None:
    """Write a configuration as YAML that ``read_config`` takes.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def _fault(error: dict[str, Any]) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        got = "" if error["type"] == "missing" else f" (got {error['input']!r})"
        return f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}{got}"
    section = _SECTIONS[str(error["loc"][0])] if len(error["loc"]) > 1 else TrainConfig
    near = difflib.get_close_matches(str(error["loc"][-1]), section.model_fields, n=1, cutoff=0)
    return f"{where}: no such key; did you mean {near[0]!r}?"


_SECTIONS: dict[str, type[BaseModel]] = {
    "data": DataConfig,
    "backbone": BackboneConfig,
    "input": InputConfig,
    "head": HeadConfig,
    "optim": OptimConfig,
}
