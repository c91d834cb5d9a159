"""What a source tells of one picture, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agelens.data.reasons import Reason

__all__ = ["FaceRule", "Options", "Sample", "Source"]

Options = Mapping[str, str]

# Which face of several is meant: the main one, large and near the middle; or none, so that the picture is left out.
FaceRule = Literal["main", "only"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture of a data set.

    Attributes:
        path: the picture, there or not; the table itself for a row that names none.
        age: years, or None when unknown or known as a band only.
        age_low: the first year of the band, or None.
        age_high: the last year of the band, or None; the band holds both ends.
        apparent_age: mean of what people guessed, in years, or None.
        apparent_std: spread of their guesses, in years, or None.
        gender: "male" or "female" as the data set labels it, or None.
        race: as the data set names it, or None.
        subject: who it is, or None when the data set does not say.
        split: "train", "val" or "test" where the data set says so, or None.
        fold: the data set's own fold, counted from 0, or None.
        fault: why the sample cannot be used, or None.
        detail: what is wrong, in a few words, where the fault alone does not say it.
    """

    path: Path
    age: float | None = None
    age_low: float | None = None
    age_high: float | None = None
    apparent_age: float | None = None
    apparent_std: float | None = None
    gender: str | None = None
    race: str | None = None
    subject: str | None = None
    split: str | None = None
    fold: int | None = None
    fault: Reason | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A public data set, or a layout that many share.

    Attributes:
        read: yields the samples of a folder, always in the same order; raises DataError when the folder is laid out
            in another way. It takes the folder and the options given, all of them in ``options``.
        layout: what the folder looks like, in one line.
        labels: what is known of each picture.
        terms: under which the data may be used.
        home: where to get it.
        options: what can be set, and what it means.
        faces: which face of several is meant.
        min_score: faces with a lower detector score (0…1) are removed, as published for this data set.
        needs_gender: samples without a gender are removed, as published for this data set.
    """

    read: Callable[[Path, Options], Iterator[Sample]]
    layout: str
    labels: str
    terms: str
    home: str
    options: Options = field(default_factory=dict)
    faces: FaceRule = "main"
    min_score: float = 0.0
    needs_gender: bool = False
