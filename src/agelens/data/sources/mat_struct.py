"""Chosen fields of the one struct that a data set's ``.mat`` holds."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from agelens.data.sources.labels import shown
from agelens.data.sources.mat5 import CELL, MOST_BYTES, STRUCT, Element, Matrix, next_element, open_matrix, variables
from agelens.errors import DataError

__all__ = ["Fields", "read_struct"]

MOST_VALUES: Final = 10_000_000


class Fields(NamedTuple):
    """Fields of a struct by name: (N,) numbers, and N texts, empty where a cell holds no text."""

    numbers: dict[str, npt.NDArray[np.float64]]
    texts: dict[str, list[str]]


def read_struct(path: Path, name: str, numbers: tuple[str, ...], texts: tuple[str, ...]) -> Fields:
    """Some fields of the 1×1 struct of this name, all of the same length.

    Args:
        path: the file, at most 512 MiB.
        name: the variable that is the struct.
        numbers: the fields wanted that are arrays of numbers.
        texts: the fields wanted that are cell arrays of texts.

    Raises:
        DataError: the file cannot be read, is too large, damaged or no MATLAB 5; it has no such struct, or the struct
            lacks some of the fields, which are named, or has them in unequal lengths.
    """
    data = _read_bytes(path)
    try:
        found = _find(data, name)
        missing = [field for field in (*numbers, *texts) if field not in found]
        if missing:
            raise ValueError(f"the struct {name!r} lacks the fields {', '.join(missing)}")
        fields = Fields(
            {field: _numbers(field, found[field]) for field in numbers},
            {field: _texts(field, found[field]) for field in texts},
        )
        _check_lengths(fields)
    except (ValueError, MemoryError) as error:
        problem = str(error) or "too little memory for it"
        raise DataError(f"{path}: {problem}; wanted the MATLAB 5 file as it is distributed") from error
    return fields


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _find(data: bytes, name: str) -> dict[str, Element]:
    others = []
    for variable in variables(data):
        if variable.name == name and variable.kind == STRUCT and variable.size == 1:
            return _fields(variable)
        others.append(shown(variable.name))
    raise ValueError(f"it holds no struct {name!r} of one element, but {', '.join(others[:5]) or 'nothing'}")


def _fields(found: Matrix) -> dict[str, Element]:
    # every name takes as many bytes as the first element says, filled up with zeros
    _, size, order = next_element(found.body)
    width = int.from_bytes(size, "little" if order == "<" else "big")
    names = bytes(next_element(found.body).data)
    if not 0 < width <= max(len(names), 1):
        raise ValueError("the struct's list of fields is damaged")
    starts = range(0, len(names), width)
    split = [names[start : start + width].split(b"\0")[0].decode("ascii", "replace") for start in starts]
    return dict(zip(split, [next_element(found.body) for _ in split], strict=True))


def _numbers(field: str, element: Element) -> npt.NDArray[np.float64]:
    matrix = open_matrix(element)
    values = matrix.numbers() if matrix.size else np.zeros(0)
    if len(values) != matrix.size:
        raise ValueError(f"its field {field} has {len(values)} of {matrix.size} values")
    return values


def _texts(field: str, element: Element) -> list[str]:
    matrix = open_matrix(element)
    if matrix.kind != CELL or not 0 <= matrix.size <= MOST_VALUES:
        raise ValueError(f"its field {field} is no cell array of at most {MOST_VALUES:,} texts")
    values = [open_matrix(cell).text() for cell in islice(matrix.body, matrix.size)]
    if len(values) != matrix.size:
        raise ValueError(f"its field {field} has {len(values)} of {matrix.size} values")
    return values


def _check_lengths(fields: Fields) -> None:
    lengths = {field: len(values) for field, values in fields.numbers.items()}
    lengths |= {field: len(values) for field, values in fields.texts.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{field} {length}" for field, length in lengths.items())
        raise ValueError(f"its fields have unequal lengths: {listed}")
