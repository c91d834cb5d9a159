"""A manifest as an audit sees it: as it is, faults and all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from agelens.data.checks import RULES, Fault, find_faults
from agelens.data.columns import COLUMNS
from agelens.data.manifest import Manifest, open_table, read_embedder
from agelens.errors import DataError

__all__ = ["PLACE", "Samples", "fault_columns", "open_samples", "samples_of"]

PLACE: Final = {"path", "offset", "length"}


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A manifest's rows, unchecked.

    Attributes:
        file: the manifest.
        source: the table as it was read.
        manifest: the same with the columns of ``COLUMNS``, and where the crops are.
        faults: what keeps it from being read as a manifest, each with its rows.
    """

    file: Path
    source: pa.Table
    manifest: Manifest
    faults: tuple[Fault, ...]

    @property
    def table(self) -> pd.DataFrame:
        """All rows, N of them."""
        return self.manifest.table

    @property
    def kept(self) -> pd.DataFrame:
        """The rows that were not removed; the index counts all rows."""
        return self.table[self.table["removed"].isna()]

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a row was kept and says where its crop is."""
        found = self.table["removed"].isna().to_numpy(copy=True)
        for fault in self.faults:
            if PLACE & set(fault_columns(fault)):
                found[list(fault.rows)] = False
        return found


def open_samples(path: Path) -> Samples:
    """Open a manifest, or the ``manifest.parquet`` of a folder, whatever its values.

    Raises:
        DataError: the file is missing, no manifest, has no rows, or lacks a column or has one of another type; or it
            has vectors in place of crops.
    """
    source, crop, file = open_table(path)
    Manifest(pd.DataFrame(), crop, file.parent, read_embedder(source, file)).check_crops()
    faults = find_faults(source, file.parent)
    whole = [str(fault) for fault in faults if not fault.rows]
    if whole:
        raise DataError(f"{file}: {'; '.join(whole)}; make it again with: agelens prepare")
    table = source.select(COLUMNS.names).cast(COLUMNS)
    return Samples(file, table, Manifest(table.to_pandas(), crop, file.parent), tuple(faults))


def samples_of(manifest: Manifest, file: Path) -> Samples:
    """A sound manifest's samples; ``file`` is what messages name."""
    table = pa.Table.from_pandas(manifest.table, schema=COLUMNS, preserve_index=False)
    return Samples(file, table, manifest, ())


def fault_columns(fault: Fault) -> tuple[str, ...]:
    """The columns in which a fault lies; those of the crop's place for what is wrong with its file."""
    columns = {rule.what: rule.columns for rule in RULES}.get(fault.what, tuple(sorted(PLACE)))
    return tuple(name for name in columns if name != "removed")
