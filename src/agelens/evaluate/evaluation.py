"""A bundle on a manifest: its predictions, and the figures they come to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

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
from agelens.evaluate.bootstrap import mean_interval
from agelens.faces.align import recrop

__all__ = ["Predictions", "figures", "predict_rows", "predict_split", "read_crops"]

Values = npt.NDArray[Any]
BATCH: Final = 64
KINDS: Final = ("gender", "race", "dataset")  # of groups, by their columns
SHARES: Final = ("gender_accuracy", "band_accuracy")


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


def figures(predictions: Predictions, level: float, mass: ages.Mass) -> dict[str, Any]:
    """Errors in years, shares within 0…1: overall, by decade of the true age, and by what else is known, JSON-ready.

    A face of which only a band is known belongs to the decade of its middle. It counts for ``band_accuracy``, the share
    whose expected age, rounded, lies within the band; figures that need an exact age leave it out, and are None where
    no face has one. ``groups`` has the same by gender, race and data set, as labelled, where there are two and more of
    them; ``uncertainty`` holds 95 % intervals, see ``bootstrap.mean_interval``.

    Args:
        predictions: of at least one face.
        level: that the intervals claim.
        mass: the central mass that they hold, see ``ages.interval``.
    """
    rows = predictions.rows
    answers = _Answers(
        rows,
        predictions.age,
        predictions.true_age,
        predictions.gender if predictions.genders else None,
        ages.interval(predictions.age_probs, mass),
    )
    decades = decade_of(middle_age(rows))
    groups = {kind: _groups(answers, rows[kind].to_numpy(dtype=object)) for kind in KINDS}
    return {
        "level": level,
        "all": _group_figures(answers),
        "decades": {DECADES[one]: _group_figures(answers.of(decades == one)) for one in np.unique(decades)},
        "groups": {kind: named for kind, named in groups.items() if len(named) > 1},
    }


class _Answers(NamedTuple):
    """Labels of N faces and what was said of them; ``gender`` is None of a model that tells none."""

    rows: pd.DataFrame
    age: Values
    true: Values
    gender: Values | None
    intervals: Values

    def of(self, chosen: npt.NDArray[np.bool_]) -> _Answers:
        """Those of some faces, (N,) of booleans."""
        return _Answers(
            self.rows[chosen],
            self.age[chosen],
            self.true[chosen],
            None if self.gender is None else self.gender[chosen],
            self.intervals[chosen],
        )


def _groups(answers: _Answers, labels: Values) -> dict[str, Any]:
    names = sorted({str(label) for label in labels[pd.notna(labels)]})
    return {name: _group_figures(answers.of(labels == name)) for name in names}


def _group_figures(answers: _Answers) -> dict[str, Any]:
    labels = answers.rows["gender"].to_numpy(dtype=object)
    known = pd.notna(labels) & (answers.gender is not None)
    gendered = np.zeros(0) if answers.gender is None else (answers.gender == labels)[known]
    exact = ~np.isnan(answers.true)
    known_age, banded = answers.of(exact), answers.of(~exact)
    means = {
        "mae": np.abs(known_age.age - known_age.true),
        "gender_accuracy": gendered,
        "band_accuracy": _in_band(banded.age, banded.rows),
    }
    return {
        "faces": len(answers.rows),
        **_age_figures(known_age.age, known_age.true, known_age.intervals),
        **{name: float(means[name].mean()) if len(means[name]) else None for name in SHARES},
        "interval_width": float(np.diff(answers.intervals, axis=1).mean()),
        "uncertainty": {name: list(mean_interval(values)) for name, values in means.items() if len(values)},
    }


def _age_figures(age: Values, true: Values, intervals: Values) -> dict[str, float | None]:
    if not len(age):
        return dict.fromkeys(("mae", "rmse", "bias", "cs5", "coverage"))
    return {
        "mae": metrics.mae(age, true),
        "rmse": metrics.rmse(age, true),
        "bias": metrics.bias(age, true),
        "cs5": metrics.cumulative_score(age, true, 5),
        "coverage": metrics.coverage(intervals, np.clip(true, 0, ages.MAX_AGE)),
    }


def _in_band(age: Values, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    years = np.rint(age)
    low, high = (rows[end].to_numpy(dtype=np.float64) for end in ("age_low", "age_high"))
    return np.asarray((low <= years) & (years <= high))
