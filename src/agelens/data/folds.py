"""The folds of a cross-validation: of each, which samples are learnt from, which choose, and which judge."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.data.grouping import middle_age
from agelens.data.manifest import Manifest
from agelens.data.splits import TooFewGroupsError, assign_folds
from agelens.errors import DataError

__all__ = ["FoldParts", "fold_parts", "folds_of", "hold_back"]


class FoldParts(NamedTuple):
    """Places of a manifest's kept rows: ``test`` is the fold; ``val``, a share of the others, is drawn by seed."""

    train: npt.NDArray[np.int64]
    val: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


def folds_of(rows: pd.DataFrame, count: int | None = None, seed: int = 0) -> npt.NDArray[np.int32]:
    """The number of each row's fold, (N,): the manifest's own, or new ones, counted from 0.

    Args:
        rows: a manifest's kept rows.
        count: of new folds, whole groups in each, stratified by decade of age; None for those of the manifest.
        seed: of new ones.

    Raises:
        DataError: the manifest has none, or not of all rows, or there are too few people or pictures for so many.
    """
    if count is not None:
        try:
            return assign_folds(middle_age(rows), _groups(rows), folds=count, seed=seed)
        except TooFewGroupsError as error:
            raise DataError(str(error)) from error
    known = rows["fold"].notna()
    if not known.all() or rows["fold"].nunique() < 2:
        some = "one fold only" if known.all() else f"{int((~known).sum())} of {len(rows)} faces in no fold"
        found = some if known.any() else "no folds"
        raise DataError(f"the manifest has {found}; give how many to make, as --folds 5, or split it: agelens split")
    return rows["fold"].to_numpy(dtype=np.int32)


def fold_parts(
    rows: pd.DataFrame, folds: npt.NDArray[np.int32], fold: int, *, val_share: float, seed: int
) -> FoldParts:
    """What is learnt from and judged by when a fold is held back.

    Args:
        rows: a manifest's kept rows.
        folds: of each, as ``folds_of`` gives them.
        fold: the one that is held back.
        val_share: of the others, held back to choose by; above 0 and below 1.
        seed: of that choice.

    Raises:
        DataError: there is nobody in one of the parts.
    """
    test, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
    held_back = _drawn(_groups(rows)[rest], val_share, seed)
    parts = FoldParts(rest[~held_back], rest[held_back], test)
    for name, places in parts._asdict().items():
        if not len(places):
            raise DataError(f"fold {fold}: no face for {name} of {len(rows)}; take fewer folds or another share")
    return parts


def hold_back(manifest: Manifest, fold: int, count: int | None, val_share: float, seed: int) -> Manifest:
    """A manifest whose split "test" is a fold, and whose "val" and "train" are the others; see ``fold_parts``.

    Raises:
        DataError: there is no such fold, or nobody in one of the parts.
    """
    table = manifest.table.copy()
    kept = np.flatnonzero(table["removed"].isna().to_numpy())
    rows = table.iloc[kept]
    folds = folds_of(rows, count)
    if fold not in folds:
        raise DataError(f"{manifest.folder}: no fold {fold}; there are {', '.join(map(str, np.unique(folds)))}")
    splits = table["split"].to_numpy(dtype=object, copy=True)
    for name, places in fold_parts(rows, folds, fold, val_share=val_share, seed=seed)._asdict().items():
        splits[kept[places]] = name
    table["split"] = splits
    return replace(manifest, table=table)


def _drawn(groups: npt.NDArray[np.int32], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Whole groups at random until the share is reached: (N,)."""
    names, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.concatenate([[0], counts[order].cumsum()[:-1]])
    chosen = np.zeros(len(names), dtype=bool)
    chosen[order[before < share * len(groups)]] = True
    return chosen[places]


def _groups(rows: pd.DataFrame) -> npt.NDArray[np.int32]:
    """Those of the manifest; who has none is in one of their own."""
    groups = rows["group"].to_numpy(dtype=np.float64, copy=True)
    alone = np.isnan(groups)
    groups[alone] = (0 if alone.all() else np.nanmax(groups)) + 1 + np.arange(alone.sum())
    return groups.astype(np.int32)
