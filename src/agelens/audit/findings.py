"""What an audit finds: kinds of faults, each with what it means and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

__all__ = ["ABOUT", "About", "Finding", "Kind", "Severity"]

# "error": results are wrong; "warning": results are probably worse; "note": good to know.
Severity = Literal["error", "warning", "note"]


class Kind(StrEnum):
    """The faults that an audit looks for, in the order in which they are reported."""

    CONFLICT_EXACT = "conflicting exact duplicate"
    CONFLICT_NEAR = "conflicting near duplicate"
    DUPLICATE_ACROSS = "duplicate across splits"
    SUBJECT_ACROSS = "subject across splits"
    IMPLAUSIBLE = "implausible label"
    BROKEN = "broken row"
    WRONG_AGE = "likely wrong age"
    WRONG_GENDER = "likely wrong gender"
    DOUBTFUL_AGE = "doubtful age"
    EXACT = "exact duplicate"
    NEAR = "near duplicate"
    DOUBTFUL_FACE = "doubtful face"
    BLANK = "blank picture"
    IMBALANCE = "class imbalance"


class About(NamedTuple):
    """How bad a kind of fault is, and what it means."""

    severity: Severity
    meaning: str


ABOUT: Final[Mapping[Kind, About]] = {
    Kind.CONFLICT_EXACT: About("error", "The same file with different labels: at least one of them is wrong."),
    Kind.CONFLICT_NEAR: About("error", "One photo, saved or cut anew, with different labels: one of them is wrong."),
    Kind.DUPLICATE_ACROSS: About("error", "One photo in two splits or folds: the model is tested on what it learnt."),
    Kind.SUBJECT_ACROSS: About("error", "One person in two splits or folds: the model may know the face, not the age."),
    Kind.IMPLAUSIBLE: About("error", "A label that cannot be."),
    Kind.BROKEN: About("error", "A row of the manifest, or a crop, that cannot be used."),
    Kind.WRONG_AGE: About("warning", "A model that did not learn this face finds its age very unlikely. Look at it."),
    Kind.WRONG_GENDER: About("warning", "A model that did not learn this face is sure of another gender. Look at it."),
    Kind.DOUBTFUL_AGE: About("warning", "People who guessed the age agree with each other, but not with the label."),
    Kind.EXACT: About("warning", "The same file more than once: it counts more than others, and nobody meant that."),
    Kind.NEAR: About("warning", "One photo, saved or cut anew: it counts more than others, and nobody meant that."),
    Kind.DOUBTFUL_FACE: About("note", "The detector was hardly sure that there is a face."),
    Kind.BLANK: About("warning", "A crop that shows next to nothing."),
    Kind.IMBALANCE: About("note", "Few samples of one sort: what a model does with them is learnt, and known, poorly."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Attributes:
        kind: of the fault.
        rows: the rows of the manifest concerned, counted from 0, rising; empty when it is the whole data set's.
        what: what is wrong, a sentence.
        score: the higher, the worse; comparable within a kind.
        details: figures behind the sentence, JSON-ready.
    """

    kind: Kind
    rows: tuple[int, ...]
    what: str
    score: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return ABOUT[self.kind].severity
