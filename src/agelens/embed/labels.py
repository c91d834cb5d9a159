"""What is known of the faces whose vectors are learnt from, as tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from agelens import ages
from agelens.data.grouping import middle_age, year_ends
from agelens.train.dataset import gender_codes

__all__ = ["Labels", "labels_of"]


class Labels(NamedTuple):
    """Of N faces.

    Attributes:
        age: (N,) float32 years, NaN where only a band is known.
        low, high: (N,) float32, first and last whole year of the band, or the age.
        middle: (N,) float32 years, the age or the middle of the band.
        gender: (N,) int64, ``dataset.NO_GENDER`` if unknown.
    """

    age: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    middle: torch.Tensor
    gender: torch.Tensor

    def of(self, places: torch.Tensor) -> Labels:
        """Those of some faces, by their places, of any shape."""
        return Labels._make(one[places] for one in self)


def labels_of(rows: pd.DataFrame) -> Labels:
    """The labels of a manifest's rows."""
    low, high = year_ends(rows)
    age = np.clip(rows["age"].to_numpy(dtype=np.float32), 0, ages.MAX_AGE)
    middle = np.clip(middle_age(rows), 0, ages.MAX_AGE)
    years = (torch.from_numpy(np.array(one, dtype=np.float32)) for one in (age, low, high, middle))
    return Labels._make([*years, torch.from_numpy(gender_codes(rows["gender"]))])
