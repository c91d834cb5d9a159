"""Why a sample was left out: the words that stand in a manifest's column ``removed``."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """Reasons for a removal, as published work on Adience, IMDB and WIKI counts them, and a few more."""

    MISSING = "missing file"
    UNREADABLE = "unreadable"
    BAD_LABEL = "bad label"
    NO_AGE = "no age"
    NO_GENDER = "no gender"
    NO_FACE = "no face"
    MORE_FACES = "more than one face"
    LOW_SCORE = "low detector score"
    DETECTOR_FAILED = "detector failed"
    DUPLICATE = "duplicate"
    CONFLICT = "conflicting labels"
    LIKELY_WRONG = "likely wrong label"
    BAD_CROP = "unreadable crop"
    NO_VECTOR = "no vector"
