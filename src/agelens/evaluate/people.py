"""Whom faces are of, where a data set says so: people are one within it, and their pictures tell less than others'."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["effective_count", "people_count", "subject_numbers"]


def subject_numbers(rows: pd.DataFrame) -> npt.NDArray[Any] | None:
    """A number for each person of a manifest's rows, who is one within a data set; None where each face is another's.

    Faces of nobody known are each another's.
    """
    named = rows["subject"].notna() & (rows["subject"] != "")
    codes = rows[named].groupby(["dataset", "subject"], dropna=False).ngroup().to_numpy()
    if len(np.unique(codes)) == len(codes):
        return None
    numbers = len(rows) + np.arange(len(rows))
    numbers[named.to_numpy()] = codes
    return numbers


def people_count(rows: pd.DataFrame) -> int:
    """How many people a manifest's rows are of."""
    numbers = subject_numbers(rows)
    return len(rows) if numbers is None else len(np.unique(numbers))


def effective_count(rows: pd.DataFrame) -> float:
    """How many people with a face each tell as much as a manifest's rows, where a person's faces all tell the same.

    With m faces of each person ``(Σm)² / Σm²``: the number of people where they have as many faces each, fewer else.

    Source: Kish, "Survey sampling", 1965.
    """
    numbers = subject_numbers(rows)
    if numbers is None:
        return float(len(rows))
    faces = np.unique(numbers, return_counts=True)[1].astype(np.float64)
    return float(faces.sum() ** 2 / np.square(faces).sum())
