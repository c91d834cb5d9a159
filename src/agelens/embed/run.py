"""A run on vectors: one training from its configuration to a folder that holds everything about it.

    config.yaml          what was asked for
    metrics.csv          a line an epoch
    curves.png           the same, to look at
    checkpoints/         best.safetensors, the weights of the best epoch

It takes seconds to minutes, so it is not taken up where it was cut off but begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from agelens.data.manifest import Manifest, read_manifest
from agelens.data.vectors import read_vectors
from agelens.embed.checks import check_labels, embedder_of
from agelens.embed.config import MlpConfig
from agelens.embed.fit import Faces, Fitted, Member, fit, plan_of
from agelens.embed.labels import labels_of
from agelens.embed.mlp import Mlp, build_mlp
from agelens.embed.pretraining import pretrained
from agelens.errors import ConfigError
from agelens.files import atomic_path, make_folder, write_text
from agelens.train.curves import draw_curves
from agelens.train.keeping import CONFIG, CURVES, METRICS
from agelens.train.reading import read_as, write_config

__all__ = [
    "BEST_WEIGHTS",
    "Learnt",
    "TrainedMlp",
    "fit_one",
    "is_vector_run",
    "load_trained_mlp",
    "read_learnt",
    "train_mlp",
]

BEST_WEIGHTS: Final = "checkpoints/best.safetensors"
Progress = Callable[[str, int, int], None]


class Learnt(NamedTuple):
    """What is learnt from: a manifest of vectors, its faces, and the places of the splits train and val among these."""

    manifest: Manifest
    faces: Faces
    train: npt.NDArray[np.int64]
    val: npt.NDArray[np.int64]


class TrainedMlp(NamedTuple):
    """What came of a run on vectors: its network, in evaluation mode, and its configuration."""

    network: Mlp
    config: MlpConfig


def train_mlp(config: MlpConfig, out: Path, *, progress: Progress = lambda what, done, total: None) -> Fitted:
    """Train a network on the training split of a manifest of vectors and leave the run in ``out``.

    Args:
        config: what to train on, and how.
        out: the run's folder.
        progress: called with what is being trained, the number of steps done and their total.

    Returns:
        The figures of each epoch.

    Raises:
        ConfigError: the folder holds a run, or the loss grew beyond all numbers.
        DataError: the manifest holds no vectors, or not such as can be learnt from.
        OutputError: ``out`` cannot be written.
    """
    if (out / CONFIG).exists():
        raise ConfigError(f"{out}: holds a run already; choose another --out")
    learnt = read_learnt(config.data.manifest)
    check_labels(config, learnt.faces.labels, learnt.train, learnt.val, str(learnt.manifest.folder))
    make_folder(out)
    network, fitted = fit_one(config, learnt, progress=progress)
    _write_run(out, config, network, fitted)
    return fitted


def read_learnt(path: Path) -> Learnt:
    """Read the vectors and labels of a manifest.

    Raises:
        DataError: it holds no vectors.
    """
    manifest = read_manifest(path)
    embedder_of(manifest)
    rows = manifest.split("all")
    faces = Faces(torch.from_numpy(read_vectors(manifest, rows)), labels_of(rows))
    return Learnt(manifest, faces, *((rows["split"] == name).to_numpy().nonzero()[0] for name in ("train", "val")))


def fit_one(
    config: MlpConfig,
    learnt: Learnt,
    *,
    progress: Progress = lambda what, done, total: None,
    report: Callable[[int, Mapping[str, float]], None] = lambda epoch, figures: None,
) -> tuple[Mlp, Fitted]:
    """Train one network.

    Args:
        config: how.
        learnt: from what; its labels fit, see ``check_labels``.
        progress: called with what is being trained, the number of steps done and their total.
        report: called after each epoch with its number, from 1 on, and the figures of the validation faces.

    Raises:
        ConfigError: the loss grew beyond all numbers.
        DataError: what it is to learn from first are no vectors, or not such as can be learnt from.
    """
    network = _start(config, learnt, progress)
    member = Member(network, learnt.train, learnt.val, config.seed)
    (fitted,) = fit(
        learnt.faces,
        [member],
        config,
        plan_of(config, len(learnt.train)),
        progress=partial(progress, "training"),
        report=lambda epoch, figures: report(epoch, figures[0]),
    )
    return network, fitted


def _start(config: MlpConfig, learnt: Learnt, progress: Progress) -> Mlp:
    if config.pretrain is not None:
        told = partial(progress, "pre-training")
        return pretrained(config, config.pretrain, learnt.manifest, [config.seed], progress=told)[config.seed]
    network = build_mlp(config, learnt.faces.vectors.shape[1], config.seed)
    network.scale_by(learnt.faces.vectors[torch.from_numpy(learnt.train)])
    return network


def _write_run(out: Path, config: MlpConfig, network: Mlp, fitted: Fitted) -> None:
    rows = [
        {"epoch": epoch + 1, **{f"val_{name}": value for name, value in figures.items()}}
        for epoch, figures in enumerate(fitted.figures)
    ]
    write_text(out / METRICS, pd.DataFrame(rows).to_csv(index=False))
    draw_curves(rows, out / CURVES)
    with atomic_path(out / BEST_WEIGHTS) as temporary:
        temporary.write_bytes(save(network.state_dict()))
    write_config(config, out / CONFIG)  # last: it says that the run is whole


def is_vector_run(run: Path) -> bool:
    """Whether a folder holds a run on vectors."""
    return (run / BEST_WEIGHTS).is_file()


def load_trained_mlp(run: Path) -> TrainedMlp:
    """What came of a run on vectors.

    Raises:
        ConfigError: the folder holds no such run, or a damaged one.
    """
    config = read_as(MlpConfig, run / CONFIG)
    try:
        tensors = load_file(run / BEST_WEIGHTS)
        network = build_mlp(config, len(tensors["mean"]), config.seed)
        network.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        reason = f"no weights of this run ({type(error).__name__}); train again"
        raise ConfigError(f"{run / BEST_WEIGHTS}: {reason}") from error
    return TrainedMlp(network.eval(), config)
