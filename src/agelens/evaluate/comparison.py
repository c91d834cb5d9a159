"""Several models on the same faces: which is nearer, and whether other faces would say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agelens.errors import DataError
from agelens.evaluate.answers import Answers
from agelens.evaluate.bootstrap import mean_interval
from agelens.evaluate.figures import COMPARED, Share, figures, per_face
from agelens.evaluate.people import people_count, subject_numbers

__all__ = ["compare"]


def compare(said: Mapping[str, Answers], level: float) -> dict[str, dict[str, Any]]:
    """Figures of each model on the faces that all of them answered, and how far its errors lie from the first one's.

    Args:
        said: by the models' names, what each said of the same rows.
        level: that the intervals claim.

    Returns:
        For each name what ``figures`` gives, JSON-ready; there ``unanswered`` counts the faces that this model said
        nothing of, and all figures are of those that have an answer of every model. Beside it ``against_first``, None
        for the first: by figure, of "mae", "gender_accuracy" and "band_accuracy" those that both can tell, the
        ``difference`` from the first one's, and its ``interval``, 95 %, of pairs: the two answers to a face, or a
        person's faces, stay together. That is None where all faces are one person's.

    Raises:
        DataError: no face has an answer of every model.
        ValueError: there are no answers, or they are of different faces.
    """
    if not said or len({len(one.rows) for one in said.values()}) > 1:
        raise ValueError("wanted one model or more, and the answers of all to the same faces")
    common = np.logical_and.reduce([one.known for one in said.values()])
    if not common.any():
        raise DataError(f"none of {len(common)} faces has an answer of each of: {', '.join(said)}")
    parts = {name: one.of(common) for name, one in said.items()}
    first = next(iter(parts.values()))
    return {
        name: {
            **figures(one, level, crossings=True),
            "unanswered": int((~said[name].known).sum()),
            "against_first": None if one is first else _differences(one, first),
        }
        for name, one in parts.items()
    }


def _differences(found: Answers, first: Answers) -> dict[str, Any]:
    ours, theirs = per_face(found), per_face(first)
    return {name: _difference(ours[name], theirs[name]) for name in COMPARED if _told_by_both(ours[name], theirs[name])}


def _told_by_both(ours: Share, theirs: Share) -> bool:
    """A model tells a figure of all faces that it answered, or of none."""
    return 0 < len(ours.values) == len(theirs.values)


def _difference(ours: Share, theirs: Share) -> dict[str, Any]:
    apart = ours.values - theirs.values
    alone = people_count(ours.rows) < 2
    return {
        "difference": float(apart.mean()),
        "interval": None if alone else list(mean_interval(apart, subjects=subject_numbers(ours.rows))),
    }
