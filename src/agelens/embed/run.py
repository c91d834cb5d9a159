"""A run on vectors: one training from its configuration to a folder that holds everything about it.

    config.yaml          what was asked for
    metrics.csv          a line an epoch
    curves.png           the same, to look at
    checkpoints/         best.safetensors, the weights of the best epoch, and in its metadata what they learnt from

It takes seconds to minutes, so it is not taken up where it was cut off but begun again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from agelens.data.manifest import Manifest, read_manifest
from agelens.data.vectors import read_vectors
from agelens.embed.checks import check_labels, embedder_of
from agelens.embed.config import MlpConfig
from agelens.embed.fit import Faces, Fitted, Member, Places, fit, plan_of
from agelens.embed.labels import labels_of
from agelens.embed.mlp import Mlp, build_mlp, scale_all
from agelens.embed.pretraining import pretrained
from agelens.errors import ConfigError
from agelens.faces.embedder import EmbedderSpec
from agelens.files import atomic_path, make_folder, write_text
from agelens.train.curves import draw_curves
from agelens.train.keeping import CONFIG, CURVES, METRICS
from agelens.train.reading import read_as, write_config

__all__ = [
    "BEST_WEIGHTS",
    "Learnt",
    "Origin",
    "TrainedMlp",
    "fit_one",
    "is_vector_run",
    "load_trained_mlp",
    "manifests_of",
    "read_learnt",
    "train_mlp",
]

ORIGIN: Final = "agelens.origin"
BEST_WEIGHTS: Final = "checkpoints/best.safetensors"
Progress = Callable[[str, int, int], None]


class Learnt(NamedTuple):
    """What is learnt from.

    Attributes:
        manifest: of vectors.
        rows: those of it that were kept.
        faces: of these rows.
        train, val: where these splits are there.
        first: other vectors, that are learnt from before; None for none.
    """

    manifest: Manifest
    rows: pd.DataFrame
    faces: Faces
    train: Places
    val: Places
    first: Manifest | None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a network learnt from.

    Attributes:
        embedder: whose vectors.
        datasets: names of the data sets, those that it was pre-trained on too.
        faces: of its own training split.
    """

    embedder: EmbedderSpec
    datasets: tuple[str, ...]
    faces: int


class TrainedMlp(NamedTuple):
    """What came of a run on vectors: its network, in evaluation mode, its configuration, and what it learnt from."""

    network: Mlp
    config: MlpConfig
    origin: Origin


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
    learnt = read_learnt(*manifests_of(config))
    check_labels(config, learnt.faces.labels, learnt.train, learnt.val, str(learnt.manifest.folder))
    make_folder(out)
    network, fitted = fit_one(config, learnt, progress=progress)
    _write_run(out, config, network, fitted, _origin_of(learnt))
    return fitted


def manifests_of(config: MlpConfig) -> tuple[Path, Path | None]:
    """What is learnt from, and what is learnt from first."""
    return config.data.manifest, None if config.pretrain is None else config.pretrain.manifest


def read_learnt(path: Path, first: Path | None = None) -> Learnt:
    """Read the vectors and labels of a manifest, and beside it the one that is learnt from ``first``.

    Raises:
        DataError: it holds no vectors, or one of them is no manifest.
    """
    manifest = read_manifest(path)
    embedder_of(manifest)
    rows = manifest.split("all")
    faces = Faces(torch.from_numpy(read_vectors(manifest, rows)), labels_of(rows))
    train, val = ((rows["split"] == name).to_numpy().nonzero()[0] for name in ("train", "val"))
    return Learnt(manifest, rows, faces, train, val, None if first is None else read_manifest(first))


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
    if learnt.first is not None:
        judged, told = learnt.rows.iloc[learnt.val], partial(progress, "pre-training")
        return pretrained(config, learnt.first, learnt.manifest, judged, [config.seed], progress=told)[config.seed]
    network = build_mlp(config, learnt.faces.vectors.shape[1], config.seed)
    scale_all([network], learnt.faces.vectors[torch.from_numpy(learnt.train)])
    return network


def _origin_of(learnt: Learnt) -> Origin:
    datasets = set(learnt.rows["dataset"].iloc[learnt.train])
    if learnt.first is not None:
        datasets |= set(learnt.first.split("train")["dataset"])
    return Origin(embedder_of(learnt.manifest), tuple(sorted(datasets)), len(learnt.train))


def _write_run(out: Path, config: MlpConfig, network: Mlp, fitted: Fitted, origin: Origin) -> None:
    rows = [
        {"epoch": epoch + 1, **{f"val_{name}": value for name, value in figures.items()}}
        for epoch, figures in enumerate(fitted.figures)
    ]
    write_text(out / METRICS, pd.DataFrame(rows).to_csv(index=False))
    draw_curves(rows, out / CURVES)
    with atomic_path(out / BEST_WEIGHTS) as temporary:
        temporary.write_bytes(save(network.state_dict(), metadata={ORIGIN: json.dumps(asdict(origin))}))
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
        with safe_open(run / BEST_WEIGHTS, framework="pt") as file:
            origin = _origin(json.loads(file.metadata()[ORIGIN]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        network = build_mlp(config, origin.embedder.width, config.seed)
        network.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = f"no weights of this run ({type(error).__name__}); train again"
        raise ConfigError(f"{run / BEST_WEIGHTS}: {reason}") from error
    return TrainedMlp(network.eval(), config, origin)


def _origin(raw: dict[str, Any]) -> Origin:
    return Origin(EmbedderSpec.from_dict(raw["embedder"]), tuple(map(str, raw["datasets"])), int(raw["faces"]))
