"""Splits that do not leak: near-duplicates fall on the same side."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

__all__ = ["assign_split", "group_duplicates", "thumbprint"]

# Side of the grey thumbnail by which crops are compared, and the correlation from which two are one picture.
# Chosen by eye on UTKFace's closest pairs: from 0.95 up all are one photo, re-encoded or cut again; below 0.94 most are
# different people.
THUMB_SIDE: Final = 24
SAME_PICTURE: Final = 0.95


def thumbprint(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What a crop looks like from afar: (H, W, 3) uint8 → (576,) float32 of mean 0 and length 1."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMB_SIDE, THUMB_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), dtype=np.float32)


def group_duplicates(thumbprints: npt.NDArray[np.float32], threshold: float = SAME_PICTURE) -> npt.NDArray[np.int32]:
    """Number the pictures so that those which correlate above ``threshold``, directly or in a chain, share a number.

    Args:
        thumbprints: (N, D), rows of length 1.
        threshold: correlation, within -1…1.

    Returns:
        (N,) int32, counted from 0 in the order of first appearance.
    """
    count = len(thumbprints)
    firsts, seconds = [np.arange(count)], [np.arange(count)]
    for start in range(0, count, 2048):  # a stripe at a time: memory grows with N, not N²
        close = thumbprints[start : start + 2048] @ thumbprints.T > threshold
        rows, columns = np.nonzero(close)
        firsts.append(rows + start)
        seconds.append(columns)
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    graph = coo_matrix((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.int32)


def assign_split(
    ages: npt.NDArray[np.floating[Any]], groups: npt.NDArray[np.int32], *, val_share: float, seed: int
) -> npt.NDArray[np.str_]:
    """Which samples are "train" and which "val": stratified by decade of age, whole groups on one side.

    Args:
        ages: (N,) years.
        groups: (N,) numbers; samples that share one stay together.
        val_share: share of the samples to hold back, above 0 and at most 0.5; met to within a fortieth.
        seed: the same seed gives the same split.

    Returns:
        (N,) strings.

    Raises:
        ValueError: ``val_share`` is out of its range, or there are too few groups to split.
    """
    if not 0 < val_share <= 0.5:
        raise ValueError(f"val_share is {val_share}; it must be above 0 and at most 0.5")
    parts = round(1 / val_share)
    if abs(1 / parts - val_share) > 0.01:  # not one part in n: several of twenty
        parts = 20
    if len(np.unique(groups)) < parts:
        raise ValueError(f"{len(np.unique(groups))} different pictures cannot be split into {parts} parts")
    decades = np.minimum(ages // 10, 9).astype(int)
    counts = np.bincount(decades)
    decades[counts[decades] < parts] = counts.argmax()  # too few to be in every part: stratified with the commonest
    folds = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    split = np.full(len(ages), "train")
    for _, held_back in islice(folds.split(np.zeros(len(ages)), decades, groups), round(val_share * parts)):
        split[held_back] = "val"
    return split
