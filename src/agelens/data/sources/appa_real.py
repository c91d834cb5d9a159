"""APPA-REAL: a table a split, ``gt_avg_train.csv`` and so on, with real ages and what some 38 people guessed.

Source: Agustsson and others, "Apparent and real age estimation in still images with deep residual regressors on
APPA-REAL database", FG 2017. Beside every picture lies the face that its authors cut out and turned upright.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from agelens.data.reasons import Reason
from agelens.data.sources.folders import choice, inside, no_layout
from agelens.data.sources.labels import BadLabelError, read_number
from agelens.data.sources.sample import Options, Sample, Source
from agelens.data.sources.tables import Cells, label_rows, open_table

__all__ = ["APPA_REAL"]

LAYOUT: Final = "gt_avg_train.csv, gt_avg_valid.csv or gt_avg_test.csv, and train/000000.jpg, valid/*.jpg, test/*.jpg"
SPLITS: Final = {"train": "train", "valid": "val", "test": "test"}
COLUMNS: Final = ("file_name", "apparent_age_avg", "apparent_age_std", "real_age")
ENDINGS: Final = {"full": "", "face": "_face.jpg"}


def _read(folder: Path, options: Options) -> Iterator[Sample]:
    ending = ENDINGS[choice(options, "pictures", tuple(ENDINGS)) or "full"]
    files = {part: folder / f"gt_avg_{part}.csv" for part in SPLITS}
    files = {part: file for part, file in files.items() if file.is_file()}
    if not files:
        raise no_layout("appa-real", folder, LAYOUT)
    tables = {part: open_table(file, *COLUMNS) for part, file in files.items()}
    for part, table in tables.items():
        yield from label_rows(table, partial(_picture, folder, part, ending), partial(_label, SPLITS[part]))


def _picture(folder: Path, part: str, ending: str, cells: Cells) -> Path:
    if not cells["file_name"]:
        raise BadLabelError("no file_name")
    return inside(folder, part, cells["file_name"] + ending)


def _label(split: str, path: Path, cells: Cells) -> Sample:
    age = read_number("real_age", cells["real_age"])
    return Sample(
        path,
        age=age,
        apparent_age=read_number("apparent_age_avg", cells["apparent_age_avg"]),
        apparent_std=read_number("apparent_age_std", cells["apparent_age_std"]),
        split=split,
        fault=Reason.NO_AGE if age is None else None,
    )


APPA_REAL: Final = Source(
    read=_read,
    layout=LAYOUT,
    labels="age 0-100, apparent age and its spread, split",
    terms="research",
    home="https://chalearnlap.cvc.uab.cat/dataset/26/description/",
    options={"pictures": "full (the picture, without it set) or face (the face cut out, 000000.jpg_face.jpg)"},
)
