"""What was said of faces, whoever said it: the one thing that figures are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens import ages
from agelens.data.grouping import year_ends
from agelens.evaluate.evaluation import Predictions

__all__ = ["Answers", "Bands", "answers_of", "answers_said"]

Values = npt.NDArray[Any]
SCORED: Final = "female"  # whose probability the area under gender's curve goes by


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """The likeliest and the labelled band of N faces, as places among the bands that the faces of its data set have.

    Attributes:
        likeliest: (N,), -1 where the age is known and not a band, the data set has one band only, or nothing was said.
        labelled: (N,), -1 likewise.
    """

    likeliest: npt.NDArray[np.intp]
    labelled: npt.NDArray[np.intp]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Bands:
        """Those of some faces, (N,) of booleans."""
        return Bands(self.likeliest[chosen], self.labelled[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model, of ours or not, said of N faces, beside their labels.

    Attributes:
        rows: the manifest's rows, N of them.
        age: (N,) estimated years, NaN of faces that it said nothing of.
        bands: of faces of which only a band is known.
        intervals: (N, 2) years, or None of a model that gives none.
        age_probs: (N, 101), or None of a model that gives an age alone.
        gender: (N,) words, None where nothing was said, or None of a model that tells none.
        female: (N,) probability, or None where only words were said.
    """

    rows: pd.DataFrame
    age: Values
    bands: Bands
    intervals: Values | None = None
    age_probs: Values | None = None
    gender: npt.NDArray[np.object_] | None = None
    female: Values | None = None

    @property
    def true(self) -> npt.NDArray[np.float64]:
        """(N,) years, NaN where only a band is known."""
        return self.rows["age"].to_numpy(dtype=np.float64)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(N,) whether anything was said."""
        return ~np.isnan(self.age)

    def of(self, chosen: npt.NDArray[np.bool_]) -> Answers:
        """Those of some faces, (N,) of booleans."""

        def part(values: Values | None) -> Values | None:
            return None if values is None else values[chosen]

        said = map(part, (self.intervals, self.age_probs, self.gender, self.female))
        return Answers(self.rows[chosen], self.age[chosen], self.bands.of(chosen), *said)


def answers_of(predictions: Predictions, mass: ages.Mass) -> Answers:
    """A bundle's answers.

    Args:
        predictions: of at least one face.
        mass: the central mass that the intervals hold, see ``ages.interval``.
    """
    genders = predictions.genders
    return Answers(
        predictions.rows,
        predictions.age,
        Bands(*_bands(predictions.rows, predictions.age_probs)),
        ages.interval(predictions.age_probs, mass),
        predictions.age_probs,
        predictions.gender.astype(object) if genders else None,
        predictions.gender_probs[:, genders.index(SCORED)] if SCORED in genders else None,
    )


def answers_said(
    rows: pd.DataFrame,
    age: Values,
    *,
    intervals: Values | None = None,
    age_probs: Values | None = None,
    gender: npt.NDArray[np.object_] | None = None,
    female: Values | None = None,
) -> Answers:
    """Answers of a model that is no bundle; arguments as the attributes of ``Answers``."""
    said = ~np.isnan(age)
    points = np.zeros((len(rows), ages.NUM_BINS))
    points[said, np.rint(np.clip(age[said], 0, ages.MAX_AGE)).astype(int)] = 1.0
    likeliest, labelled = _bands(rows, points if age_probs is None else age_probs)
    bands = Bands(np.where(said, likeliest, -1), labelled)
    return Answers(rows, age, bands, intervals, age_probs, gender, female)


def _bands(rows: pd.DataFrame, probs: Values) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    banded = rows["age"].isna().to_numpy()
    likeliest, labelled = np.full((2, len(rows)), -1, dtype=np.intp)
    low, high = (ends[banded].astype(int).tolist() for ends in year_ends(rows))
    told = np.array(list(zip(low, high, strict=True)), dtype=int).reshape(-1, 2)
    datasets = rows["dataset"].astype(str).to_numpy()[banded]
    ours, theirs = np.full((2, len(told)), -1, dtype=np.intp)
    for dataset in np.unique(datasets):  # each has bands of its own
        chosen = datasets == dataset
        bands = sorted({(int(first), int(last)) for first, last in told[chosen]})
        if len(bands) > 1:  # of one band every face's likeliest is that
            ours[chosen] = ages.band_probs(probs[banded][chosen], bands).argmax(axis=1)
            theirs[chosen] = [bands.index((int(first), int(last))) for first, last in told[chosen]]
    likeliest[banded], labelled[banded] = ours, theirs
    return likeliest, labelled
