"""Tables of labels, row by row: a row that is damaged is a fault of its own, and the rest is read.

One line is one row, so that every line of the file is accounted for.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agelens.data.reasons import Reason
from agelens.data.sources.labels import BadLabelError, shown
from agelens.data.sources.lines import read_lines, split_line
from agelens.data.sources.sample import Sample
from agelens.errors import DataError

__all__ = ["Cells", "Table", "label_rows", "open_table"]

DELIMITERS: Final = (",", ";", "\t")
MOST_COLUMNS_SHOWN: Final = 30

# A row: text by the column's name, without spaces around it.
Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first line was read.

    Attributes:
        path: the file.
        delimiter: what stands between two values.
        columns: the names in its first line.
    """

    path: Path
    delimiter: str
    columns: tuple[str, ...]

    def need(self, *names: str) -> None:
        """See that these columns are there, once each.

        Raises:
            DataError: one is not; it lists those there are.
        """
        for name in names:
            if self.columns.count(name) != 1:
                problem = "more than one" if name in self.columns else "no"
                raise DataError(f"{self.path}: {problem} column {shown(name)}; {self.list_columns()}")

    def list_columns(self) -> str:
        """The columns that there are, for a message."""
        return f"the table has: {', '.join(map(shown, self.columns[:MOST_COLUMNS_SHOWN]))}"

    def cells(self, line: bytes) -> Cells:
        """The values of one line.

        Raises:
            BadLabelError: it is no UTF-8, no row of a table, or has more or fewer values than there are columns.
        """
        fields = split_line(line, self.delimiter)
        if len(fields) != len(self.columns):
            raise BadLabelError(f"{len(fields)} fields, where the table has {len(self.columns)} columns")
        return dict(zip(self.columns, fields, strict=True))


def open_table(path: Path, *needed: str, delimiter: str = "") -> Table:
    """Read a table's first line.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        needed: columns that have to be there.
        delimiter: what stands between two values; without one, that of comma, semicolon and tab which finds most names.

    Raises:
        DataError: the file cannot be read, is empty, its first line is no list of names, or a needed one is not in it.
    """
    with closing(read_lines(path)) as lines:
        header = next(lines, (0, b""))[1].removeprefix(codecs.BOM_UTF8)
    found: dict[str, list[str]] = {}
    problem = "it has no first line with the columns' names"
    for candidate in (delimiter,) if delimiter else DELIMITERS:
        try:
            found[candidate] = split_line(header, candidate)
        except BadLabelError as error:
            problem = str(error)
    if not any(map(any, found.values())):
        raise DataError(f"{path}: no table that can be read: line 1: {problem}")
    best = max(found, key=lambda candidate: len(found[candidate]))
    table = Table(path, best, tuple(found[best]))
    table.need(*needed)
    return table


def label_rows(
    table: Table, picture: Callable[[Cells], Path], label: Callable[[Path, Cells], Sample]
) -> Iterator[Sample]:
    """One sample a row, in the table's order; blank lines are passed over.

    Args:
        table: the table.
        picture: gives the path that a row names, or raises BadLabelError; the sample's path is then the table's own.
        label: gives the sample of a row and its picture, or raises BadLabelError.

    Raises:
        DataError: the table cannot be read to its end.
    """
    with closing(read_lines(table.path)) as lines:
        next(lines, None)
        for number, line in lines:
            path = table.path
            try:
                cells = table.cells(line)
                path = picture(cells)
                sample = label(path, cells)
            except BadLabelError as problem:
                detail = f"{table.path.name} line {number}: {problem}"
                sample = Sample(path, fault=Reason.BAD_LABEL, detail=detail)
            yield sample
