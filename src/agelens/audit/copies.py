"""Copies: the same file or photo more than once, with the same or other labels, in one split or several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.audit.findings import Finding, Kind
from agelens.audit.photos import Photos
from agelens.data.columns import GENDERS

__all__ = ["find_copies", "find_leaks", "find_parted_subjects"]

# For the order in which conflicts are shown: two genders weigh as much as so many years.
GENDER_YEARS = 20.0


def find_copies(kept: pd.DataFrame, photos: Photos) -> Iterator[Finding]:
    """Exact and near duplicates, each group once, told apart by whether their labels agree.

    Args:
        kept: the samples that were not removed; the index counts the manifest's rows.
        photos: what they show.
    """
    labels = _labels(kept)
    for group in _groups(labels, photos.file):
        yield _exact(group)
    parts = pd.Series(photos.file).groupby(photos.photo).transform("nunique").to_numpy()
    several = parts > 1
    labels["file"] = photos.file
    for sort, values in photos.likeness.items():
        labels[f"by {sort}"] = values
    for group in _groups(labels[several], photos.photo[several]):
        yield _near(group)


def find_leaks(kept: pd.DataFrame, photos: Photos) -> Iterator[Finding]:
    """Photos of which copies lie in several splits or folds; arguments as ``find_copies``."""
    yield from _parted(kept, photos.photo, Kind.DUPLICATE_ACROSS, "one photo")


def find_parted_subjects(kept: pd.DataFrame, subjects: pd.Series[Any]) -> Iterator[Finding]:
    """Subjects whose pictures lie in several splits or folds.

    Args:
        kept: the samples that were not removed; the index counts the manifest's rows.
        subjects: who each shows, null where nobody says; see ``labels.subject_key``.
    """
    known = kept[subjects.notna().to_numpy()]
    codes, names = pd.factorize(subjects.dropna())
    for finding in _parted(known, codes, Kind.SUBJECT_ACROSS, "subject"):
        name = str(names[codes[known.index.get_loc(finding.rows[0])]]).rpartition("\0")[2]
        yield Finding(
            finding.kind, finding.rows, f"subject {name}{finding.what.removeprefix('subject')}", finding.score
        )


def _labels(kept: pd.DataFrame) -> pd.DataFrame:
    """The earliest and the latest age that each label allows, and its gender."""
    age = kept["age"]
    return pd.DataFrame(
        {
            "low": age.fillna(kept["age_low"]),
            # a band holds its last year to the end
            "high": age.fillna(kept["age_high"] + np.float32(0.999)),
            "gender": kept["gender"].where(kept["gender"].isin(GENDERS)),
            "said": age.map("{:g}".format).where(age.notna(), _bands(kept)),
        }
    )


def _bands(kept: pd.DataFrame) -> pd.Series[Any]:
    return kept["age_low"].map("{:g}".format) + "–" + kept["age_high"].map("{:g}".format)


def _groups(table: pd.DataFrame, codes: npt.NDArray[np.int64]) -> Iterator[pd.DataFrame]:
    """The rows that share a number, where several do, in the order of the first."""
    numbers = pd.Series(codes, index=table.index)
    repeated = numbers[numbers.duplicated(keep=False)]
    for _, rows in repeated.groupby(repeated, sort=False):
        yield table.loc[rows.index]


def _conflict(group: pd.DataFrame) -> tuple[str, float]:
    """What the labels disagree in, and by how much; empty when they agree."""
    years = float(group["low"].max() - group["high"].min())
    genders = group["gender"].dropna().unique()
    said = [f"age {', '.join(dict.fromkeys(group['said']))}"] if years > 0 else []
    said += [f"gender {', '.join(genders)}"] if len(genders) > 1 else []
    return " and ".join(said), (years if years > 0 else 0.0) + GENDER_YEARS * (len(genders) > 1)


def _exact(group: pd.DataFrame) -> Finding:
    conflict, weight = _conflict(group)
    rows, count = tuple(map(int, group.index)), len(group)
    if conflict:
        return Finding(Kind.CONFLICT_EXACT, rows, f"the same file {count} times, labelled {conflict}", weight)
    return Finding(Kind.EXACT, rows, f"the same file {count} times", float(count))


def _near(group: pd.DataFrame) -> Finding:
    conflict, weight = _conflict(group)
    rows = tuple(map(int, group.index))
    alike = group.filter(like="by ").iloc[0].dropna().round(3).astype(float).to_dict()
    how = "likeness " + ", ".join(f"{value:g} {sort}" for sort, value in alike.items())
    what = f"one photo in {group['file'].nunique()} files"
    details = {"likeness": {str(sort).removeprefix("by "): value for sort, value in alike.items()}}
    if conflict:
        return Finding(Kind.CONFLICT_NEAR, rows, f"{what}, labelled {conflict} ({how})", weight, details)
    return Finding(Kind.NEAR, rows, f"{what} ({how})", max(alike.values(), default=0.0), details)


def _parted(kept: pd.DataFrame, codes: npt.NDArray[Any], kind: Kind, what: str) -> Iterator[Finding]:
    """Groups of which not all lie in one split, or not all in one fold."""
    groups = pd.DataFrame({"split": kept["split"], "fold": kept["fold"], "code": codes})
    parted = (groups.groupby("code")[["split", "fold"]].transform("nunique") > 1).any(axis=1)
    for _, rows in groups[parted].groupby("code", sort=False):
        said = [
            f"{name}s {', '.join(f'{value:g}' if name == 'fold' else str(value) for value in found)}"
            for name in ("split", "fold")
            if len(found := rows[name].dropna().unique()) > 1
        ]
        yield Finding(kind, tuple(map(int, rows.index)), f"{what} lies in {' and '.join(said)}", float(len(rows)))
