"""A model as reports speak of it: its answers, its name and terms, and what its intervals held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agelens import ages
from agelens.card import Card
from agelens.data.decades import DECADES, decade_of
from agelens.evaluate.answers import Answers, answers_of
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.metrics import coverage

__all__ = ["LEVEL", "Reported", "held_by_level", "reported"]

LEVEL: Final = 0.9  # of the intervals that figures speak of
LEAST: Final = 100  # faces of a decade whose coverage is told by itself


@dataclass(frozen=True, slots=True, eq=False)
class Reported:
    """A model's answers, and what a report says of the model itself.

    Attributes:
        name: what the model is called.
        answers: to at least one face.
        terms: under which it may be used; empty where they are not known.
        held: what its intervals held by level, see ``held_by_level``; empty of a model that has none.
    """

    name: str
    answers: Answers
    terms: str = ""
    held: Mapping[float, Mapping[str, float | None]] = field(default_factory=dict)


def reported(predictions: Predictions, card: Card, name: str = "") -> Reported:
    """A bundle's answers with 90 % intervals, under a name or the card's own.

    Raises:
        ValueError: the bundle has no such intervals.
    """
    answers = answers_of(predictions, card.interval_mass(LEVEL))
    return Reported(name or card.name, answers, card.terms, held_by_level(predictions, card))


def held_by_level(predictions: Predictions, card: Card) -> dict[float, dict[str, float | None]]:
    """For each level of a bundle: ``coverage`` of faces with exact ages, of the ``worst`` decade, and mean ``width``.

    Decades of fewer than a hundred faces are not looked at by themselves; ``worst`` is None where all are such. Empty
    where no face has an exact age.
    """
    exact = ~np.isnan(predictions.true_age)
    probs, true = predictions.age_probs[exact], np.clip(predictions.true_age[exact], 0, ages.MAX_AGE)
    decades = decade_of(true)
    large = [decades == place for place in range(len(DECADES)) if (decades == place).sum() >= LEAST]
    held: dict[float, dict[str, float | None]] = {}
    for level in sorted(map(float, card.interval_masses)) if len(true) else ():
        intervals = ages.interval(probs, card.interval_mass(level))
        held[level] = {
            "coverage": coverage(intervals, true),
            "worst": min((coverage(intervals[one], true[one]) for one in large), default=None),
            "width": float(np.diff(intervals, axis=1).mean()),
        }
    return held
