"""The manifest: one table of samples, whatever data set they come from, as parquet.

A row is one face. ``removed`` holds the reason why a sample was left out, and is null for those that stay; paths of
crops are relative to the manifest's folder, so that folder and manifest move together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agelens.data.checks import find_faults
from agelens.data.columns import COLUMNS
from agelens.data.crops import read_crop
from agelens.errors import DataError
from agelens.faces.align import CropSpec
from agelens.faces.embedder import EmbedderSpec
from agelens.files import atomic_path

__all__ = [
    "MANIFEST_NAME",
    "Manifest",
    "open_table",
    "read_embedder",
    "read_manifest",
    "write_batches",
    "write_manifest",
]

MANIFEST_NAME: Final = "manifest.parquet"
CROP_KEY: Final = b"agelens.crop"
EMBEDDER_KEY: Final = b"agelens.embedder"
# A table may come from anywhere; one that unpacks to more than this is not opened.
MAX_BYTES: Final = 16 * 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """A table of samples and the spec by which their crops were cut.

    Attributes:
        table: a DataFrame with the columns of ``COLUMNS``.
        crop: size, margin and template of the stored crops.
        folder: where the crops' paths start from.
        embedder: which the vectors come from that are stored in place of crops, see ``vectors``; None for crops.
    """

    table: pd.DataFrame
    crop: CropSpec
    folder: Path
    embedder: EmbedderSpec | None = None

    def split(self, name: str) -> pd.DataFrame:
        """The samples of one split ("train", "val", "test"), or all that were kept ("all"), in the manifest's order.

        Raises:
            DataError: there is none.
        """
        kept = self.table[self.table["removed"].isna()]
        rows = kept if name == "all" else kept[kept["split"] == name]
        if rows.empty:
            known = ", ".join(sorted(kept["split"].dropna().unique())) or "none"
            raise DataError(f"{self.folder}: no samples in split {name!r}; the manifest has: {known}, all")
        return rows.reset_index(drop=True)

    def read_crop(self, row: Mapping[str, Any] | pd.Series[Any]) -> npt.NDArray[np.uint8]:
        """The stored crop of a row that was kept: (size, size, 3) uint8, RGB.

        Raises:
            DataError: its file is missing, damaged, or of another size than the manifest says; or there are vectors.
        """
        self.check_crops()
        crop = read_crop(self.folder, row["path"], row["offset"], row["length"])
        if crop.shape[:2] != (self.crop.size, self.crop.size):
            raise DataError(
                f"{self.folder / row['path']}: a crop has {crop.shape[1]} x {crop.shape[0]} pixels, but the manifest's "
                f"crops have {self.crop.size}; make them again with: agelens prepare"
            )
        return crop

    def check_crops(self) -> None:
        """See that crops are stored.

        Raises:
            DataError: there are vectors in their place.
        """
        if self.embedder is not None:
            raise DataError(
                f"{self.folder}: holds vectors of {self.embedder.name}, no crops; "
                "take the manifest that agelens prepare wrote"
            )


def write_manifest(manifest: Manifest, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a manifest as parquet, the crop spec in its metadata; the old file stays until the new one is whole.

    Args:
        manifest: what is written.
        path: the file.
        metadata: what goes into the file's metadata too.

    Raises:
        OutputError: the file cannot be written.
    """
    table = pa.Table.from_pandas(manifest.table, schema=COLUMNS, preserve_index=False)
    embedder = manifest.embedder
    known = {} if embedder is None else {EMBEDDER_KEY.decode(): json.dumps(asdict(embedder))}
    write_batches(table.to_batches(), manifest.crop, path, {**known, **(metadata or {})})


def write_batches(
    batches: Iterable[pa.RecordBatch], crop: CropSpec, path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """As ``write_manifest``, of rows that come some at a time; ``metadata`` goes into the file too."""
    schema = COLUMNS.with_metadata({CROP_KEY.decode(): json.dumps(asdict(crop)), **(metadata or {})})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, or the ``manifest.parquet`` of a folder, and check it.

    Raises:
        DataError: the file is missing, is no manifest, or holds values that cannot be; all faults are named at once.
    """
    table, crop, path = open_table(path)
    faults = find_faults(table)
    if faults:
        raise DataError(f"{path}: {'; '.join(map(str, faults))}")
    frame = table.select(COLUMNS.names).cast(COLUMNS).to_pandas()
    return Manifest(frame, crop, path.parent, read_embedder(table, path))


def read_embedder(table: pa.Table, path: Path) -> EmbedderSpec | None:
    """The embedder of a manifest's table, as ``Manifest`` has it; ``path`` is what messages name.

    Raises:
        DataError: its entry is damaged.
    """
    text = (table.schema.metadata or {}).get(EMBEDDER_KEY)
    if text is None:
        return None
    try:
        return EmbedderSpec.from_dict(json.loads(text))
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: the embedder's entry is damaged ({error}); make it with: agelens embed") from error


def open_table(path: Path) -> tuple[pa.Table, CropSpec, Path]:
    """A manifest's table as it is, unchecked, with its crop spec and the file it was read from.

    Raises:
        DataError: the file is missing, or is no manifest.
    """
    try:
        path = path / MANIFEST_NAME if path.is_dir() else path
        if not path.is_file():
            raise DataError(f"{path}: no such manifest; make one with: agelens prepare")
        with pq.ParquetFile(path) as file:
            sizes = (file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
            if sum(sizes) > MAX_BYTES:
                raise DataError(f"{path}: unpacks to more than {MAX_BYTES >> 30} GB; that is no manifest")
            table = file.read()
        table.validate(full=True)  # text may hold bytes that are none
        crop = CropSpec(**json.loads((table.schema.metadata or {})[CROP_KEY]))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a manifest of agelens ({error}); make one with: agelens prepare") from error
    return table, crop, path
