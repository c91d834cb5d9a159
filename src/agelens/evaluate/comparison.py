"""Several models on the same faces: whose errors are smaller, and whether other faces would say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agelens import ages
from agelens.evaluate.bootstrap import mean_interval
from agelens.evaluate.evaluation import Predictions
from agelens.evaluate.figures import figures_of_all, subject_numbers

__all__ = ["compare"]


def compare(answers: Mapping[str, tuple[Predictions, ages.Mass]]) -> dict[str, Any]:
    """Figures of each model, and how far its errors lie from the first one's, JSON-ready.

    Args:
        answers: by the models' names, what each said of the same rows, and the mass of its intervals.

    Returns:
        For each name ``all``, see ``figures``, and ``against_first``: ``years`` by which its mean absolute error is
        larger than the first one's, with ``interval``, 95 %, of pairs: the two errors on a face, or a person's faces,
        stay together. It is None for the first, and where no face has an exact age.

    Raises:
        ValueError: there are no answers, or they are of different faces.
    """
    if not answers or len({len(found.rows) for found, _ in answers.values()}) > 1:
        raise ValueError("wanted one model or more, and the answers of all to the same faces")
    first = next(iter(answers.values()))[0]
    compared = {}
    for name, (found, mass) in answers.items():
        against = None if found is first else _difference(found, first)
        compared[name] = {"all": figures_of_all(found, mass), "against_first": against}
    return compared


def _difference(found: Predictions, first: Predictions) -> dict[str, Any] | None:
    exact = ~np.isnan(first.true_age)
    if not exact.any():
        return None
    ours, theirs = (np.abs(one.age - first.true_age)[exact] for one in (found, first))
    people = subject_numbers(first.rows["subject"][exact])
    return {
        "years": float((ours - theirs).mean()),
        "interval": list(mean_interval(ours - theirs, subjects=people)),
    }
