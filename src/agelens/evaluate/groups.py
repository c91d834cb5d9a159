"""Into which groups faces fall, and how far the best and the worst of a kind lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.data.decades import DECADES, decade_of
from agelens.data.grouping import middle_age
from agelens.evaluate.bootstrap import difference_interval

__all__ = ["CROSSED", "FEW", "KINDS", "gap", "group_labels", "group_names"]

Labels = npt.NDArray[np.object_]
KINDS: Final = ("gender", "race", "dataset")  # by their columns
THIRDS: Final = ("lowest scores", "middle scores", "highest scores")
CROSSED: Final = " × "
FEW: Final = 30  # people, below which a group's figures say little


def group_labels(rows: pd.DataFrame) -> dict[str, Labels]:
    """The group of each face by kind, None where that is not known: (N,) each; kinds with one group are left out.

    Kinds are the decade of age (of a band, its middle), gender, race and data set as labelled, the detector's score by
    thirds, and the crossings of decade, gender and race, whose groups are called as "20-29, female".
    """
    simple = {
        "decade": np.array([DECADES[place] for place in decade_of(middle_age(rows))], dtype=object),
        **{kind: _words(rows[kind]) for kind in KINDS},
    }
    crossings = {
        CROSSED.join(pair): _crossed(*(simple[kind] for kind in pair))
        for pair in combinations(("decade", "gender", "race"), 2)
    }
    labels = {**simple, "score": _thirds(rows["score"].to_numpy(dtype=np.float64)), **crossings}
    return {kind: named for kind, named in labels.items() if len(set(named[pd.notna(named)])) > 1}


def group_names(labels: Labels) -> list[str]:
    """The groups of a kind in the order of tables: scores from the lowest on, all others by the alphabet."""
    names = sorted(set(labels[pd.notna(labels)]))
    return sorted(names, key=lambda name: THIRDS.index(name) if name in THIRDS else 0)


def gap(
    values: Mapping[str, npt.NDArray[Any]],
    people: Mapping[str, npt.NDArray[Any] | None] | None = None,
    *,
    greater_is_better: bool = False,
) -> dict[str, Any] | None:
    """The groups with the best and the worst mean, of those with ``FEW`` people and more, JSON-ready.

    Args:
        values: one for each face, as its absolute error in years, or whether it was told right, by group.
        people: whom each is of, by group, see ``bootstrap.mean_interval``; somebody in both groups counts as two.
        greater_is_better: than less, as of shares.

    Returns:
        ``best``, ``worst``, the ``difference`` of their means, 0 or above, and its ``interval``, 95 %, of these two
        groups; as they were picked for it, that of two groups picked anew would be smaller. None where fewer than two
        count.
    """
    sign, people = -1 if greater_is_better else 1, people or {}
    counts = {name: _count(one, people.get(name)) for name, one in values.items()}
    means = {name: sign * float(one.mean()) for name, one in values.items() if counts[name] >= FEW}
    if len(means) < 2:
        return None
    best, worst = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    whom = (people.get(worst), people.get(best))
    return {
        "best": best,
        "worst": worst,
        "difference": means[worst] - means[best],
        "interval": list(difference_interval(sign * values[worst], sign * values[best], subjects=whom)),
    }


def _count(values: npt.NDArray[Any], people: npt.NDArray[Any] | None) -> int:
    return len(values if people is None else np.unique(people))


def _words(column: pd.Series[Any]) -> Labels:
    return np.array([str(one) if pd.notna(one) else None for one in column], dtype=object)


def _crossed(one: Labels, other: Labels) -> Labels:
    pairs = zip(one, other, strict=True)
    return np.array([None if None in pair else ", ".join(pair) for pair in pairs], dtype=object)


def _thirds(scores: npt.NDArray[np.float64]) -> Labels:
    """By rank; all None where scores are not told apart."""
    labels: Labels = np.full(len(scores), None, dtype=object)
    known = ~np.isnan(scores)
    if len(np.unique(scores[known])) < len(THIRDS):
        return labels
    ends = np.quantile(scores[known], [1 / 3, 2 / 3])
    labels[known] = np.array(THIRDS, dtype=object)[np.searchsorted(ends, scores[known])]
    return labels
