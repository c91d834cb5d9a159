"""FairFace: a table a split, ``fairface_label_train.csv`` and ``fairface_label_val.csv``, and the pictures they name.

Source: Karkkainen, Joo, "FairFace: face attribute dataset for balanced race, gender, and age", WACV 2021: 108,501
pictures of seven races in like numbers, with ages in nine bands.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from agelens.data.sources.bands import read_band
from agelens.data.sources.folders import inside, no_layout
from agelens.data.sources.labels import read_gender
from agelens.data.sources.sample import Options, Sample, Source
from agelens.data.sources.tables import Cells, label_rows, open_table

__all__ = ["FAIRFACE"]

LAYOUT: Final = "fairface_label_train.csv or fairface_label_val.csv, and train/1.jpg, val/1.jpg"
TABLES: Final = {"train": "fairface_label_train.csv", "val": "fairface_label_val.csv"}
COLUMNS: Final = ("file", "age", "gender", "race")


def _read(folder: Path, options: Options) -> Iterator[Sample]:
    files = {split: folder / name for split, name in TABLES.items() if (folder / name).is_file()}
    if not files:
        raise no_layout("fairface", folder, LAYOUT)
    tables = {split: open_table(file, *COLUMNS) for split, file in files.items()}
    for split, table in tables.items():
        yield from label_rows(table, lambda cells: inside(folder, "", cells["file"]), partial(_label, split))


def _label(split: str, path: Path, cells: Cells) -> Sample:
    low, high = read_band(cells["age"])
    gender = read_gender(cells["gender"])
    return Sample(path, age_low=low, age_high=high, gender=gender, race=cells["race"] or None, split=split)


FAIRFACE: Final = Source(
    read=_read,
    layout=LAYOUT,
    labels="nine age bands, gender, seven races, split",
    terms="CC BY 4.0",
    home="https://github.com/joojs/fairface",
)
