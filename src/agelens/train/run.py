"""A run: one training from its configuration to a folder that holds everything about it.

    config.yaml          what was asked for
    metrics.csv          a line an epoch
    curves.png           the same, to look at
    checkpoints/         best.ckpt (the best epoch) and last.ckpt; both hold the averaged weights

``agelens train`` adds the bundle that ``agelens export`` makes of it, and a report.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from agelens.data.manifest import Manifest, read_manifest
from agelens.errors import ConfigError, DataError, OutputError
from agelens.faces.align import CropSpec
from agelens.files import make_folder
from agelens.train.config import TrainConfig, read_config, write_config
from agelens.train.dataset import CropDataset
from agelens.train.feeding import Feeding
from agelens.train.keeping import BEST, CONFIG, CURVES, LAST, METRICS, Keeper
from agelens.train.module import AgeModule
from agelens.train.network import AgeNetwork, build_network, load_start
from agelens.train.trainer import build_trainer, fitting
from agelens.train.transforms import PRESETS, plain_transform, train_transform

__all__ = [
    "BEST",
    "CONFIG",
    "CURVES",
    "LAST",
    "METRICS",
    "Ready",
    "fitting_crop",
    "leads",
    "load_trained",
    "make_ready",
]
__all__ += ["BUNDLE", "REPORT", "train"]

BUNDLE: Final = "bundle.onnx"
REPORT: Final = "report"

# Bytes a weight: itself, its average and the optimiser's two, in best, last, and last while it is written anew.
DISK_PER_WEIGHT: Final = 3 * 4 * 4


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What a training starts from, all of it known to fit together.

    Attributes:
        network: with the weights that it starts from.
        train_set: its faces.
        val_set: those it is judged by.
        notes: what people may want to know, a line each.
    """

    network: AgeNetwork
    train_set: CropDataset
    val_set: CropDataset
    notes: tuple[str, ...]


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    report: Callable[[Mapping[str, float]], None] = lambda figures: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Train a network and leave the run in ``out``.

    Args:
        config: what to train on, and how.
        out: the run's folder.
        resume: go on where a run was cut off; its weights end as if it had not been.
        progress: show a progress bar.
        report: called after every epoch with its line of ``metrics.csv``.
        say: called with what else there is to tell: which weights matched, what is trained, which epoch is the best.

    Raises:
        ConfigError: the configuration does not fit the machine or the run in ``out``, or lets the loss grow beyond
            all numbers.
        DataError: the manifest or its crops are not what the configuration wants.
        OutputError: ``out`` cannot be written, or its disk is too full.
        MissingExtraError: the configuration wants a logger that is not installed.
    """
    checkpoint = _checkpoint_to_resume(config, out, resume)
    ready = make_ready(config)
    for line in ready.notes if leads() else ():
        say(line)
    _check_disk(out, ready.network)
    module = AgeModule(ready.network, config)
    with fitting():
        trainer = build_trainer(config, Keeper(out, config.checkpoint, report, say), out, progress=progress)
        if leads():
            make_folder(out)
            write_config(config, out / CONFIG)
        feeding = Feeding(ready.train_set, ready.val_set, config.data, config.seed)
        trainer.fit(module, datamodule=feeding, ckpt_path=checkpoint, weights_only=True)


def leads() -> bool:
    """Whether this process is the one of a run that writes and speaks."""
    return int(rank_zero_only.rank or 0) == 0  # type: ignore[attr-defined]


def make_ready(config: TrainConfig) -> Ready:
    """Read the manifest, build the network and its data sets, and see that they fit; raises as ``train``."""
    if config.trainer.compile and shutil.which("c++") is None and shutil.which("g++") is None:
        raise ConfigError("trainer.compile: needs a C++ compiler, and there is none; install g++, or set it to false")
    manifest = read_manifest(config.data.manifest)
    crop = fitting_crop(config, manifest)
    lightning.seed_everything(config.seed, verbose=False)
    vary = train_transform(PRESETS[config.data.augment], manifest.crop, crop)
    data = config.data
    train_set = CropDataset(manifest, "train", vary, seed=config.seed, balance=data.balance, faces=data.faces)
    val_set = CropDataset(manifest, "val", plain_transform(manifest.crop, crop))
    _check_labels(config, train_set, val_set, manifest)
    network = build_network(config)
    network.head.fit(train_set.middle_ages)
    matched = load_start(network, config)
    notes = [f"{config.backbone.name}: {'random weights' if matched is None else matched}"]
    if crop.size * (1 + 2 * manifest.crop.margin) > manifest.crop.size * (1 + 2 * crop.margin) * 1.01:
        notes.append(f"input.size {crop.size} enlarges stored crops of {manifest.crop.size} pixels")
    return Ready(network, train_set, val_set, tuple(notes))


def fitting_crop(config: TrainConfig, manifest: Manifest) -> CropSpec:
    """The crop that the network sees, once the manifest's crops are known to hold it.

    Raises:
        DataError: they show less around the face than the configuration wants, or it lies differently in them.
    """
    crop, stored = config.crop(manifest.crop.template), manifest.crop
    if crop.template != stored.template:
        raise DataError(
            f"{manifest.folder}: crops with template {stored.template!r}, but input.template is {crop.template!r}; "
            f"set it to null, or train on crops that were cut so"
        )
    if crop.margin > stored.margin + 1e-9:
        raise DataError(
            f"{manifest.folder}: crops with margin {stored.margin:g}, but input.margin is {crop.margin:g}; "
            f"prepare again with --margin {crop.margin:g}, or train with less"
        )
    return crop


def load_trained(run: Path) -> tuple[AgeNetwork, TrainConfig]:
    """The network of a run with its best averaged weights, in evaluation mode, and the configuration.

    Raises:
        ConfigError: the folder holds no finished epoch of a run.
    """
    path = run / BEST
    if not path.is_file():
        raise ConfigError(f"{run}: no {BEST} in it; wanted the folder of a run of agelens train")
    config = read_config(run / CONFIG)
    network = build_network(config)
    try:
        state = _read_checkpoint(path)["state_dict"]
        prefix = "network."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{path}: not a checkpoint of this run ({type(error).__name__}); train again") from error
    return network.eval(), config


def _check_labels(config: TrainConfig, train_set: CropDataset, val_set: CropDataset, manifest: Manifest) -> None:
    if len(train_set) < 2:
        raise DataError(f"{manifest.folder}: one training sample; batch norm needs at least two")
    exact = ~np.isnan(train_set.ages)
    if config.head.kind == "regression" and not exact.all():
        raise DataError(
            f"{manifest.folder}: {int((~exact).sum()):,} training faces have an age band only, from which "
            "head.kind: regression cannot learn; take another head, such as dldl"
        )
    banded = np.isnan(val_set.ages)
    wanted = {"val_mae": ~banded, "val_cs5": ~banded, "val_band": banded}.get(config.checkpoint.metric)
    if wanted is not None and not wanted.any():
        other = "val_band" if banded.all() else "val_mae"
        what = "an exact age" if banded.all() else "an age band only"
        raise DataError(
            f"{manifest.folder}: no validation face has {what}, which checkpoint.metric: {config.checkpoint.metric} "
            f"needs; set it to {other}"
        )


def _check_disk(out: Path, network: AgeNetwork) -> None:
    place = next(folder for folder in [out, *out.absolute().parents] if folder.is_dir())
    needed, free = DISK_PER_WEIGHT * sum(one.numel() for one in network.parameters()), shutil.disk_usage(place).free
    if free < needed:
        raise OutputError(
            f"{out}: its checkpoints will need about {needed / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB free"
        )


def _checkpoint_to_resume(config: TrainConfig, out: Path, resume: bool) -> Path | None:
    last = out / LAST
    if not resume:
        if last.exists():
            raise ConfigError(f"{out}: holds a run already; go on with it by --resume, or choose another --out")
        return None
    if not last.is_file():
        raise ConfigError(f"{out}: no {LAST} to resume from; start without --resume")
    if read_config(out / CONFIG) != config:
        raise ConfigError(f"{out}: was started with another configuration; resume with its own {CONFIG}")
    _read_checkpoint(last)  # a damaged one is told before any work
    return last


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises almost anything on a damaged file
        raise ConfigError(f"{path}: not a checkpoint of this run ({type(error).__name__}); train again") from error
