"""``agelens split``: a manifest with new splits and folds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.cli.console import note, print_table, progress_bar
from agelens.cli.manifest_files import note_leaks
from agelens.data.columns import SPLITS
from agelens.data.decades import DECADES, decade_of
from agelens.data.grouping import SplitPlan, middle_age
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.moving import check_new, manifest_file
from agelens.data.resplit import read_names, split_anew, write_elsewhere
from agelens.errors import ConfigError

__all__ = ["split"]

VAL_SHARE = 0.1

Share = Annotated[float, Parameter(validator=Number(gte=0, lte=0.5))]
ShareOrNone = Annotated[float | None, Parameter(validator=Number(gte=0, lte=0.5))]


def split(
    manifest: Path,
    /,
    *,
    out: Path,
    val_share: ShareOrNone = None,
    test_share: Share = 0.0,
    val_list: Path | None = None,
    folds: Annotated[int | None, Parameter(validator=Number(gte=2, lte=100))] = None,
    val_fold: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    keep_official: bool | None = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=2**32))] = 0,
) -> None:
    """Split a manifest anew, by shares, by a list, or by folds.

    Near-duplicates, and pictures of one person, fall into the same split and fold. The manifest itself is not changed:
    the new one is written elsewhere. Written into another folder, it has its crops there too, as links where that is
    possible.

    Example:  agelens split crops/utkface --out crops/folds --folds 5

    Example:  agelens split crops/folds --out crops/fold2 --val-fold 2

    Parameters
    ----------
    manifest
        manifest.parquet, or the folder that agelens prepare wrote.
    out
        The manifest to write, FILE.parquet, or a folder for it.
    val_share
        Share of the faces held back for validation; 0.1 by default.
    test_share
        Share of the faces held back for the test.
    val_list
        A text file with the names of the pictures to hold back for validation, one a line, instead of a share.
    folds
        Number the samples for cross-validation with so many folds; those that the manifest has by default.
    val_fold
        Hold back this fold for validation, counted from 0, and train on the others, but for what is "test".
    keep_official
        Keep the splits that the manifest has, and make only what they lack; by default with --val-fold.
    seed
        The same seed gives the same split.
    """
    chosen = {"--val-share": val_share, "--val-list": val_list, "--val-fold": val_fold}
    given = [name for name, value in chosen.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} both say what validation is done on; give one of them")
    check_new(manifest_file(out))
    known = read_manifest(manifest)
    plan = SplitPlan(
        val_share=(VAL_SHARE if val_share is None else val_share) if val_fold is None else 0.0,
        test_share=test_share,
        folds=folds,
        seed=seed,
        val_names=None if val_list is None else read_names(val_list),
        keep_official=val_fold is not None if keep_official is None else keep_official,
    )
    made = split_anew(known, plan, val_fold)
    with progress_bar("linking crops") as advance:
        target = write_elsewhere(made, out, advance)
    _report(made)
    note(f"wrote {target}")
    note_leaks(made)


def _report(manifest: Manifest) -> None:
    """Print how many samples of each decade are in each split and fold."""
    kept = manifest.table[manifest.table["removed"].isna()]
    decades = decade_of(middle_age(kept))
    there = np.unique(decades)
    parts = {name: kept["split"] == name for name in SPLITS}
    parts |= {f"fold {int(fold)}": kept["fold"].eq(fold) for fold in sorted(kept["fold"].dropna().unique())}
    columns = {"faces": "left", "all": "right", **{DECADES[number]: "right" for number in there}}
    print_table(columns, [_row(name, rows, decades, there) for name, rows in parts.items() if rows.any()])


def _row(name: str, rows: pd.Series[bool], decades: np.ndarray, there: np.ndarray) -> list[str]:
    chosen = decades[rows.fillna(False).to_numpy(dtype=bool)]
    return [name, str(len(chosen)), *(str((chosen == number).sum()) for number in there)]
