"""Crops as files of their own, with a table of their labels, for other programs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

import pandas as pd
import pyarrow as pa

from agelens.data.crops import read_bytes
from agelens.data.csv_file import flat_table, write_csv
from agelens.data.manifest import Manifest
from agelens.data.moving import Progress
from agelens.errors import OutputError
from agelens.files import atomic_path, make_folder
from agelens.images import SUFFIXES

__all__ = ["LABELS_NAME", "unpack"]

LABELS_NAME: Final = "labels.csv"


def unpack(manifest: Manifest, rows: pd.DataFrame, out: Path, progress: Progress = lambda done, total: None) -> Path:
    """Write crops as files, their bytes as stored, and then ``labels.csv``, one line a crop; returns the latter.

    A file's name is the number of its row in the manifest, since other names are a data set's, and may be hostile. The
    columns of ``labels.csv`` are ``file``, ``row``, and those of ``csv_file.flat_table`` but for the crop's old place.

    Args:
        manifest: of the rows.
        rows: that were kept, with the index of the manifest's table.
        out: a folder that is new or empty.
        progress: called with the number of crops done and their total.

    Raises:
        DataError: a crop cannot be read, or there are vectors.
        OutputError: the folder cannot be written, or holds something.
    """
    manifest.check_crops()
    make_folder(out)
    if any(out.iterdir()):
        raise OutputError(f"{out}: is not empty; choose a new folder")
    digits = len(str(len(manifest.table) - 1))
    names = []
    places = rows[["path", "offset", "length"]].itertuples()
    for done, (number, path, offset, length) in enumerate(places, start=1):
        names.append(f"{number:0{digits}}{_suffix(path)}")
        data = read_bytes(manifest.folder, path, offset, length)
        with atomic_path(out / names[-1]) as temporary:
            temporary.write_bytes(data)
        progress(done, len(rows))
    labels = flat_table(rows).drop_columns(["path", "offset", "length"])
    labels = labels.add_column(0, "row", pa.array(rows.index)).add_column(0, "file", pa.array(names))
    write_csv(labels, out / LABELS_NAME)
    return out / LABELS_NAME


def _suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if suffix in SUFFIXES else ".jpg"  # those in a pack are JPEG
