"""Some of a manifest's rows, with the numbers that they have in it."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from agelens.errors import DataError

__all__ = ["Where", "select_rows"]

Where = Literal["all", "kept", "removed", "train", "val", "test"]


def select_rows(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    """All rows, those that were kept, those that were removed, or the kept ones of a split; the index stays.

    Raises:
        DataError: there is no such row.
    """
    if where == "all":
        return table
    kept = table["removed"].isna()
    parts = {
        "kept": kept,
        "removed": ~kept,
        **{split: kept & (table["split"] == split) for split in ("train", "val", "test")},
    }
    if not parts[where].any():
        there = ", ".join(f"{rows.sum()} {name}" for name, rows in parts.items() if rows.any())
        raise DataError(f"no row is {where!r}; the manifest has {there or 'no rows'}")
    return table[parts[where]]
