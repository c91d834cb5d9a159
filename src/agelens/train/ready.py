"""What a training starts from: network, faces and configuration, checked against each other before the first step."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import lightning
import numpy as np

from agelens.data.folds import hold_back
from agelens.data.manifest import Manifest, read_manifest
from agelens.errors import ConfigError, DataError
from agelens.faces.align import CropSpec
from agelens.train.config import TrainConfig
from agelens.train.dataset import CropDataset
from agelens.train.heads import HEADS
from agelens.train.network import AgeNetwork, build_network, load_start
from agelens.train.teaching import check_teachers
from agelens.train.transforms import PRESETS, plain_transform, train_transform

__all__ = ["Ready", "fitting_crop", "folded", "make_ready"]


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What a training starts from, all of it known to fit together.

    Attributes:
        manifest: where the faces come from.
        network: with the weights that it starts from.
        train_set: its faces.
        val_set: those it is judged by.
        notes: what people may want to know, a line each.
    """

    manifest: Manifest
    network: AgeNetwork
    train_set: CropDataset
    val_set: CropDataset
    notes: tuple[str, ...]


def make_ready(config: TrainConfig) -> Ready:
    """Read the manifest, build the network and its data sets, and see that they fit.

    Raises:
        BundleError: a teacher is no bundle.
        ConfigError: the configuration does not fit the machine, or names what there is not.
        DataError: the manifest or its crops are not what the configuration wants.
    """
    if config.trainer.compile and shutil.which("c++") is None and shutil.which("g++") is None:
        raise ConfigError("trainer.compile: needs a C++ compiler, and there is none; install g++, or set it to false")
    manifest = folded(read_manifest(config.data.manifest), config)
    crop = fitting_crop(config, manifest)
    lightning.seed_everything(config.seed, verbose=False)
    data, preset = config.data, PRESETS[config.data.augment]
    train_set = CropDataset(
        manifest,
        "train",
        train_transform(preset, manifest.crop, crop),
        seed=config.seed,
        balance=data.balance,
        faces=data.faces,
        years=preset.years,
    )
    val_set = CropDataset(manifest, "val", plain_transform(manifest.crop, crop))
    _check_labels(config, train_set, val_set, manifest)
    network = build_network(config)
    network.head.fit(train_set.middle_ages)
    matched = load_start(network, config)
    if config.distill is not None:
        check_teachers(config.distill.teachers, manifest)
    notes = [f"{config.backbone.name}: {'random weights' if matched is None else matched}"]
    if crop.size * (1 + 2 * manifest.crop.margin) > manifest.crop.size * (1 + 2 * crop.margin) * 1.01:
        notes.append(f"input.size {crop.size} enlarges stored crops of {manifest.crop.size} pixels")
    return Ready(manifest, network, train_set, val_set, tuple(notes))


def folded(manifest: Manifest, config: TrainConfig) -> Manifest:
    """A manifest as a training sees it: with the fold held back that the configuration names, where it names one.

    Raises:
        DataError: there is no such fold.
    """
    fold = config.data.fold
    return manifest if fold is None else hold_back(manifest, fold.number, fold.count, fold.val_share, fold.seed)


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


def _check_labels(config: TrainConfig, train_set: CropDataset, val_set: CropDataset, manifest: Manifest) -> None:
    processes = config.trainer.devices * config.trainer.num_nodes
    if len(train_set) < 2 * processes:
        raise DataError(
            f"{manifest.folder}: {len(train_set)} to train on; at least {2 * processes} are needed, two for each device"
        )
    exact = ~np.isnan(train_set.labels["age"])
    if len(val_set) < max(2, processes):
        raise DataError(
            f"{manifest.folder}: {len(val_set)} to validate on; at least {max(2, processes)} are needed, as intervals "
            "are calibrated by them and each device has its share"
        )
    if config.gender is not None and not (train_set.labels["gender"] >= 0).any():
        raise DataError(f"{manifest.folder}: no training face has a gender; set gender: null")
    banded = int((~exact).sum()) + int(np.isnan(val_set.labels["age"]).sum())
    if banded and not HEADS[config.head.kind].learns_bands:
        raise DataError(
            f"{manifest.folder}: {banded:,} faces have an age band only, from which head.kind: {config.head.kind} "
            "can neither learn nor be judged; take another head, such as dldl"
        )
    _check_metric(config.checkpoint.metric, val_set, manifest)


def _check_metric(metric: str, val_set: CropDataset, manifest: Manifest) -> None:
    banded = np.isnan(val_set.labels["age"])
    known = {"val_mae": ~banded, "val_cs5": ~banded, "val_band": banded, "val_gender": val_set.labels["gender"] >= 0}
    if metric in known and not known[metric].any():
        what = {"val_band": "an age band only", "val_gender": "a gender"}.get(metric, "an exact age")
        other = "val_band" if banded.all() else "val_mae"
        raise DataError(
            f"{manifest.folder}: no validation face has {what}, which checkpoint.metric: {metric} needs; "
            f"set it to {other}"
        )
