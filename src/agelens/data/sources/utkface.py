"""UTKFace: ``<age>_<gender>_<race>_<timestamp>.jpg``, with or without ``.chip`` before the suffix.

Terms: non-commercial research. Source: Zhang, Song, Qi, "Age progression/regression by conditional adversarial
autoencoder", CVPR 2017. A few names lack a field; the age, which always comes first, is still good.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agelens.data.sources.sample import Sample
from agelens.errors import DataError
from agelens.images import SUFFIXES

__all__ = ["read_utkface"]

GENDERS: Final = {"0": "male", "1": "female"}
RACES: Final = {"0": "White", "1": "Black", "2": "Asian", "3": "Indian", "4": "Other"}
OLDEST: Final = 122


def read_utkface(folder: Path) -> Iterator[Sample]:
    """Samples of UTKFace in a folder or the folders below it, sorted by path.

    Raises:
        DataError: no file has a name of this layout.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    samples = [_sample(file) for file in files]
    if all(sample.fault for sample in samples):
        example = files[0].name if files else "nothing"
        raise DataError(f"{folder}: no UTKFace; wanted names like 26_1_0_20170116184024662.jpg, found {example}")
    yield from samples


def _sample(file: Path) -> Sample:
    fields = file.name.split(".")[0].split("_")
    if len(fields) < 2 or not fields[0].isdecimal() or int(fields[0]) > OLDEST:
        return Sample(file, fault="bad label")
    # A complete name has four fields. In a shorter one the time stamp follows the gender, or even the age.
    labels = fields[1:-1]
    gender = GENDERS.get(labels[0]) if labels else None
    race = RACES.get(labels[1]) if len(labels) > 1 else None
    return Sample(file, age=float(fields[0]), gender=gender, race=race)
