"""Data sets whose labels stand in the names of their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from agelens.data.reasons import Reason
from agelens.data.sources.folders import no_layout, pictures
from agelens.data.sources.labels import BadLabelError, read_gender, whole_age
from agelens.data.sources.sample import Options, Sample

__all__ = ["label_pictures", "label_stem", "read_stems"]

# Labels one picture by its path; raises BadLabelError when the name holds no labels.
Labeller = Callable[[Path], Sample]


def label_pictures(source: str, folder: Path, layout: str, label: Labeller) -> Iterator[Sample]:
    """Every picture in a folder and below it, sorted by path; a name without labels is a fault.

    Raises:
        DataError: no name at all has labels.
    """
    if all(_sample(file, label).fault for file in pictures(folder)):
        raise no_layout(source, folder, layout, pictures(folder))
    for file in pictures(folder):
        yield _sample(file, label)


def label_stem(file: Path, pattern: re.Pattern[str]) -> Sample:
    """A sample from the groups "age", and where the pattern has them "gender" and "subject", of a name without suffix.

    Raises:
        BadLabelError: the name does not match, or the age or gender cannot be.
    """
    match = pattern.fullmatch(file.stem)
    if match is None:
        raise BadLabelError("the name holds no labels")
    parts = match.groupdict(default="")
    gender = read_gender(parts.get("gender", ""))
    return Sample(file, age=whole_age(parts["age"]), gender=gender, subject=parts.get("subject") or None)


def read_stems(source: str, layout: str, pattern: re.Pattern[str]) -> Callable[[Path, Options], Iterator[Sample]]:
    """A source's ``read`` for names that one pattern describes, as ``label_stem`` takes it."""

    def read(folder: Path, options: Options) -> Iterator[Sample]:
        return label_pictures(source, folder, layout, lambda file: label_stem(file, pattern))

    return read


def _sample(file: Path, label: Labeller) -> Sample:
    try:
        return label(file)
    except BadLabelError as problem:
        return Sample(file, fault=Reason.BAD_LABEL, detail=str(problem))
