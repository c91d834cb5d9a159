"""The figures that a model's answers come to, of all faces and of each group."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens import ages
from agelens.data.decades import DECADES, decade_of
from agelens.data.grouping import middle_age, year_ends
from agelens.evaluate import metrics
from agelens.evaluate.bootstrap import mean_interval
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.groups import CROSSED, FEW, gap, group_labels

__all__ = ["figures", "figures_of_all", "likeliest_bands", "subject_numbers"]

Values = npt.NDArray[Any]
LEGAL: Final = (18, 21, 25)  # years, whose probability to be reached is judged
SHARES: Final = ("gender_accuracy", "band_accuracy")


def figures(predictions: Predictions, level: float, mass: ages.Mass, *, crossings: bool = False) -> dict[str, Any]:
    """Errors in years, shares within 0…1: overall, by decade of the true age, and by what else is known, JSON-ready.

    A face of which only a band is known belongs to the decade of its middle. It counts for ``band_accuracy``, the share
    whose expected age, rounded, lies within the band; figures that need an exact age leave it out, and are None where
    no face has one. ``groups`` has the same by the other kinds of ``groups.group_labels``, with ``few`` where a group
    is too small to say much, and ``gaps`` by how far the best and the worst group of a kind lie apart in mean absolute
    error; ``uncertainty`` holds 95 % intervals, see ``bootstrap.mean_interval``, by people where those are known.

    Args:
        predictions: of at least one face.
        level: that the intervals claim.
        mass: the central mass that they hold, see ``ages.interval``.
        crossings: tell the groups of two kinds at once too, as "20-29, female".
    """
    answers = _Answers.of_predictions(predictions, mass)
    kinds = {kind: one for kind, one in group_labels(predictions.rows).items() if crossings or CROSSED not in kind}
    decades = decade_of(middle_age(predictions.rows))
    return {
        "level": level,
        "all": _figures_of_all(answers, predictions),
        "decades": {DECADES[one]: _group_figures(answers.of(decades == one)) for one in np.unique(decades)},
        "groups": {kind: _groups(answers, labels) for kind, labels in kinds.items() if kind != "decade"},
        "gaps": {kind: found for kind, labels in kinds.items() if (found := _gap(answers, labels))},
    }


def figures_of_all(predictions: Predictions, mass: ages.Mass) -> dict[str, Any]:
    """What ``figures`` has under ``all``, alone."""
    return _figures_of_all(_Answers.of_predictions(predictions, mass), predictions)


def _figures_of_all(answers: _Answers, predictions: Predictions) -> dict[str, Any]:
    return {**_group_figures(answers), **_whole_figures(predictions)}


class _Answers(NamedTuple):
    """Labels of N faces and what was said of them.

    ``gender`` is None of a model that tells none; ``subjects`` numbers the people, or is None where each face is
    another's.
    """

    rows: pd.DataFrame
    age: Values
    true: Values
    gender: Values | None
    intervals: Values
    subjects: Values | None

    @classmethod
    def of_predictions(cls, predictions: Predictions, mass: ages.Mass) -> _Answers:
        return cls(
            predictions.rows,
            predictions.age,
            predictions.true_age,
            predictions.gender if predictions.genders else None,
            ages.interval(predictions.age_probs, mass),
            subject_numbers(predictions.rows["subject"]),
        )

    def of(self, chosen: npt.NDArray[np.bool_]) -> _Answers:
        """Those of some faces, (N,) of booleans."""
        return _Answers(
            self.rows[chosen],
            self.age[chosen],
            self.true[chosen],
            None if self.gender is None else self.gender[chosen],
            self.intervals[chosen],
            None if self.subjects is None else self.subjects[chosen],
        )


def subject_numbers(names: pd.Series[Any]) -> Values | None:
    """A number for each person; faces of nobody known are each another's."""
    codes, known = pd.factorize(names)
    if len(known) == int((codes >= 0).sum()):
        return None
    return np.where(codes < 0, len(known) + np.arange(len(codes)), codes)


def _groups(answers: _Answers, labels: Values) -> dict[str, Any]:
    names = sorted({str(label) for label in labels[pd.notna(labels)]})
    return {name: _group_figures(answers.of(labels == name)) for name in names}


def _gap(answers: _Answers, labels: Values) -> dict[str, Any] | None:
    exact = ~np.isnan(answers.true)
    errors, named = np.abs(answers.age - answers.true)[exact], labels[exact]
    return gap({str(name): errors[named == name] for name in sorted(set(named[pd.notna(named)]))})


