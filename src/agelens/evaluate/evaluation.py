"""A bundle on a manifest: its predictions, and the figures they come to."""

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
from agelens.data.manifest import Manifest
from agelens.errors import DataError
from agelens.evaluate import metrics
from agelens.faces.align import recrop

__all__ = ["Predictions", "figures", "predict_split", "read_crops"]

Values = npt.NDArray[Any]
BATCH: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model said of N faces, beside their labels.

    Attributes:
        rows: the manifest's rows, N of them.
        age_probs: (N, 101).
        gender_probs: (N, 2).
        genders: what the columns of ``gender_probs`` mean.
    """

    rows: pd.DataFrame
    age_probs: Values
    gender_probs: Values
    genders: tuple[str, ...]

    @property
    def true_age(self) -> Values:
        """(N,) years."""
        return self.rows["age"].to_numpy(dtype=np.float64)

    @property
    def age(self) -> Values:
        """(N,) expected age in years."""
        return ages.expected_age(self.age_probs)

    @property
    def gender(self) -> npt.NDArray[np.str_]:
        """(N,) the likelier gender."""
        return np.asarray(np.array(self.genders)[self.gender_probs.argmax(axis=1)])


def predict_split(
    bundle: Bundle,
    manifest: Manifest,
    split: str,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Run a bundle on the stored crops of a split.

    Args:
        bundle: the model.
        manifest: whose crops show at least as much around the face as the bundle wants.
        split: "train", "val" or "all".
        progress: called with the number of faces done and their total.

    Raises:
        DataError: the split is empty, has no exact ages, or its crops are missing, damaged or do not fit the bundle.
    """
    rows = manifest.split(split, exact_age=True)
    outputs = []
    for start in range(0, len(rows), BATCH):
        outputs.append(bundle.run(read_crops(manifest, rows.iloc[start : start + BATCH], bundle)))
        progress(min(start + BATCH, len(rows)), len(rows))
    age_probs, gender_probs = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    return Predictions(rows, age_probs, gender_probs, bundle.card.genders)


def read_crops(manifest: Manifest, rows: pd.DataFrame, bundle: Bundle) -> npt.NDArray[np.uint8]:
    """The stored crops of some rows as the bundle wants them: (N, size, size, 3) uint8; errors as above."""

    def read(place: dict[str, Any]) -> npt.NDArray[np.uint8]:
        try:
            return recrop(manifest.read_crop(place), manifest.crop, bundle.card.crop)
        except ValueError as error:
            raise DataError(f"{manifest.folder}: {error}; prepare the data set again for this bundle") from error

    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(read, rows[["path", "offset", "length"]].to_dict("records"))))


def figures(predictions: Predictions, level: float, mass: float) -> dict[str, Any]:
    """Errors in years, shares within 0…1: overall and by decade of the true age, JSON-ready.

    Args:
        predictions: of at least one face.
        level: that the intervals claim.
        mass: the central mass that they hold, see ``evaluate.intervals``.
    """
    decades = np.minimum(predictions.true_age // 10, 9).astype(int)
    groups = {
        f"{10 * decade}-{10 * decade + 9}" if decade < 9 else "90+": decades == decade for decade in np.unique(decades)
    }
    return {
        "level": level,
        "all": _group_figures(predictions, np.ones(len(decades), dtype=bool), mass),
        "decades": {name: _group_figures(predictions, chosen, mass) for name, chosen in groups.items()},
    }


def _group_figures(predictions: Predictions, chosen: npt.NDArray[np.bool_], mass: float) -> dict[str, Any]:
    age, true = predictions.age[chosen], predictions.true_age[chosen]
    intervals = ages.interval(predictions.age_probs[chosen], mass)
    labels = predictions.rows["gender"].to_numpy(dtype=object)[chosen]
    known = pd.notna(labels)
    return {
        "faces": int(chosen.sum()),
        "mae": metrics.mae(age, true),
        "rmse": metrics.rmse(age, true),
        "bias": metrics.bias(age, true),
        "cs5": metrics.cumulative_score(age, true, 5),
        "gender_accuracy": metrics.accuracy(predictions.gender[chosen][known], labels[known]) if known.any() else None,
        "coverage": metrics.coverage(intervals, np.clip(true, 0, ages.MAX_AGE)),
        "interval_width": float(np.diff(intervals, axis=1).mean()),
    }
