"""A bundle on a manifest: what it says of each face."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens import ages
from agelens.bundle import Bundle
from agelens.card import Card
from agelens.data.manifest import Manifest
from agelens.data.vectors import read_vectors
from agelens.embedders import check_embedder
from agelens.errors import BundleError, DataError
from agelens.faces.align import recrop

__all__ = ["Predictions", "predict_rows", "predict_split", "read_crops"]

Values = npt.NDArray[Any]
BATCH: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model said of N faces, beside their labels.

    Attributes:
        rows: the manifest's rows, N of them.
        age_probs: (N, 101).
        gender_probs: (N, 2), or (N, 0) of a model that tells no gender.
        genders: what the columns of ``gender_probs`` mean.
    """

    rows: pd.DataFrame
    age_probs: Values
    gender_probs: Values
    genders: tuple[str, ...]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Predictions:
        """Those of some faces, (N,) of booleans."""
        return Predictions(self.rows[chosen], self.age_probs[chosen], self.gender_probs[chosen], self.genders)

    @property
    def true_age(self) -> Values:
        """(N,) years, NaN where only a band is known."""
        return self.rows["age"].to_numpy(dtype=np.float64)

    @property
    def age(self) -> Values:
        """(N,) expected age in years."""
        return ages.expected_age(self.age_probs)

    @property
    def gender(self) -> npt.NDArray[np.str_]:
        """(N,) the likelier gender; empty words of a model that tells none."""
        if not self.genders:
            return np.full(len(self.rows), "")
        return np.asarray(np.array(self.genders)[self.gender_probs.argmax(axis=1)])


def predict_split(
    bundle: Bundle,
    manifest: Manifest,
    split: str,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Run a bundle on the stored crops, or vectors, of a split.

    Args:
        bundle: the model.
        manifest: whose crops show at least as much around the face as the bundle wants, or whose vectors are of the
            embedder that the bundle wants.
        split: "train", "val" or "all".
        progress: called with the number of faces done and their total.

    Raises:
        DataError: the split is empty, or its crops are missing, damaged or do not fit the bundle.
    """
    return predict_rows(bundle, manifest, manifest.split(split), progress=progress)


def predict_rows(
    bundle: Bundle,
    manifest: Manifest,
    rows: pd.DataFrame,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Run a bundle on the stored crops or vectors of some of a manifest's rows, at least one; see ``predict_split``."""
    if bundle.card.embedder is not None:
        output = bundle.run_vectors(_fitting_vectors(manifest, rows, bundle.card))
        progress(len(rows), len(rows))
        return Predictions(rows, *output, bundle.card.genders)
    outputs = []
    for start in range(0, len(rows), BATCH):
        outputs.append(bundle.run(read_crops(manifest, rows.iloc[start : start + BATCH], bundle)))
        progress(min(start + BATCH, len(rows)), len(rows))
    age_probs, gender_probs = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    return Predictions(rows, age_probs, gender_probs, bundle.card.genders)


def _fitting_vectors(manifest: Manifest, rows: pd.DataFrame, card: Card) -> npt.NDArray[np.float32]:
    if manifest.embedder is None and card.embedder is not None:
        raise DataError(
            f"{manifest.folder}: holds crops, and {card.name!r} takes vectors; make them with: "
            f"agelens embed {manifest.folder} OUT --embedder {card.embedder.name}"
        )
    if manifest.embedder is not None:
        try:
            check_embedder(card, manifest.embedder)
        except BundleError as error:
            raise DataError(f"{manifest.folder}: {error}") from error
    return read_vectors(manifest, rows)


def read_crops(manifest: Manifest, rows: pd.DataFrame, bundle: Bundle) -> npt.NDArray[np.uint8]:
    """The stored crops of some rows as the bundle wants them: (N, size, size, 3) uint8; errors as above."""

    def read(place: dict[str, Any]) -> npt.NDArray[np.uint8]:
        try:
            return recrop(manifest.read_crop(place), manifest.crop, bundle.card.crop)
        except ValueError as error:
            raise DataError(f"{manifest.folder}: {error}; prepare the data set again for this bundle") from error

    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(read, rows[["path", "offset", "length"]].to_dict("records"))))