def _group_figures(answers: _Answers) -> dict[str, Any]:
    labels = answers.rows["gender"].to_numpy(dtype=object)
    known = pd.notna(labels) & (answers.gender is not None)
    gendered = np.zeros(0) if answers.gender is None else (answers.gender == labels)[known]
    exact = ~np.isnan(answers.true)
    known_age, banded = answers.of(exact), answers.of(~exact)
    means = {
        "mae": (np.abs(known_age.age - known_age.true), known_age.subjects),
        "gender_accuracy": (gendered, answers.of(known).subjects),
        "band_accuracy": (_in_band(banded.age, banded.rows), banded.subjects),
    }
    return {
        "faces": len(answers.rows),
        "few": len(answers.rows) < FEW,
        **_age_figures(known_age.age, known_age.true, known_age.intervals),
        **{name: float(means[name][0].mean()) if len(means[name][0]) else None for name in SHARES},
        "interval_width": float(np.diff(answers.intervals, axis=1).mean()),
        "uncertainty": {
            name: list(mean_interval(values, subjects=subjects))
            for name, (values, subjects) in means.items()
            if len(values)
        },
    }


def _age_figures(age: Values, true: Values, intervals: Values) -> dict[str, float | None]:
    if not len(age):
        return dict.fromkeys(("mae", "mse", "rmse", "bias", "cs5", "coverage"))
    return {
        "mae": metrics.mae(age, true),
        "mse": metrics.mse(age, true),
        "rmse": metrics.rmse(age, true),
        "bias": metrics.bias(age, true),
        "cs5": metrics.cumulative_score(age, true, 5),
        "coverage": metrics.coverage(intervals, np.clip(true, 0, ages.MAX_AGE)),
    }


def _whole_figures(predictions: Predictions) -> dict[str, Any]:
    """What is told of all faces together only: scores of the distributions, the curve, gender's area, 1-off bands."""
    true, rows = predictions.true_age, predictions.rows
    exact = ~np.isnan(true)
    probs, known = predictions.age_probs[exact], true[exact]
    found: dict[str, Any] = dict.fromkeys(("crps", "nll", "emd", "cs", "at_least", "gender_auc", "one_off", "epsilon"))
    if len(known):
        found |= {
            "crps": metrics.crps(probs, known),
            "nll": metrics.negative_log_likelihood(probs, known),
            "emd": metrics.earth_movers_distance(probs, known),
            "cs": metrics.cumulative_scores(predictions.age[exact], known).tolist(),
            "at_least": {str(age): _at_least(probs, known, age) for age in LEGAL},
        }
    labelled = rows["gender"].notna().to_numpy()
    if predictions.genders and rows["gender"].nunique() == 2:
        second = predictions.genders[1]
        scores = predictions.gender_probs[labelled, 1]
        found["gender_auc"] = metrics.auc(scores, (rows["gender"] == second).to_numpy()[labelled])
    if not exact.all():
        found["one_off"] = metrics.relaxed_accuracy(*likeliest_bands(predictions))
    spread = rows["apparent_std"].to_numpy(dtype=np.float64)
    judged = ~np.isnan(spread) & (spread > 0)
    if judged.any():
        apparent = rows["apparent_age"].to_numpy(dtype=np.float64)[judged]
        found["epsilon"] = metrics.epsilon_error(predictions.age[judged], apparent, spread[judged])
    return found


def likeliest_bands(predictions: Predictions) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The likeliest and the labelled band of each face that has a band only, as places among all such bands."""
    banded = np.isnan(predictions.true_age)
    low, high = (ends[banded].astype(int).tolist() for ends in year_ends(predictions.rows))
    labelled = list(zip(low, high, strict=True))
    bands = sorted(set(labelled))
    shares = ages.band_probs(predictions.age_probs[banded], bands) if bands else np.zeros((0, 1))
    return shares.argmax(axis=1), np.array([bands.index(one) for one in labelled], dtype=np.intp)


def _at_least(probs: Values, true: Values, age: int) -> dict[str, float]:
    shares, happened = ages.prob_at_least(probs, age), true >= age
    return {
        "brier": metrics.brier(shares, happened),
        "calibration_error": metrics.calibration_error(shares, happened),
    }


def _in_band(age: Values, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    years = np.rint(age)
    low, high = (rows[end].to_numpy(dtype=np.float64) for end in ("age_low", "age_high"))
    return np.asarray((low <= years) & (years <= high))
