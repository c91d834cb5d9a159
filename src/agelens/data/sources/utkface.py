"""UTKFace: ``<age>_<gender>_<race>_<timestamp>.jpg``, with or without ``.chip`` before the suffix.

Source: Zhang, Song, Qi, "Age progression/regression by conditional adversarial autoencoder", CVPR 2017. A few names
lack a field; the age, which always comes first, is still good.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agelens.data.sources.labels import BadLabelError, whole_age
from agelens.data.sources.names import label_pictures
from agelens.data.sources.sample import Options, Sample, Source

__all__ = ["UTKFACE"]

GENDERS: Final = {"0": "male", "1": "female"}
RACES: Final = {"0": "White", "1": "Black", "2": "Asian", "3": "Indian", "4": "Other"}
OLDEST: Final = 122
LAYOUT: Final = "<age>_<gender>_<race>_<timestamp>.jpg, as 26_1_0_20170116184024662.jpg.chip.jpg"


def _read(folder: Path, options: Options) -> Iterator[Sample]:
    return label_pictures("utkface", folder, LAYOUT, _label)


def _label(file: Path) -> Sample:
    fields = file.name.split(".")[0].split("_")
    if len(fields) < 2:
        raise BadLabelError("the name does not start with an age and a gender")
    # A complete name has four fields. In a shorter one the time stamp follows the gender, or even the age.
    labels = fields[1:-1]
    gender = GENDERS.get(labels[0]) if labels else None
    race = RACES.get(labels[1]) if len(labels) > 1 else None
    return Sample(file, age=whole_age(fields[0], most=OLDEST), gender=gender, race=race)


UTKFACE: Final = Source(
    read=_read,
    layout=LAYOUT,
    labels="age 0-116, gender, five races",
    terms="non-commercial research",
    home="https://susanqq.github.io/UTKFace/",
)
