"""Files that are copies of each other, byte by byte, and what becomes of them."""

from __future__ import annotations

import pandas as pd

from agelens.data.reasons import Reason

__all__ = ["labels_conflict", "remove_copies"]


def labels_conflict(samples: pd.DataFrame) -> bool:
    """Whether samples of one picture differ in age, band or gender, where these are known."""
    return any(samples[name].dropna().nunique() > 1 for name in ("age", "age_low", "age_high", "gender"))


def remove_copies(table: pd.DataFrame, by: str) -> pd.Series[str]:
    """The column ``removed`` once copies have gone: the first of each stays, none where their labels conflict.

    Args:
        table: samples with ages, ``gender``, ``removed`` and ``by``.
        by: the column that copies share: "digest", or "source_path" for a picture that is listed twice.
    """
    removed = table["removed"].astype(object).copy()
    kept = table[table["removed"].isna() & table[by].notna()]
    copies = kept[kept[by].duplicated(keep=False)]
    for _, samples in copies.groupby(by, sort=False):
        if labels_conflict(samples):
            removed[samples.index] = str(Reason.CONFLICT)
        else:
            removed[samples.index[1:]] = str(Reason.DUPLICATE)
    return removed
