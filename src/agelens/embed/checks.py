"""What vectors must be to be learnt from, told before the first step."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from agelens.data.manifest import Manifest
from agelens.embed.config import MlpConfig
from agelens.embed.labels import Labels
from agelens.errors import DataError
from agelens.faces.embedder import EmbedderSpec
from agelens.train.dataset import NO_GENDER
from agelens.train.heads import HEADS, build_head
from agelens.train.heads.binned import Ranges

__all__ = ["check_apart", "check_labels", "check_same_embedder", "embedder_of", "fingerprint"]

MIN_TRAINED: Final = 2  # batch norm
SHORT: Final = 16  # digits, which are shown to people


def embedder_of(manifest: Manifest) -> EmbedderSpec:
    """Which embedder a manifest's vectors come from.

    Raises:
        DataError: it holds crops.
    """
    if manifest.embedder is None:
        raise DataError(f"{manifest.folder}: holds crops; a network on vectors wants what agelens embed writes")
    return manifest.embedder


def check_same_embedder(wanted: EmbedderSpec, found: EmbedderSpec, where: str) -> None:
    """See that vectors can be given to a network that learnt from others.

    Raises:
        DataError: they come from another embedder, though perhaps of the same width.
    """
    if found.fingerprint != wanted.fingerprint:
        raise DataError(
            f"{where}: vectors of embedder {found.name!r} ({found.width} numbers, {found.fingerprint[:12]}); "
            f"wanted those of {wanted.name!r} ({wanted.width} numbers, {wanted.fingerprint[:12]})"
        )


def check_apart(learnt: pd.DataFrame, judged: pd.DataFrame, where: str) -> None:
    """See that no face is learnt from by which the network will be judged: the same picture, or one of the same bytes.

    Raises:
        DataError: some are.
    """
    known = set(zip(learnt["dataset"], learnt["source_path"], strict=True))
    same = pd.Series([one in known for one in zip(judged["dataset"], judged["source_path"], strict=True)], dtype=bool)
    same |= judged["digest"].notna().to_numpy() & judged["digest"].isin(learnt["digest"].dropna()).to_numpy()
    if same.any():
        raise DataError(
            f"{where}: {int(same.sum()):,} faces to pre-train on are among those by which the network is judged; "
            "leave them out of one"
        )


def check_labels(
    config: MlpConfig, labels: Labels, train: npt.NDArray[np.int64], val: npt.NDArray[np.int64], where: str
) -> None:
    """See that a network can learn from some faces, and be judged by others.

    Args:
        config: what it tells, and by which figure it is judged.
        labels: of all faces.
        train: (M,) places of those that it learns from.
        val: (V,) places of those that judge it.
        where: what these are called.

    Raises:
        DataError: there are too few, of one class only, or without the labels that are needed.
    """
    if len(train) < MIN_TRAINED or not len(val):
        raise DataError(f"{where}: {len(train)} faces to train on and {len(val)} to validate; wanted 2 and 1 at least")
    learnt, judged = (labels.of(torch.from_numpy(places)) for places in (train, val))
    if config.head is not None:
        _check_ages(config, learnt, judged, where)
    if config.gender is not None:
        found = _kinds(learnt.gender[learnt.gender != NO_GENDER])
        if found < 2:
            raise DataError(f"{where}: the training faces have {found} of two genders; set gender: null")
        if config.keep == "gender" and not bool((judged.gender != NO_GENDER).any()):
            raise DataError(f"{where}: no validation face has a gender, by which keep: gender chooses; set it to loss")


def _check_ages(config: MlpConfig, learnt: Labels, judged: Labels, where: str) -> None:
    kind = "" if config.head is None else config.head.kind
    banded = int(learnt.age.isnan().sum() + judged.age.isnan().sum())
    if banded and not HEADS[kind].learns_bands:
        raise DataError(f"{where}: {banded:,} faces have an age band only, from which head.kind: {kind} learns nothing")
    head = None if config.head is None else build_head(config.head)
    classes = head.classes(learnt.middle) if isinstance(head, Ranges) else learnt.middle.round()
    if _kinds(classes) < 2:
        what = "range of head.bands" if isinstance(head, Ranges) else "age"
        raise DataError(f"{where}: all training faces are of one {what}; there is nothing to tell apart")
    if config.keep == "mae" and bool(judged.age.isnan().all()):
        raise DataError(f"{where}: no validation face has an exact age, by which keep: mae chooses; set it to loss")
    if config.keep == "accuracy" and kind != "ranges" and bool(judged.age.isnan().all()):
        raise DataError(
            f"{where}: no validation face has a class, by which keep: accuracy chooses; take head.kind: ranges"
        )


def _kinds(values: torch.Tensor) -> int:
    return len(np.unique(values.numpy()))


def fingerprint(rows: pd.DataFrame, manifest: Manifest) -> str:
    """Another one for other faces, other labels, another order or another embedder."""
    told: dict[str, Any] = {"embedder": None if manifest.embedder is None else manifest.embedder.fingerprint}
    columns = ["source_path", "dataset", "age", "age_low", "age_high", "gender", "group", "split", "fold", "offset"]
    return hashlib.sha256((repr(told) + rows[columns].to_csv(index=False)).encode()).hexdigest()[:SHORT]
