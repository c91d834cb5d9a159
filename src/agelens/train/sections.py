"""The parts of a configuration that every training has; heads and schedules have files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from agelens.faces.align import TEMPLATES
from agelens.train.section import Positive, Section, Weight

__all__ = [
    "BackboneConfig",
    "CheckpointConfig",
    "DataConfig",
    "DistillConfig",
    "FinetuneConfig",
    "FoldConfig",
    "GenderConfig",
    "InputConfig",
    "OptimConfig",
    "TrainerConfig",
]


# What we tell timm ourselves, and what would have it read files.
OURS: Final = frozenset(
    {"model_name", "num_classes", "img_size", "in_chans", "features_only", "global_pool", "device", "dtype"}
    | {"checkpoint_path", "cache_dir"}
)
LARGEST: Final = 8192  # number in backbone.settings; networks of more layers or channels would never be done


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | str) or (isinstance(value, int | float) and abs(value) <= LARGEST)


class FoldConfig(Section):
    """A fold that is held back, in place of the manifest's splits; see ``folds.fold_parts``.

    Attributes:
        number: of the fold, from 0 on; it becomes the split "test".
        count: of new folds; null for those that the manifest has.
        val_share: of the other faces, which become "val" and "train".
        seed: of that choice.
    """

    number: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=2, le=100)] | None = None
    val_share: Annotated[float, Field(gt=0, le=0.8)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0


class DataConfig(Section):
    """Which samples, and how they are fed.

    Attributes:
        manifest: the manifest, or the folder that ``agelens prepare`` wrote; relative to the working folder.
        faces: train on so many of the training split's faces only, drawn at random but always the same ones, as for a
            quick trial; null for all.
        batch_size: faces a step on each device, 2 or more (batch norm needs two).
        workers: processes that load and augment crops; 0 loads in the training process.
        augment: named augmentation, see ``transforms.PRESETS``.
        fold: held back; null to go by the manifest's splits.
        balance: what a sample counts for, see ``balance.sample_weights``: "none" each the same, "inverse" as its age is
            rare, "smoothed" as its age and those around it are rare.
    """

    manifest: Path
    faces: Annotated[int, Field(ge=2)] | None = None
    batch_size: Annotated[int, Field(ge=2, le=65536)] = 64
    workers: Annotated[int, Field(ge=0, le=256)] = 1
    augment: Literal["none", "light", "standard", "strong"] = "standard"
    balance: Literal["none", "inverse", "smoothed"] = "none"
    fold: FoldConfig | None = None


class InputConfig(Section):
    """What the network sees.

    Attributes:
        size: pixels a side.
        margin: around the face, as in ``CropSpec``.
        template: how the face lies in the crop; null for that of the stored crops.
    """

    size: Annotated[int, Field(ge=16, le=1024)] = 128
    margin: Annotated[float, Field(ge=-0.2, le=2)] = 0.0
    template: str | None = None

    @model_validator(mode="after")
    def _known_template(self) -> InputConfig:
        if self.template is not None and self.template not in TEMPLATES:
            raise ValueError(f"no template {self.template!r}; there are: {', '.join(TEMPLATES)}")
        return self


class BackboneConfig(Section):
    """Which network.

    Attributes:
        name: any of timm's names.
        weights: where the network starts from: null for random numbers, "hub" for timm's own download,
            "package:DISTRIBUTION/PATH" for a file inside an installed package, or the path of a file of tensors
            (.pth or .pt in timm's or torchvision's order, .safetensors with timm's names).
        pretrained: true is another way to say ``weights: hub``.
        dropout: share of the features left out before the heads.
        settings: more of what timm's network takes when it is made, as ``drop_path_rate: 0.1``, or, for a ResNet,
            ``layers: [1, 1, 1, 1]``.
    """

    name: str
    weights: str | None = None
    pretrained: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_start(self) -> BackboneConfig:
        if self.pretrained and self.weights not in (None, "hub"):
            raise ValueError(f"pretrained is true and weights is {self.weights!r}; give one of the two")
        return self

    @field_validator("settings")
    @classmethod
    def _not_ours(cls, settings: dict[str, Any]) -> dict[str, Any]:
        ours = sorted(name for name in settings if name in OURS or name.startswith("pretrained"))
        if ours:
            raise ValueError(f"{', '.join(ours)}: not for settings; weights, input and heads have keys of their own")
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
        for name, value in plain.items():
            if not all(_is_plain(one) for one in (value if isinstance(value, tuple) else [value])):
                raise ValueError(
                    f"{name}: {value!r} is no text, truth or number of {-LARGEST} to {LARGEST}, or list of them"
                )
        return plain

    @property
    def start(self) -> str | None:
        """``weights``, with what ``pretrained`` says."""
        return "hub" if self.pretrained else self.weights


class GenderConfig(Section):
    """The second head: two classes, as the data sets label them; samples without a label do not count.

    Attributes:
        weight: of its cross-entropy, beside the age's loss.
    """

    weight: Weight = 0.5


class DistillConfig(Section):
    """Other models that teach this one, beside the labels.

    Attributes:
        teachers: bundles; what they say of each training face, as it is stored, is averaged. Their crops must fit the
            manifest's.
        weight: of the cross-entropy to the teachers' distributions, beside the labels' losses.
    """

    teachers: Annotated[tuple[Path, ...], Field(min_length=1)]
    weight: Positive = 1.0

    @field_validator("teachers", mode="before")
    @classmethod
    def _one_or_more(cls, teachers: Any) -> Any:
        return [teachers] if isinstance(teachers, str | Path) else teachers


class FinetuneConfig(Section):
    """What of the backbone is trained, and when.

    Attributes:
        freeze: "none" trains everything from the start; "backbone" the heads only.
        unfreeze: what becomes of a frozen backbone: "none" it stays so; "last" its last stage is freed; "progressive"
            one stage after another is, from the last to the first.
        epochs: after how many epochs each stage is freed; by default the run is cut into equal parts.
        lr_factor: the learning rate is multiplied by it at each of these steps.
        layer_decay: the learning rate of each stage is that of the next one multiplied by this, the heads' is the
            schedule's own; 1 for the same everywhere.
    """

    freeze: Literal["none", "backbone"] = "none"
    unfreeze: Literal["none", "last", "progressive"] = "none"
    epochs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    lr_factor: Annotated[float, Field(gt=0, le=1)] = 0.8
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _fits(self) -> FinetuneConfig:
        if self.unfreeze != "none" and self.freeze != "backbone":
            raise ValueError("unfreeze needs freeze: backbone; nothing is frozen otherwise")
        if self.epochs and self.unfreeze == "none":
            raise ValueError("epochs say when to unfreeze, and unfreeze is none")
        if self.unfreeze == "last" and len(self.epochs) > 1:
            raise ValueError("unfreeze: last frees one stage, once; give one epoch")
        if list(self.epochs) != sorted(set(self.epochs)):
            raise ValueError("epochs must rise")
        return self


class OptimConfig(Section):
    """How it is learnt.

    Attributes:
        name: the optimiser; "sgd" has Nesterov's momentum of 0.9.
        lr: the schedule's highest learning rate.
        weight_decay: on weights of two and more dimensions.
        epochs: passes over the training split.
        ema_decay: of the weights averaged over the steps, 0…1 exclusive; they are the ones validated and exported.
            It grows into its value over the first steps. 0 for no averaging.
        clip: gradients are scaled down to this norm; null for never.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Positive = 1e-3
    weight_decay: Weight = 0.05
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 8
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    clip: Positive | None = 5.0


class CheckpointConfig(Section):
    """What is kept, and when to stop.

    Attributes:
        metric: which figure the best epoch is chosen by: age's mean absolute error in years, the loss, the share
            within five years or within the band, or gender's accuracy.
        every: steps between two writings of last.ckpt within an epoch.
        patience: stop when so many epochs in a row were no better than the best; null for never.
    """

    metric: Literal["val_mae", "val_loss", "val_cs5", "val_band", "val_gender"] = "val_mae"
    every: Annotated[int, Field(ge=1)] = 200
    patience: Annotated[int, Field(ge=1)] | None = None


class TrainerConfig(Section):
    """On what it runs.

    Attributes:
        devices: GPUs, or processes on a CPU.
        num_nodes: machines; each is started by itself, as ``torchrun`` does.
        accelerator: "auto" takes GPUs where there are any.
        precision: "float32", "bf16", or "auto": bf16 where the hardware is faster with it: GPUs, and CPUs with
            AMX or AVX512-BF16.
        deterministic: the same numbers in every run on the same machine, also where a faster way would not give them.
        compile: compile the network first; minutes at the start, and whether it pays depends on network and machine.
    """

    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    num_nodes: Annotated[int, Field(ge=1, le=4096)] = 1
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    deterministic: bool = False
    compile: bool = False
