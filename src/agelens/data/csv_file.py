"""A manifest as a CSV file, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from agelens.data.columns import COLUMNS
from agelens.files import atomic_path

__all__ = ["flat_table", "write_csv"]

BOX: Final = ("x1", "y1", "x2", "y2")
LANDMARKS: Final = tuple(f"l{axis}{number}" for number in range(1, 6) for axis in "xy")
LISTS: Final = {"box": BOX, "landmarks": LANDMARKS}

# What a spreadsheet takes for the beginning of a formula.
FORMULA: Final = r"^([=+\-@\t\r])"


def flat_table(rows: pd.DataFrame) -> pa.Table:
    """Rows of a manifest as a table of plain columns: the box as x1, y1, x2 and y2, landmarks as lx1, ly1, … ly5."""
    table = pa.Table.from_pandas(rows, schema=COLUMNS, preserve_index=False)
    columns: dict[str, pa.ChunkedArray] = {}
    for name in COLUMNS.names:
        column = table.column(name)
        if name in LISTS:
            columns |= {part: pc.list_element(column, place) for place, part in enumerate(LISTS[name])}
        else:
            columns[name] = column
    return pa.table(columns)


def write_csv(table: pa.Table, path: Path) -> None:
    """Write a table as CSV: UTF-8, a line of names, nothing between the commas where a value is null.

    A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets a single quote ``'`` before
    it, since a spreadsheet would take it for a formula and run it.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = {name: _harmless(table.column(name)) for name in table.column_names}
    with atomic_path(path) as temporary:
        csv.write_csv(pa.table(columns), temporary)


def _harmless(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring_regex(column, pattern=FORMULA, replacement=r"'\1")
