"""Pictures in folders named by their age, ``train/25/a.jpg`` and ``test/25/b.jpg``, or ``25/a.jpg`` without a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agelens.data.sources.labels import BadLabelError, read_split, shown, whole_age
from agelens.data.sources.names import label_pictures
from agelens.data.sources.sample import Options, Sample, Source

__all__ = ["AGE_FOLDERS"]

LAYOUT: Final = "<age>/<name>.jpg, as 25/a.jpg or 025/a.jpg, or the same within train/, val/ and test/"


def _read(folder: Path, options: Options) -> Iterator[Sample]:
    def label(file: Path) -> Sample:
        above = file.relative_to(folder).parts[:-1]
        if not 1 <= len(above) <= 2:
            raise BadLabelError(f"it lies in {shown('/'.join(above) or '.')}; wanted <age>/ or <split>/<age>/")
        split = read_split(above[0]) if len(above) == 2 else None
        return Sample(file, age=whole_age(above[-1]), split=split)

    return label_pictures("age-folders", folder, LAYOUT, label)


AGE_FOLDERS: Final = Source(
    read=_read,
    layout=LAYOUT,
    labels="age, split",
    terms="those of your data",
    home="",
)
