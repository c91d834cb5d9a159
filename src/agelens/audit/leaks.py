"""Photos and people in more than one split or fold: put together again."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.audit.labels import subject_key
from agelens.audit.photos import Photos
from agelens.data.duplicates import join_groups

__all__ = ["close_leaks"]

HOME: Final = "train"


def close_leaks(table: pd.DataFrame, rows: pd.Index[Any], photos: Photos) -> None:
    """Put what shows one photo or one person into one split and one fold.

    What lies in several splits goes to "train"; what lies in several folds to the fold of its first sample.

    Args:
        table: of a manifest; ``split``, ``fold`` and ``detail`` of samples that are not removed are changed in place.
        rows: those of ``photos``.
        photos: which samples show one photo.
    """
    stays = table.loc[rows, "removed"].isna().to_numpy()
    kept = table.loc[rows[stays]]
    codes, _ = pd.factorize(subject_key(kept))
    together = _join(photos.photo[stays], codes)
    for name in ("split", "fold"):
        numbers = pd.Series(together, index=kept.index)
        parted = kept[name][kept[name].groupby(numbers).transform("nunique") > 1].dropna()
        for _, group in parted.groupby(numbers[parted.index]):
            home = HOME if name == "split" else group.iloc[0]
            for row, value in group[group != home].items():
                said = f"moved from {name} {_text(value)}"
                table.loc[row, "detail"] = "; ".join([*table.loc[[row], "detail"].dropna(), said])
                table.loc[row, name] = home


def _join(photo: npt.NDArray[np.int64], subject: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """Numbers that samples of one photo or one subject (-1: nobody) share."""
    firsts, seconds = [], []
    for codes in (photo, subject):
        order = np.argsort(codes, kind="stable")
        order = order[codes[order] >= 0]
        same = codes[order[1:]] == codes[order[:-1]]
        firsts.append(order[:-1][same])
        seconds.append(order[1:][same])
    return join_groups(len(photo), np.concatenate(firsts), np.concatenate(seconds))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
