"""A manifest's splits and folds made anew, its crops left as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from agelens.data.grouping import SplitPlan, assign_splits
from agelens.data.manifest import Manifest, write_manifest
from agelens.data.moving import Progress, check_new, crop_files, manifest_file, place_crops
from agelens.data.selection import select_rows
from agelens.errors import DataError
from agelens.files import make_folder, real_path

__all__ = ["read_names", "split_anew", "write_elsewhere"]


def read_names(path: Path) -> frozenset[str]:
    """The names in a text file, one a line.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a list of names ({error})") from error
    names = frozenset(line.strip() for line in lines if line.strip())
    if not names:
        raise DataError(f"{path}: holds no names; wanted one a line")
    return names


def split_anew(manifest: Manifest, plan: SplitPlan, val_fold: int | None = None) -> Manifest:
    """The same samples with new groups, splits and folds.

    Args:
        manifest: stays as it is.
        plan: shares, names or folds; with ``keep_official`` the splits that the manifest has are kept.
        val_fold: this fold becomes the split "val" and the others "train", but for what is "test"; None: no fold does.

    Raises:
        DataError: no sample was kept, there are too few groups for a share or the folds, or no such fold.
    """
    table = manifest.table.copy()
    select_rows(table, "kept")  # or there is nothing to split
    assign_splits(table, plan)
    kept = table["removed"].isna()
    if val_fold is not None:
        table.loc[kept & (table["split"] != "test"), "split"] = "train"
        table.loc[kept & (table["split"] != "test") & _in_fold(table, val_fold), "split"] = "val"
    _check_parts(table[kept], plan)
    return replace(manifest, table=table)


def _in_fold(table: pd.DataFrame, fold: int) -> pd.Series[bool]:
    there = sorted(table.loc[table["removed"].isna(), "fold"].dropna().unique())
    if not there:
        raise DataError(f"fold {fold} is wanted for validation, but the manifest has no folds; make them with --folds")
    if fold not in there:
        raise DataError(f"no fold {fold}; the manifest has folds {', '.join(str(int(one)) for one in there)}")
    return table["fold"].eq(fold).fillna(False).astype(bool)


def _check_parts(kept: pd.DataFrame, plan: SplitPlan) -> None:
    shares = {} if plan.val_names is not None else {"val": plan.val_share, "test": plan.test_share}
    for split, share in shares.items():
        if not share or (kept["split"] == split).any():
            continue
        if plan.keep_official and kept["split"].nunique() > 1:
            raise DataError(
                f"no share for {split!r} is taken from the manifest's own splits; let go of --keep-official"
            )
        raise DataError(
            f"{kept['group'].nunique()} different pictures or people are too few to hold back a share of {share:g} "
            f"for {split!r}; take a larger share, or fewer parts"
        )


def write_elsewhere(manifest: Manifest, out: Path, progress: Progress = lambda done, total: None) -> Path:
    """Write a manifest to another file or folder, with its crops linked or copied there, and return its path.

    Args:
        manifest: what is written.
        out: a file that ends in .parquet, or a folder.
        progress: called with the number of crop files done and their total.

    Raises:
        DataError: a crop file is missing.
        OutputError: the manifest is there already, or cannot be written.
    """
    target = manifest_file(out)
    check_new(target)
    folder = make_folder(target.parent)
    if real_path(folder) != real_path(manifest.folder):
        place_crops({folder / path: manifest.folder / path for path in crop_files(manifest)}, progress)
    write_manifest(manifest, target)
    return target
