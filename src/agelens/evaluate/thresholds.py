"""Letting pass whoever looks old enough: at which estimated age, and how often that is wrong.

As in "Challenge 25": a person whose estimated age reaches the challenge age passes, all others are asked for a proof. A
*false pass* is somebody below the legal age who passes; a *false fail* somebody of age who is asked. Neither rate is a
property of a model alone: both are those of the faces that they were measured on.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta

from agelens.errors import DataError
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.groups import KINDS, group_labels, group_names
from agelens.evaluate.people import effective_count, subject_numbers

__all__ = [
    "LEGAL",
    "Sides",
    "choose_threshold",
    "crossfitted_rates",
    "group_rates",
    "rates",
    "sides",
    "threshold_curve",
    "threshold_figures",
    "thresholds",
]

Values = npt.NDArray[Any]
LEGAL: Final = (18, 21, 25)  # years: the legal ages that are told without being asked for
LEVEL: Final = 0.95
FOLDS: Final = 10
STEP: Final = 0.1  # years, in which challenge ages are told and so chosen
ROUNDING: Final = 1e-9
AROUND: Final = (8, 12)  # years below and above the legal age whose rates are told one by one


class Sides(NamedTuple):
    """Faces of which it is known whether they are of age.

    Attributes:
        legal: the age that must not be claimed falsely, in whole years.
        rows: the manifest's.
        age: (N,) estimated years.
        minor: (N,) booleans: below the legal age.
        unclear: further faces, left out, that may be on either side.
    """

    legal: int
    rows: pd.DataFrame
    age: Values
    minor: npt.NDArray[np.bool_]
    unclear: int = 0

    def of(self, chosen: Values) -> Sides:
        """Those of some faces: (N,) of booleans, or places."""
        rows = self.rows.iloc[np.arange(len(self.rows))[chosen]]
        return Sides(self.legal, rows, self.age[chosen], self.minor[chosen])


def sides(predictions: Predictions, legal: int, *, youngest: float = 0) -> Sides:
    """The faces whose age, or whole band, lies on one side of a legal age.

    Args:
        predictions: of at least one face.
        legal: years, 1…100.
        youngest: faces below this age are left out, as small children are told from adults by every model.

    Raises:
        DataError: there is nobody on one of the sides.
        ValueError: the legal age is outside 1…100, or nobody below it is old enough.
    """
    if not (1 <= legal <= 100 and 0 <= youngest < legal):
        raise ValueError(f"age {legal} and youngest {youngest:g}; wanted 1…100, and 0 or more but less than the age")
    rows = predictions.rows
    exact = rows["age"].to_numpy(dtype=np.float64)
    low, high = (rows[end].to_numpy(dtype=np.float64) for end in ("age_low", "age_high"))
    low, high = np.where(np.isnan(exact), low, exact), np.where(np.isnan(exact), high, exact)
    minor, adult = high < legal, low >= legal
    unclear = int((~minor & ~adult).sum())
    minor &= low >= youngest
    known = minor | adult
    below = f"{youngest:g} or over and below {legal}" if youngest else f"below {legal}"
    for name, side in ((below, minor), (f"{legal} and over", adult)):
        if not side.any():
            raise DataError(f"{len(rows)} faces, of whom none is known to be {name}; both kinds are needed")
    return Sides(legal, rows[known], predictions.age[known], minor[known], unclear)


def choose_threshold(faces: Sides, max_false_pass: float) -> float:
    """The lowest challenge age, in tenths of a year, at which a new minor passes no more often than is let through.

    Of n minors' estimated ages the ``⌈(n + 1)·(1 - share)⌉``-th smallest must not pass, as in split-conformal
    prediction; the challenge age is the next tenth of a year above it. Where people have several faces, the share is
    one of faces, and n is their effective number, see ``people.effective_count``.

    Args:
        faces: as ``sides`` gives them.
        max_false_pass: share of the minors, above 0 and below 1.

    Raises:
        DataError: there are too few minors to tell.
        ValueError: the share is out of its range.
    """
    if not 0 < max_false_pass < 1:
        raise ValueError(f"max_false_pass is {max_false_pass}; it must lie within 0…1, both excluded")
    minors = np.sort(faces.age[faces.minor])
    people = effective_count(faces.rows[faces.minor])
    wanted = math.ceil((people + 1) * (1 - max_false_pass) - ROUNDING)
    if wanted > people:
        needed = math.ceil(1 / max_false_pass) - 1
        one_in = f"one in {1 / max_false_pass:,.0f}"
        raise DataError(
            f"faces of {people:,.0f} people below {faces.legal}: too few to see that {one_in} passes; "
            f"at least {needed:,} are needed, or a larger share"
        )
    rank = min(len(minors), math.ceil(wanted * len(minors) / people - ROUNDING))
    above = (math.floor(minors[rank - 1] / STEP + ROUNDING) + 1) * STEP
    return round(float(above), 1)


def rates(faces: Sides, challenge: float) -> dict[str, Any]:
    """How often a challenge age is wrong, JSON-ready.

    ``false_pass`` and ``false_fail`` are None where nobody could be passed or failed falsely, else the share with
    ``faces`` that it is of and ``interval``, its exact 95 % interval; where people have several faces, that of the same
    share of their effective number, see ``people.effective_count``, as if all faces of a person told the same.

    Source: Clopper, Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", 1934;
    for a number of people in place of faces, Korn, Graubard, "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data", 1998.
    """
    passed, minor = faces.age >= challenge, faces.minor
    return {
        "false_pass": _share(passed[minor], effective_count(faces.rows[minor])),
        "false_fail": _share(~passed[~minor], effective_count(faces.rows[~minor])),
    }


def group_rates(faces: Sides, challenge: float) -> dict[str, dict[str, Any]]:
    """``rates`` by whole year of true age around the legal one, and by gender, race and data set, as labelled."""
    age = np.floor(faces.rows["age"].to_numpy(dtype=np.float64))
    near = (age >= faces.legal - AROUND[0]) & (age <= faces.legal + AROUND[1])
    groups = {"age": {str(int(year)): rates(faces.of(age == year), challenge) for year in np.unique(age[near])}}
    for kind, labels in group_labels(faces.rows).items():
        if kind in KINDS:
            groups[kind] = {name: rates(faces.of(labels == name), challenge) for name in group_names(labels)}
    return groups


def crossfitted_rates(faces: Sides, max_false_pass: float) -> dict[str, float] | None:
    """Rates of faces that a challenge age was not chosen on: each tenth of the people by what the other nine gave.

    Returns:
        ``false_pass`` and ``false_fail``, and ``lowest`` and ``highest`` of the ten challenge ages; None where nine
        tenths of the minors are too few to choose one.
    """
    passed = np.zeros(len(faces.age), dtype=bool)
    challenges = []
    for judge in _tenths(faces):
        fit = np.setdiff1d(np.arange(len(faces.age)), judge)
        try:
            challenges.append(choose_threshold(faces.of(fit), max_false_pass))
        except DataError:
            return None
        passed[judge] = faces.age[judge] >= challenges[-1]
    return {
        "false_pass": float(passed[faces.minor].mean()),
        "false_fail": float((~passed[~faces.minor]).mean()),
        "lowest": min(challenges),
        "highest": max(challenges),
    }


def threshold_figures(faces: Sides, challenge: float, max_false_pass: float) -> dict[str, Any]:
    """Everything that is told of a challenge age, JSON-ready: ``all``, ``not_chosen_on``, ``groups``, ``curve``.

    The curve has both rates at every half year from 0 to 100.
    """
    challenges = np.arange(0, 100.5, 0.5)
    shares = threshold_curve(faces, challenges).tolist()
    points = [
        {"challenge": at, "false_pass": passed, "false_fail": failed}
        for at, (passed, failed) in zip(challenges.tolist(), shares, strict=True)
    ]
    return {
        "challenge_age": challenge,
        "faces_left_out": faces.unclear,
        "all": rates(faces, challenge),
        "not_chosen_on": crossfitted_rates(faces, max_false_pass),
        "groups": group_rates(faces, challenge),
        "curve": points,
    }


def thresholds(predictions: Predictions, max_false_pass: float) -> dict[str, dict[str, float]]:
    """What a card says of the legal ages of ``LEGAL``, see ``Card.thresholds``.

    By faces of exact ages alone: where a band lies on both sides of a legal age, the hardest faces are of unknown side.
    Legal ages below which there are too few are left out.
    """
    exact = predictions.of(~np.isnan(predictions.true_age))
    found: dict[str, dict[str, float]] = {}
    for legal in LEGAL:
        try:
            faces = sides(exact, legal)
            challenge = choose_threshold(faces, max_false_pass)
        except DataError:
            continue
        found[str(legal)] = {"challenge_age": challenge, "max_false_pass": max_false_pass}
        fresh = crossfitted_rates(faces, max_false_pass)
        if fresh is not None:
            found[str(legal)] |= {name: round(fresh[name], 4) for name in ("false_pass", "false_fail")}
    return found


def threshold_curve(faces: Sides, challenges: Values) -> npt.NDArray[np.float64]:
    """Both rates at each of (C,) challenge ages: (C, 2), false pass and false fail."""
    minors, adults = np.sort(faces.age[faces.minor]), np.sort(faces.age[~faces.minor])
    passing = 1 - np.searchsorted(minors, challenges) / len(minors)
    return np.stack([passing, np.searchsorted(adults, challenges) / len(adults)], axis=1)


def _tenths(faces: Sides) -> list[Values]:
    """Places of ten parts, each with a tenth of the people who are minors on some face, and all faces of its people."""
    numbers = subject_numbers(faces.rows)
    people = np.arange(len(faces.age)) if numbers is None else np.unique(numbers, return_inverse=True)[1]
    minors = np.unique(people[faces.minor])
    order = np.random.default_rng(0).permutation(people.max() + 1)
    young = np.isin(order, minors)
    order = np.concatenate([order[young], order[~young]])
    part = np.empty(len(order), dtype=np.intp)
    part[order] = np.arange(len(order)) % FOLDS
    return [places for fold in range(FOLDS) if len(places := np.flatnonzero(part[people] == fold))]


def _share(wrong: npt.NDArray[np.bool_], people: float) -> dict[str, Any] | None:
    if not len(wrong):
        return None
    share = float(wrong.mean())
    return {"share": share, "faces": len(wrong), "interval": _exact_interval(share * people, people)}


def _exact_interval(count: float, total: float) -> list[float]:
    """Of a share, by Clopper and Pearson; the count need not be whole."""
    tail = (1 - LEVEL) / 2
    low = beta.ppf(tail, count, total - count + 1) if count > 0 else 0.0
    high = beta.ppf(1 - tail, count + 1, total - count) if count < total else 1.0
    return [float(low), float(high)]
