"""Several models on the same faces: whose errors are smaller, and whether other faces would say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agelens.errors import DataError
from agelens.evaluate.answers import Answers
from agelens.evaluate.bootstrap import mean_interval
from agelens.evaluate.figures import figures, subject_numbers

__all__ = ["compare"]


def compare(said: Mapping[str, Answers], level: float) -> dict[str, dict[str, Any]]:
    """Figures of each model on the faces that all of them answered, and how far its errors lie from the first one's.

    Args:
        said: by the models' names, what each said of the same rows.
        level: that the intervals claim.

    Returns:
        For each name what ``figures`` gives, JSON-ready; there ``unanswered`` counts the faces that this model said
        nothing of, and all figures are of those that have an answer of every model. Beside it ``against_first``:
        ``years`` by which its mean absolute error is larger than the first one's, with ``interval``, 95 %, of pairs:
        the two errors on a face, or a person's faces, stay together. It is None for the first, and where no face has an
        exact age.

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
            "against_first": None if one is first else _difference(one, first),
        }
        for name, one in parts.items()
    }


def _difference(found: Answers, first: Answers) -> dict[str, Any] | None:
    exact = ~np.isnan(first.true)
    if not exact.any():
        return None
    ours, theirs = (np.abs(one.age - first.true)[exact] for one in (found, first))
    people = subject_numbers(first.rows[exact])
    return {
        "years": float((ours - theirs).mean()),
        "interval": list(mean_interval(ours - theirs, subjects=people)),
    }
