"""Stored crops: JPEGs one after another in one file, a pack.

A file each takes over ten times as long to write and no less to read (``benchmarks/prepare.py packing``). A pack has no
header and no index: the manifest's columns ``offset`` and ``length`` are the index.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from agelens.errors import DataError, ImageError, OutputError
from agelens.images import read_image

__all__ = ["PACK_NAME", "PackWriter", "encode", "read_bytes", "read_crop"]

PACK_NAME: Final = "crops.pack"
JPEG_QUALITY: Final = 95
MAX_CROP_BYTES: Final = 16 * 2**20


def encode(crop: npt.NDArray[np.uint8]) -> bytes:
    """A crop, (H, W, 3) uint8 RGB, as JPEG.

    Raises:
        ValueError: OpenCV cannot encode it.
    """
    done, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"a crop of shape {crop.shape} could not be encoded as JPEG")
    return data.tobytes()


def read_bytes(folder: Path, path: str, offset: float | None, length: float | None) -> bytes:
    """The file of one crop, as a manifest's columns give it: a part of a pack, or a whole file where they are null.

    Raises:
        DataError: the file is missing or too short.
    """
    file = folder / path
    whole = offset is None or length is None or math.isnan(offset) or math.isnan(length)
    start, count = (0, MAX_CROP_BYTES) if whole else (int(offset or 0), int(length or 0))
    try:
        with file.open("rb") as stream:
            stream.seek(start)
            data = stream.read(min(count, MAX_CROP_BYTES))
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{file}: cannot be read ({reason}); prepare the data set again") from error
    if not whole and len(data) != count:
        raise DataError(f"{file}: ends before byte {start + count}; prepare the data set again")
    return data


def read_crop(folder: Path, path: str, offset: float | None, length: float | None) -> npt.NDArray[np.uint8]:
    """One stored crop: (H, W, 3) uint8, RGB; arguments and errors as ``read_bytes``, DataError also when damaged."""
    try:
        return read_image(read_bytes(folder, path, offset, length))
    except ImageError as error:
        reason = str(error).removeprefix("bytes: ")
        raise DataError(f"{folder / path}: a crop is damaged ({reason}); prepare the data set again") from error


class PackWriter:
    """Appends crops to a pack.

    Opened at ``end``, it cuts off what lies behind: crops that a killed process wrote and nobody knows of.
    """

    def __init__(self, path: Path, end: int = 0) -> None:
        """Open ``path``, whose first ``end`` bytes stay.

        Raises:
            OutputError: it cannot be opened, or holds less.
        """
        self._path = path
        self._end = end
        try:
            if end == 0:  # another manifest's folder may have a link to the file that lies here
                path.unlink(missing_ok=True)
            self._stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
            held = self._stream.seek(0, os.SEEK_END)
            self._stream.truncate(min(end, held))
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        if held < end:
            self._stream.close()
            raise OutputError(f"{path}: holds {held:,} of {end:,} bytes; remove its folder and prepare anew")
        self._stream.seek(end)

    def append(self, jpeg: bytes) -> tuple[int, int]:
        """Write one crop; returns its offset and length in bytes.

        Raises:
            OutputError: it cannot be written, as on a full disk.
        """
        offset = self._end
        try:
            rest = memoryview(jpeg)
            while rest:  # an unbuffered write may take a part only
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from error
        self._end += len(jpeg)
        return offset, len(jpeg)

    def flush(self) -> None:
        """Have the system write what it holds in memory, before a manifest is written that relies on it.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
