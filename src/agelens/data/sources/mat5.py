"""The elements of a MATLAB 5 file (``.mat``): each checked against the bytes that are there.

SciPy's reader is not made for files that nobody checked: a damaged one can end the process or keep it busy for ever.
This one goes forward only, and to the depth that it is asked for. Source: The MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from agelens.data.sources.labels import shown

__all__ = ["CELL", "MOST_BYTES", "STRUCT", "Element", "Matrix", "next_element", "open_matrix", "variables"]

MOST_BYTES: Final = 512 * 1024 * 1024
HEADER: Final = 128
MATRIX: Final = 14
COMPRESSED: Final = 15
CELL: Final = 1
STRUCT: Final = 2
CHAR: Final = 4
NUMBERS: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
UTF_16: Final = (4, 17)


class Element(NamedTuple):
    """A piece of the file: what kind it is, its bytes, and the order of bytes in its numbers, "<" or ">"."""

    kind: int
    data: memoryview
    order: str


class Matrix(NamedTuple):
    """An array of any class: numbers, text, cells or structs.

    Attributes:
        kind: its class, as ``CELL`` and ``STRUCT``.
        size: how many values it says it has.
        name: of a variable; empty for what lies within one.
        body: the elements that hold the values.
    """

    kind: int
    size: int
    name: str
    body: Iterator[Element]

    def numbers(self) -> npt.NDArray[np.float64]:
        """The (size,) values of an array of numbers, whatever type they are stored as.

        Raises:
            ValueError: it holds no numbers, or not as many.
        """
        kind, data, order = next_element(self.body)
        if kind not in NUMBERS:
            raise ValueError("an array of numbers holds something else")
        return np.frombuffer(data, order + NUMBERS[kind]).astype(np.float64)

    def text(self) -> str:
        """The characters of an array of text; empty for any other.

        Raises:
            ValueError: it is cut short.
        """
        if self.kind != CHAR:
            return ""
        kind, data, order = next_element(self.body)
        coding = {"<": "utf-16-le", ">": "utf-16-be"}[order] if kind in UTF_16 else "utf-8"
        return bytes(data).decode(coding, "replace")


def variables(data: bytes) -> Iterator[Matrix]:
    """The variables of a file, one after the other, each unpacked to at most 512 MiB.

    Raises:
        ValueError: it is no MATLAB 5 or damaged.
    """
    order = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(data[HEADER - 4 : HEADER])
    if order is None:
        raise ValueError("it is MATLAB 7.3 (HDF5)" if b"\x89HDF\r\n" in data[:1024] else "it is another format")
    for element in _elements(memoryview(data)[HEADER:], order):
        whole = next_element(_elements(_unpack(element.data), order)) if element.kind == COMPRESSED else element
        if whole.kind == MATRIX:
            yield open_matrix(whole)


def open_matrix(element: Element) -> Matrix:
    """What a matrix says of itself; an element without bytes is an empty one of no class.

    Raises:
        ValueError: it is damaged.
    """
    body = _elements(element.data, element.order)
    if not element.data:
        return Matrix(0, 0, "", body)
    flags, size, name = (next_element(body).data for _ in range(3))
    if len(flags) < 4 or len(size) % 4:
        raise ValueError("an array's head is damaged")
    kind = struct.unpack_from(element.order + "I", flags)[0] & 0xFF
    sides = struct.unpack(f"{element.order}{len(size) // 4}i", size)
    return Matrix(kind, math.prod(sides), bytes(name).decode("ascii", "replace"), body)


def next_element(elements: Iterator[Element]) -> Element:
    """The next one.

    Raises:
        ValueError: there is none.
    """
    for element in elements:
        return element
    raise ValueError("it is cut short")


def _unpack(data: memoryview) -> memoryview:
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"a variable cannot be unpacked ({shown(str(error))})") from error
    if not unpacker.eof:
        raise ValueError(f"a variable is cut short, or takes more than {MOST_BYTES:,} bytes")
    return memoryview(unpacked)


def _elements(view: memoryview, order: str) -> Iterator[Element]:
    at = 0
    while at < len(view):
        if len(view) - at < 8:
            raise ValueError("it is cut short")
        kind, size = struct.unpack_from(order + "II", view, at)
        start, room = at + 8, len(view) - at - 8
        at = start + size if kind == COMPRESSED else start + size + -size % 8
        if kind >> 16:  # a short one: kind and size share four bytes, and the next four are the element
            kind, size, at = kind & 0xFFFF, kind >> 16, start
            start, room = start - 4, 4
        if size > room:
            raise ValueError("it is cut short")
        yield Element(kind, view[start : start + size], order)
