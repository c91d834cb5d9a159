"""IMDB-WIKI: pictures of well-known people, with ages from the day of birth and the year of the photo.

Source: Rothe, Timofte, Van Gool, "Deep expectation of real and apparent age from a single image without facial
landmarks", IJCV 2018. The labels were gathered by programs, so many are wrong. Only the photo's year is known: it is
taken to be of mid-year, as its authors do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Final

from agelens.data.reasons import Reason
from agelens.data.sources.folders import inside, no_layout
from agelens.data.sources.labels import BadLabelError
from agelens.data.sources.mat_struct import Fields, read_struct
from agelens.data.sources.sample import Options, Sample, Source
from agelens.errors import DataError

__all__ = ["IMDB", "WIKI"]

LAYOUT: Final = "{0}.mat beside the folders of pictures, 00/ to 99/, here or in {0}/ or {0}_crop/"
NUMBERS: Final = ("dob", "photo_taken", "gender", "face_score", "second_face_score")
OLDEST: Final = 100
# MATLAB counts days from the year 0, Python from the year 1
DAYS_BEFORE_PYTHON: Final = 366
GENDERS: Final = {0.0: "female", 1.0: "male"}


def _reader(name: str) -> Callable[[Path, Options], Iterator[Sample]]:
    numbers = (*NUMBERS, "celeb_id") if name == "imdb" else NUMBERS
    texts = ("full_path",) if name == "imdb" else ("full_path", "name")

    def read(folder: Path, options: Options) -> Iterator[Sample]:
        file = _find(name, folder)
        fields = read_struct(file, name, numbers, texts)
        base = file.parent.relative_to(folder).as_posix()
        for index in range(len(fields.texts["full_path"])):
            yield _sample(folder, file, base, fields, index)

    return read


def _find(name: str, folder: Path) -> Path:
    places = [folder / place / f"{name}.mat" for place in ("", name, f"{name}_crop")]
    files = [file for file in places if file.is_file()]
    if not files:
        raise no_layout(name, folder, LAYOUT.format(name))
    if len(files) > 1:
        raise DataError(f"{folder}: holds {' and '.join(map(str, files))}; name the folder of one of them")
    return files[0]


def _sample(folder: Path, file: Path, base: str, fields: Fields, index: int) -> Sample:
    numbers = {name: float(values[index]) for name, values in fields.numbers.items()}
    path = file
    try:
        path = inside(folder, base, fields.texts["full_path"][index])
        age = _age(numbers["dob"], numbers["photo_taken"])
    except BadLabelError as problem:
        return Sample(path, fault=Reason.BAD_LABEL, detail=str(problem))
    return Sample(
        path,
        age=age,
        gender=GENDERS.get(numbers["gender"]),
        subject=_subject(fields, index),
        fault=_fault(age, numbers["face_score"], numbers["second_face_score"]),
    )


def _age(birthday: float, taken: float) -> float | None:
    try:
        born = date.fromordinal(int(birthday) - DAYS_BEFORE_PYTHON)
        age = int(taken) - born.year - (born.month > 6)
    except (ValueError, OverflowError):  # no date at all: NaN, infinite, or out of the calendar
        return None
    if not 0 <= age <= OLDEST:
        raise BadLabelError(f"age {age}")
    return float(age)


def _subject(fields: Fields, index: int) -> str | None:
    if "name" in fields.texts:
        return fields.texts["name"][index].strip() or None
    number = fields.numbers["celeb_id"][index]
    return str(int(number)) if math.isfinite(number) else None


def _fault(age: float | None, score: float, second: float) -> Reason | None:
    if age is None:
        return Reason.NO_AGE
    if not math.isfinite(score):
        return Reason.NO_FACE
    return None if math.isnan(second) else Reason.MORE_FACES


def _source(name: str) -> Source:
    return Source(
        read=_reader(name),
        layout=LAYOUT.format(name),
        labels="age 0-100, gender, subject",
        terms="academic research",
        home="https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/",
        faces="only",
        min_score=0.9,
        needs_gender=True,
    )


IMDB: Final = _source("imdb")
WIKI: Final = _source("wiki")
