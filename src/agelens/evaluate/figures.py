"""The figures that a model's answers come to, of all faces and of each group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens import ages
from agelens.data.decades import DECADES, decade_of
from agelens.data.grouping import middle_age
from agelens.evaluate import metrics
from agelens.evaluate.answers import Answers
from agelens.evaluate.bootstrap import mean_interval
from agelens.evaluate.groups import CROSSED, FEW, gap, group_labels, group_names
from agelens.evaluate.people import people_count, subject_numbers
from agelens.evaluate.thresholds import LEGAL

__all__ = ["Share", "figures", "per_face"]

Values = npt.NDArray[Any]
SHARES: Final = ("coverage", "gender_accuracy", "band_accuracy", "likeliest_band")
COMPARED: Final = ("mae", "gender_accuracy", "band_accuracy")  # whose best and worst groups are looked for


def figures(answers: Answers, level: float, *, crossings: bool = False) -> dict[str, Any]:
    """Errors in years, shares within 0…1: overall, by decade of the true age, and by what else is known, JSON-ready.

    A face of which only a band is known belongs to the decade of its middle. It counts for ``band_accuracy``, the share
    whose expected age, rounded, lies within the band, and for ``likeliest_band``, that whose likeliest band of the data
    set's is the labelled one; figures that need an exact age leave it out. What cannot be told, for want of labels or
    because the model says no such thing, is None. ``groups`` has the same by the other kinds of
    ``groups.group_labels``, with ``few`` where a group has too few people to say much, and ``gaps`` how far the best
    and the worst group of a kind lie apart; ``uncertainty`` holds 95 % intervals, see ``bootstrap.mean_interval``, by
    people where those are known, and none of what is known of one alone.

    Args:
        answers: to at least one face. Those it says nothing of are counted, under ``unanswered``, and left out.
        level: that the intervals claim.
        crossings: tell the groups of two kinds at once too, as "20-29, female".

    Raises:
        ValueError: there is no answer.
    """
    said = answers.known
    if not said.any():
        raise ValueError(f"none of {len(said)} faces has an answer; wanted at least one")
    answers = answers.of(said)
    kinds = {kind: one for kind, one in group_labels(answers.rows).items() if crossings or CROSSED not in kind}
    decades = decade_of(middle_age(answers.rows))
    return {
        "level": level,
        "unanswered": int((~said).sum()),
        "all": {**_group_figures(answers), "cs": _curve(answers)},
        "decades": {DECADES[one]: _group_figures(answers.of(decades == one)) for one in np.unique(decades)},
        "groups": {kind: _groups(answers, labels) for kind, labels in kinds.items() if kind != "decade"},
        "gaps": {kind: found for kind, labels in kinds.items() if (found := _gaps(answers, labels))},
    }


class Share(NamedTuple):
    """A figure that is the mean of something of each face, (M,), and the rows of those that it can be told of."""

    values: Values
    rows: pd.DataFrame


def per_face(answers: Answers) -> Mapping[str, Share]:
    """By the names of figures that are means, of what: "mae" in years, and shares, whose values are 0 and 1."""
    exact = ~np.isnan(answers.true)
    known, banded = answers.of(exact), answers.of(~exact)
    told_apart = banded.bands.labelled >= 0
    placed = banded.bands.of(told_apart)
    labels = answers.rows["gender"].to_numpy(dtype=object)
    told = np.full(len(labels), None, dtype=object) if answers.gender is None else answers.gender
    gendered = pd.notna(labels) & pd.notna(told)
    covered = np.zeros(0) if known.intervals is None else _within(known.intervals, known.true)
    return {
        "mae": Share(np.abs(known.age - known.true), known.rows),
        "coverage": Share(covered, known.rows.iloc[: len(covered)]),
        "gender_accuracy": Share((told == labels)[gendered].astype(float), answers.rows[gendered]),
        "band_accuracy": Share(_in_band(banded.age, banded.rows), banded.rows),
        "likeliest_band": Share((placed.likeliest == placed.labelled).astype(float), banded.rows[told_apart]),
    }


def _groups(answers: Answers, labels: Values) -> dict[str, Any]:
    return {name: _group_figures(answers.of(labels == name)) for name in group_names(labels)}


def _gaps(answers: Answers, labels: Values) -> dict[str, Any]:
    by_group = {name: per_face(answers.of(labels == name)) for name in group_names(labels)}
    found = {}
    for figure in COMPARED:
        values = {name: means[figure].values for name, means in by_group.items()}
        people = {name: subject_numbers(means[figure].rows) for name, means in by_group.items()}
        one = gap(values, people, greater_is_better=figure in SHARES)
        if one is not None:
            found[figure] = one
    return found


def _group_figures(answers: Answers) -> dict[str, Any]:
    means = per_face(answers)
    exact = ~np.isnan(answers.true)
    widths = None if answers.intervals is None else np.diff(answers.intervals, axis=1)
    return {
        "faces": len(answers.rows),
        "few": people_count(answers.rows) < FEW,
        **_age_figures(answers.age[exact], answers.true[exact]),
        **{name: float(means[name].values.mean()) if len(means[name].values) else None for name in SHARES},
        "interval_width": None if widths is None else float(widths.mean()),
        **_distribution_figures(answers.of(exact)),
        "gender_auc": _gender_auc(answers),
        "one_off": _one_off(answers.of(~exact)),
        "epsilon": _epsilon(answers),
        "uncertainty": {
            name: list(mean_interval(one.values, subjects=subject_numbers(one.rows)))
            for name, one in means.items()
            if people_count(one.rows) > 1
        },
    }


def _age_figures(age: Values, true: Values) -> dict[str, float | None]:
    if not len(age):
        return dict.fromkeys(("mae", "mse", "rmse", "bias", "cs5"))
    return {
        "mae": metrics.mae(age, true),
        "mse": metrics.mse(age, true),
        "rmse": metrics.rmse(age, true),
        "bias": metrics.bias(age, true),
        "cs5": metrics.cumulative_score(age, true, 5),
    }


def _distribution_figures(known: Answers) -> dict[str, Any]:
    """Scores of whole distributions, by faces of exact ages."""
    if known.age_probs is None or not len(known.age):
        return dict.fromkeys(("crps", "nll", "emd", "at_least"))
    probs, true = known.age_probs, known.true
    return {
        "crps": metrics.crps(probs, true),
        "nll": metrics.negative_log_likelihood(probs, true),
        "emd": metrics.earth_movers_distance(probs, true),
        "at_least": {str(age): _at_least(probs, true, age) for age in LEGAL},
    }


def _curve(answers: Answers) -> list[float] | None:
    exact = ~np.isnan(answers.true)
    return metrics.cumulative_scores(answers.age[exact], answers.true[exact]).tolist() if exact.any() else None


def _gender_auc(answers: Answers) -> float | None:
    labelled = answers.rows["gender"].notna().to_numpy()
    if answers.female is None or answers.rows["gender"].nunique() < 2:
        return None
    return metrics.auc(answers.female[labelled], (answers.rows["gender"] == "female").to_numpy()[labelled])


def _one_off(banded: Answers) -> float | None:
    placed = banded.bands.of(banded.bands.labelled >= 0)
    return metrics.relaxed_accuracy(placed.likeliest, placed.labelled) if len(placed.labelled) else None


def _epsilon(answers: Answers) -> float | None:
    spread = answers.rows["apparent_std"].to_numpy(dtype=np.float64)
    judged = ~np.isnan(spread) & (spread > 0)
    if not judged.any():
        return None
    apparent = answers.rows["apparent_age"].to_numpy(dtype=np.float64)[judged]
    return metrics.epsilon_error(answers.age[judged], apparent, spread[judged])


def _at_least(probs: Values, true: Values, age: int) -> dict[str, float]:
    shares, happened = ages.prob_at_least(probs, age), true >= age
    return {
        "brier": metrics.brier(shares, happened),
        "calibration_error": metrics.calibration_error(shares, happened),
    }


def _within(intervals: Values, true: Values) -> Values:
    """An age beyond the axis counts as its end, and so does an interval's."""
    intervals, true = (np.clip(values, 0, ages.MAX_AGE) for values in (intervals, true))
    return ((intervals[:, 0] <= true) & (true <= intervals[:, 1])).astype(float)


def _in_band(age: Values, rows: pd.DataFrame) -> Values:
    years = np.rint(age)
    low, high = (rows[end].to_numpy(dtype=np.float64) for end in ("age_low", "age_high"))
    return ((low <= years) & (years <= high)).astype(float)
