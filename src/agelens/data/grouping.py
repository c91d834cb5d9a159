"""Which samples belong together, and on which side of a split they fall."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.ages import MAX_AGE
from agelens.data.duplicates import join_groups, near_pairs, pack_hashes
from agelens.data.splits import TooFewGroupsError, assign_folds, assign_split
from agelens.errors import DataError

__all__ = ["SplitPlan", "assign_splits", "group_samples", "middle_age", "year_ends"]


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How samples are split.

    Raises:
        DataError: a share or the number of folds cannot be.

    Attributes:
        val_share: share of the samples for validation, 0…0.5.
        test_share: share for the test, 0…0.5.
        folds: for cross-validation; None: those of the data set, if it has any.
        seed: the same seed gives the same split.
        val_names: names or paths of the originals that are held back, instead of a share; None: a share is.
        keep_official: a split that the data set itself has is kept.
    """

    val_share: float = 0.1
    test_share: float = 0.0
    folds: int | None = None
    seed: int = 0
    val_names: frozenset[str] | None = None
    keep_official: bool = True

    def __post_init__(self) -> None:
        if not (self.val_share >= 0 and self.test_share >= 0 and self.val_share + self.test_share <= 0.8):
            raise DataError(
                f"shares of {self.val_share} and {self.test_share} for validation and test; "
                "they must be 0 or more, and together at most 0.8"
            )
        if self.folds is not None and self.folds < 2:
            raise DataError(f"{self.folds} folds; at least 2 are needed")


def middle_age(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The age of each sample, or the middle of its band: (N,) years, NaN where neither is known."""
    middle = (table["age_low"] + table["age_high"]) / 2
    return table["age"].fillna(middle).to_numpy(dtype=np.float64)


def year_ends(table: pd.DataFrame) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The first and the last year that each sample may have, (N,) each on the axis of 0 to 100.

    Both are the rounded age where that is known, else the ends of the band.
    """
    exact = np.rint(np.clip(table["age"].to_numpy(dtype=np.float32), 0, MAX_AGE))
    bands = (np.clip(table[end].to_numpy(dtype=np.float32), 0, MAX_AGE) for end in ("age_low", "age_high"))
    low, high = (np.where(np.isnan(exact), ends, exact).astype(np.float32) for ends in bands)
    return low, high


def group_samples(table: pd.DataFrame) -> npt.NDArray[np.int32]:
    """Number the samples so that copies of a picture and pictures of a subject share a number.

    Args:
        table: samples that were kept, with ``phash``, ``digest``, ``dataset`` and ``subject``.

    Returns:
        (N,) int32, counted from 0 in the order of first appearance.
    """
    count = len(table)
    firsts, seconds = [], []
    hashed = np.flatnonzero(table["phash"].notna())
    for first, second, _ in near_pairs(pack_hashes(table["phash"].iloc[hashed].tolist())):
        firsts.append(hashed[first])
        seconds.append(hashed[second])
    digest, dataset, (subject, names) = (pd.factorize(table[name]) for name in ("digest", "dataset", "subject"))
    # a subject is one within its data set
    for codes in (digest[0], np.where(subject < 0, -1, dataset[0] * len(names) + subject)):
        first, second = _same(codes)
        firsts.append(first)
        seconds.append(second)
    return join_groups(count, np.concatenate(firsts), np.concatenate(seconds))


def _same(codes: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Each sample with the next one of the same code; a code below 0 is none."""
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    same = codes[order[1:]] == codes[order[:-1]]
    return order[:-1][same], order[1:][same]


def assign_splits(table: pd.DataFrame, plan: SplitPlan) -> None:
    """Fill in ``group``, ``split`` and ``fold`` of the samples that were kept; those removed have none.

    A split or folds that the data set itself has are kept; where it has no validation part, one is taken from its
    training part. Where there are too few groups to hold any back, all are "train".

    Args:
        table: samples with ages, ``phash``, ``digest``, ``dataset``, ``subject``, ``removed``, and the data set's own
            ``split`` and ``fold``; changed in place.
        plan: shares, folds and seed.

    Raises:
        DataError: there are fewer groups than folds, or no name of ``val_names`` is in the table.
    """
    stays = table["removed"].isna().to_numpy()
    kept = table[stays]
    groups, ages = group_samples(kept), middle_age(kept)
    try:
        fold = kept["fold"] if plan.folds is None else assign_folds(ages, groups, folds=plan.folds, seed=plan.seed)
    except ValueError as error:
        raise DataError(str(error)) from error
    found = {"group": groups, "split": _split(kept, ages, groups, plan), "fold": fold}
    for name, values in found.items():
        column = np.full(len(table), None, dtype=object)
        column[stays] = values
        table[name] = pd.Series(column, index=table.index) if name == "split" else pd.array(column, dtype="Int32")


def _split(table: pd.DataFrame, ages: Any, groups: npt.NDArray[np.int32], plan: SplitPlan) -> Any:
    official = table["split"] if plan.keep_official else pd.Series([None] * len(table), dtype=object)
    split = official.fillna("train").to_numpy(dtype=object, copy=True)
    if plan.val_names is not None:
        return np.where(_named(table, plan.val_names), "val", split).astype(object)
    train = split == "train"
    if "val" in split or plan.val_share + plan.test_share == 0 or not train.any():
        return split
    # a test part that the data set has is the test part
    test_share = 0.0 if "test" in split else plan.test_share
    try:
        split[train] = assign_split(
            ages[train], groups[train], val_share=plan.val_share, test_share=test_share, seed=plan.seed
        )
    except TooFewGroupsError:
        return split
    except ValueError as error:
        raise DataError(str(error)) from error
    return split


def _named(table: pd.DataFrame, names: frozenset[str]) -> Any:
    paths = table["source_path"]
    listed = paths.isin(names) | paths.map(lambda path: PurePosixPath(path).name).isin(names)
    if not listed.any():
        raise DataError(
            f"none of the {len(names)} names to hold back is in the data set; wanted such as {paths.iloc[0]}"
        )
    return listed.to_numpy(dtype=bool)
