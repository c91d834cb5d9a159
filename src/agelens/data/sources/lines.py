"""The lines of a table, read a piece at a time, and the values in one.

A quoted value may hold the delimiter but no line break: a quote that is never closed then spoils its own line only.
"""

from __future__ import annotations

import csv
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import IO, Final

from agelens.data.sources.labels import BadLabelError
from agelens.errors import DataError

__all__ = ["read_lines", "split_line"]

LONGEST_LINE: Final = 1 << 20


def read_lines(path: Path) -> Generator[tuple[int, bytes], None, None]:
    """The first line, then those that are not blank, with their numbers from 1; of a very long one the beginning.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            for number in count(1):
                line = stream.readline(LONGEST_LINE)
                if not line:
                    return
                _skip_rest(line, stream)
                if line.strip(b" \r\n") or number == 1:
                    yield number, line
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def split_line(line: bytes, delimiter: str) -> list[str]:
    """The values in a line, without the spaces around them.

    Raises:
        BadLabelError: it is no UTF-8, holds a NUL, is longer than a row can be, or its quotes are not closed.
    """
    if len(line) >= LONGEST_LINE:
        raise BadLabelError(f"longer than {LONGEST_LINE:,} bytes")
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadLabelError("bytes that are no UTF-8") from None
    if "\0" in text:
        raise BadLabelError("a NUL byte")
    try:
        return [field.strip() for row in csv.reader([text], delimiter=delimiter, strict=True) for field in row]
    except csv.Error as error:
        problem = str(error).replace("\t", "tab")
        raise BadLabelError(f"no row of a table ({problem}); a value cannot go on in the next line") from None


def _skip_rest(line: bytes, stream: IO[bytes]) -> None:
    while len(line) == LONGEST_LINE and not line.endswith(b"\n"):
        line = stream.readline(LONGEST_LINE)
