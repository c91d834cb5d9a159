"""What a source tells of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture of a data set.

    Attributes:
        path: the picture.
        age: years, or None when unknown.
        gender: "male" or "female" as the data set labels it, or None.
        race: as the data set names it, or None.
        subject: who it is, or None when the data set does not say.
        fault: why the sample cannot be used ("no age", "bad label"), or None.
    """

    path: Path
    age: float | None = None
    gender: str | None = None
    race: str | None = None
    subject: str | None = None
    fault: str | None = None
