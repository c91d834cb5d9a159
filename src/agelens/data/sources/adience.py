"""Adience: five tables, one a fold, and the faces they name, upright (``aligned/``) or only cut out (``faces/``).

Source: Eidinger, Enbar, Hassner, "Age and gender estimation of unfiltered faces", TIFS 2014. A fold holds the pictures
of its own people. Some rows have a single age, or a band beside the eight that published results count; such a one is
moved to the nearest of the eight, as results on this data set have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from agelens.data.reasons import Reason
from agelens.data.sources.bands import nearest_band, read_band
from agelens.data.sources.folders import choice, inside, no_layout
from agelens.data.sources.labels import BadLabelError, read_gender
from agelens.data.sources.sample import Options, Sample, Source
from agelens.data.sources.tables import Cells, label_rows, open_table

__all__ = ["ADIENCE"]

LAYOUT: Final = "fold_0_data.txt to fold_4_data.txt, and aligned/<user_id>/*.jpg or faces/<user_id>/*.jpg"
FOLDS: Final = range(5)
PREFIXES: Final = {"aligned": "landmark_aligned_face", "faces": "coarse_tilt_aligned_face"}
NAMED_BY: Final = ("user_id", "face_id", "original_image")
BANDS: Final = ((0, 2), (4, 6), (8, 12), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100))


def _read(folder: Path, options: Options) -> Iterator[Sample]:
    wanted = choice(options, "pictures", tuple(PREFIXES))
    kind = next((kind for kind in PREFIXES if wanted in (None, kind) and (folder / kind).is_dir()), None)
    files = {fold: folder / f"fold_{fold}_data.txt" for fold in FOLDS}
    files = {fold: file for fold, file in files.items() if file.is_file()}
    if kind is None or not files:
        raise no_layout("adience", folder, LAYOUT)
    tables = {fold: open_table(file, *NAMED_BY, "age", "gender", delimiter="\t") for fold, file in files.items()}
    for fold, table in tables.items():
        yield from label_rows(table, partial(_picture, folder, kind), partial(_label, fold))


def _picture(folder: Path, kind: str, cells: Cells) -> Path:
    user, face, image = (cells[name] for name in NAMED_BY)
    if not (user and face and image):
        raise BadLabelError("no user_id, face_id or original_image")
    return inside(folder, kind, f"{user}/{PREFIXES[kind]}.{face}.{image}")


def _label(fold: int, path: Path, cells: Cells) -> Sample:
    gender = read_gender(cells["gender"])
    if cells["age"] in ("", "None"):
        return Sample(path, gender=gender, subject=cells["user_id"], fold=fold, fault=Reason.NO_AGE)
    low, high = nearest_band(read_band(cells["age"]), BANDS)
    return Sample(path, age_low=low, age_high=high, gender=gender, subject=cells["user_id"], fold=fold)


ADIENCE: Final = Source(
    read=_read,
    layout=LAYOUT,
    labels="eight age bands, gender, subject, fold",
    terms="research",
    home="https://talhassner.github.io/home/projects/Adience/Adience-data.html",
    options={"pictures": "aligned or faces; without it aligned, and faces where that folder is not there"},
    faces="only",
    min_score=0.9,
    needs_gender=True,
)
