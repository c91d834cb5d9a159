"""Splits that do not leak: what belongs together falls on the same side."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

__all__ = ["TooFewGroupsError", "assign_folds", "assign_split"]

Ages = npt.NDArray[np.floating[Any]]
Groups = npt.NDArray[np.int32]

# A share that is not one part in n is made of so many parts.
FINE_PARTS: Final = 20


class TooFewGroupsError(ValueError):
    """There are fewer groups than parts to make of them."""


def assign_folds(ages: Ages, groups: Groups, *, folds: int, seed: int) -> npt.NDArray[np.int32]:
    """Which fold each sample is held back in: stratified by decade of age, whole groups in one fold.

    Args:
        ages: (N,) years; the middle of a band where only that is known.
        groups: (N,) numbers; samples that share one stay together.
        folds: how many, at least 2.
        seed: the same seed gives the same folds.

    Returns:
        (N,) int32, 0…folds-1.

    Raises:
        TooFewGroupsError: there are fewer groups than folds.
        ValueError: ``folds`` is below 2.
    """
    if folds < 2:
        raise ValueError(f"{folds} folds; at least 2 are needed")
    found = len(np.unique(groups))
    if found < folds:
        raise TooFewGroupsError(f"{found} different pictures or people cannot be split into {folds} parts")
    decades = np.minimum(ages // 10, 9).astype(int)
    counts = np.bincount(decades)
    decades[counts[decades] < folds] = counts.argmax()  # too few to be in every part: stratified with the commonest
    parts = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold = np.zeros(len(ages), dtype=np.int32)
    for number, (_, held_back) in enumerate(parts.split(np.zeros(len(ages)), decades, groups)):
        fold[held_back] = number
    return fold


def assign_split(
    ages: Ages, groups: Groups, *, val_share: float, test_share: float = 0.0, seed: int
) -> npt.NDArray[np.str_]:
    """Which samples are "train", "val" and "test": stratified by decade of age, whole groups on one side.

    Args:
        ages: (N,) years; the middle of a band where only that is known.
        groups: (N,) numbers; samples that share one stay together.
        val_share: share of the samples to hold back for validation; met to within a fortieth.
        test_share: share to hold back for the test, likewise. Together above 0 and at most 0.8.
        seed: the same seed gives the same split.

    Returns:
        (N,) strings.

    Raises:
        TooFewGroupsError: there are too few groups to hold any back.
        ValueError: a share is out of its range.
    """
    if min(val_share, test_share) < 0 or not 0 < val_share + test_share <= 0.8:
        raise ValueError(f"shares of {val_share} and {test_share}; together they must be above 0 and at most 0.8")
    parts = _parts(val_share, test_share)
    fold = assign_folds(ages, groups, folds=parts, seed=seed)
    val = round(val_share * parts)
    held_back = val + round(test_share * parts)
    return np.where(fold < val, "val", np.where(fold < held_back, "test", "train"))


def _parts(*shares: float) -> int:
    """The fewest equal parts of which every share is a whole number, to within a hundredth."""
    for parts in range(2, FINE_PARTS):
        if all(abs(round(share * parts) / parts - share) <= 0.01 for share in shares):
            return parts
    return FINE_PARTS
