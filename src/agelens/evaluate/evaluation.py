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
from agelens.data.decades import DECADES, decade_of
from agelens.data.grouping import middle_age
from agelens.data.manifest import Manifest
from agelens.errors import DataError
from agelens.evaluate import metrics
from agelens.faces.align import recrop

__all__ = ["Predictions", "figures", "predict_rows", "predict_split", "read_crops"]

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
    """Run a bundle on the stored crops of a split.

    Args:
        bundle: the model.
        manifest: whose crops show at least as much around the face as the bundle wants.
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
    """Run a bundle on the stored crops of some of a manifest's rows, at least one; see ``predict_split``."""
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

    A face of which only a band is known belongs to the decade of its middle. It counts for ``band_accuracy``, the share
    whose expected age, rounded, lies within the band; figures that need an exact age leave it out, and are None where
    no face has one.

    Args:
        predictions: of at least one face.
        level: that the intervals claim.
        mass: the central mass that they hold, see ``evaluate.intervals``.
    """
    decades = decade_of(middle_age(predictions.rows))
    groups = {DECADES[decade]: decades == decade for decade in np.unique(decades)}
    return {
        "level": level,
        "all": _group_figures(predictions, np.ones(len(decades), dtype=bool), mass),
        "decades": {name: _group_figures(predictions, chosen, mass) for name, chosen in groups.items()},
    }


def _group_figures(predictions: Predictions, chosen: npt.NDArray[np.bool_], mass: float) -> dict[str, Any]:
    labels = predictions.rows["gender"].to_numpy(dtype=object)[chosen]
    known = pd.notna(labels) & bool(predictions.genders)
    intervals = ages.interval(predictions.age_probs[chosen], mass)
    return {
        "faces": int(chosen.sum()),
        **_age_figures(predictions.age[chosen], predictions.true_age[chosen], intervals),
        "gender_accuracy": metrics.accuracy(predictions.gender[chosen][known], labels[known]) if known.any() else None,
        "band_accuracy": _band_accuracy(predictions.age[chosen], predictions.rows[chosen]),
        "interval_width": float(np.diff(intervals, axis=1).mean()),
    }


def _age_figures(age: Values, true: Values, intervals: Values) -> dict[str, float | None]:
    exact = ~np.isnan(true)
    if not exact.any():
        return dict.fromkeys(("mae", "rmse", "bias", "cs5", "coverage"))
    age, true = age[exact], true[exact]
    return {
        "mae": metrics.mae(age, true),
        "rmse": metrics.rmse(age, true),
        "bias": metrics.bias(age, true),
        "cs5": metrics.cumulative_score(age, true, 5),
        "coverage": metrics.coverage(intervals[exact], np.clip(true, 0, ages.MAX_AGE)),
    }


def _band_accuracy(age: Values, rows: pd.DataFrame) -> float | None:
    banded = rows["age"].isna().to_numpy()
    if not banded.any():
        return None
    years = np.rint(age[banded])
    low, high = (rows[end].to_numpy(dtype=np.float64)[banded] for end in ("age_low", "age_high"))
    return float(((low <= years) & (years <= high)).mean())
