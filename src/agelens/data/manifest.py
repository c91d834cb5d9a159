"""The manifest: one table of samples, whatever data set they come from, as parquet.

A row is one face. ``removed`` holds the reason why a sample was left out, and is null for those that stay; paths of
crops are relative to the manifest's folder, so that folder and manifest move together.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agelens.errors import DataError
from agelens.faces.align import CropSpec
from agelens.files import atomic_path

__all__ = ["COLUMNS", "GENDERS", "Manifest", "read_manifest", "write_manifest"]

# Gender as the data sets label it: perceived, two values. The order is that of every model's output.
GENDERS: Final = ("male", "female")

COLUMNS: Final = pa.schema(
    [
        ("path", pa.string()),  # the crop, relative to the manifest; null when it was removed
        ("source_path", pa.string()),  # the original, relative to the data set's folder
        ("dataset", pa.string()),
        ("age", pa.float32()),  # years; null when only a band is known
        ("age_low", pa.float32()),  # the band, both ends within it
        ("age_high", pa.float32()),
        ("gender", pa.string()),  # one of GENDERS, or null
        ("race", pa.string()),
        ("subject", pa.string()),
        ("group", pa.int32()),  # near-duplicates share one
        ("split", pa.string()),  # train or val; null when it was removed
        ("box", pa.list_(pa.float32(), 4)),  # in pixels of the original
        ("landmarks", pa.list_(pa.float32(), 10)),
        ("score", pa.float32()),
        ("removed", pa.string()),
    ]
)


class Manifest:
    """A table of samples and the spec by which their crops were cut.

    Attributes:
        table: a DataFrame with the columns of ``COLUMNS``.
        crop: size, margin and template of the stored crops.
        folder: where the crops' paths start from.
    """

    def __init__(self, table: pd.DataFrame, crop: CropSpec, folder: Path) -> None:
        """Take the parts as they are; ``read_manifest`` checks what comes from a file."""
        self.table = table
        self.crop = crop
        self.folder = folder

    def split(self, name: str, *, exact_age: bool = False) -> pd.DataFrame:
        """The samples of one split ("train", "val"), or all that were kept ("all"), in the manifest's order.

        Raises:
            DataError: there is none; or ``exact_age`` is wanted, and a sample has a band only.
        """
        kept = self.table[self.table["removed"].isna()]
        rows = kept if name == "all" else kept[kept["split"] == name]
        if rows.empty:
            known = ", ".join(sorted(kept["split"].dropna().unique())) or "none"
            raise DataError(f"{self.folder}: no samples in split {name!r}; the manifest has: {known}, all")
        bands = int(rows["age"].isna().sum())
        if exact_age and bands:
            raise DataError(f"{self.folder}: {bands} samples of {name!r} have an age band, but exact ages are needed")
        return rows.reset_index(drop=True)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as parquet, the crop spec in its metadata; the old file stays until the new one is whole.

    Raises:
        OutputError: the file cannot be written.
    """
    table = pa.Table.from_pandas(manifest.table, schema=COLUMNS, preserve_index=False)
    table = table.replace_schema_metadata({"agelens.crop": json.dumps(asdict(manifest.crop))})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, or the ``manifest.parquet`` of a folder, and check it.

    Raises:
        DataError: the file is missing, is no manifest, or holds values that cannot be.
    """
    try:
        if path.is_dir():
            path = path / "manifest.parquet"
        if not path.is_file():
            raise DataError(f"{path}: no such manifest; make one with: agelens prepare")
        table = pq.read_table(path)
        crop = CropSpec(**json.loads((table.schema.metadata or {})[b"agelens.crop"]))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a manifest of agelens ({error}); make one with: agelens prepare") from error
    missing = [name for name in COLUMNS.names if name not in table.schema.names]
    if missing:
        raise DataError(f"{path}: columns are missing: {', '.join(missing)}; make it again with: agelens prepare")
    try:
        frame = table.select(COLUMNS.names).cast(COLUMNS).to_pandas()
    except pa.ArrowException as error:
        raise DataError(f"{path}: a column has another type: {error}") from error
    _check(frame, path)
    return Manifest(frame, crop, path.parent)


def _check(frame: pd.DataFrame, path: Path) -> None:
    kept = frame[frame["removed"].isna()]
    faults = {
        "no crop path": kept["path"].isna() | (kept["path"] == ""),
        "a path outside the manifest's folder": kept["path"].map(_leaves_folder),
        "neither age nor band": kept["age"].isna() & (kept["age_low"].isna() | kept["age_high"].isna()),
        "an age outside 0…130": (kept["age"] < 0) | (kept["age"] > 130) | np.isinf(kept["age"]),
        "a band that ends before it starts": kept["age_low"] > kept["age_high"],
        "an unknown gender": ~(kept["gender"].isin(GENDERS) | kept["gender"].isna()),
        "a crop path used twice": kept["path"].duplicated(keep=False),
    }
    found = [f"{name} in rows {_rows(rows)}" for name, rows in faults.items() if rows.any()]
    if found:
        raise DataError(f"{path}: {'; '.join(found)}")


def _leaves_folder(path: Any) -> bool:
    return isinstance(path, str) and (Path(path).is_absolute() or ".." in Path(path).parts)


def _rows(faulty: pd.Series[bool]) -> str:
    numbers = [str(number) for number in faulty.index[faulty]]
    return ", ".join(numbers[:10]) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
