"""Stored vectors: an embedder's, in place of crops, for the rows of a manifest.

They stand in one matrix, a NumPy file beside the manifest, (M, width) float16 or float32, that is read through memory
mapping. A row's ``path``, ``offset`` and ``length`` say where its vector lies, in bytes, as they do for a crop in a
pack; ``Manifest.embedder`` says what the vectors are.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.data.manifest import Manifest
from agelens.errors import DataError

__all__ = ["VECTORS_NAME", "Kind", "kind_of", "read_vectors", "vectors_header"]

VECTORS_NAME: Final = "vectors.npy"
KINDS: Final = (np.dtype(np.float16), np.dtype(np.float32))

# Of stored numbers.
Kind = Literal["float16", "float32"]


def kind_of(kind: Kind) -> np.dtype[Any]:
    """Numbers as they are stored: little-endian, whatever the machine."""
    return np.dtype(kind).newbyteorder("<")


def vectors_header(count: int, width: int, kind: Kind) -> bytes:
    """What stands in a NumPy file before ``count`` vectors of ``width`` numbers, one after another."""
    stream = BytesIO()
    said = {"descr": np.lib.format.dtype_to_descr(kind_of(kind)), "fortran_order": False, "shape": (count, width)}
    np.lib.format.write_array_header_1_0(stream, said)
    return stream.getvalue()


def read_vectors(manifest: Manifest, rows: pd.DataFrame) -> npt.NDArray[np.float32]:
    """The vectors of some of a manifest's rows: (N, width) float32.

    Raises:
        DataError: the manifest holds crops, its matrix is missing or damaged, or a vector is not finite.
    """
    if manifest.embedder is None:
        raise DataError(f"{manifest.folder}: holds crops; wanted vectors, as agelens embed writes them")
    file = manifest.folder / VECTORS_NAME
    matrix = _open(manifest, manifest.embedder.width)
    size = matrix.dtype.itemsize * matrix.shape[1]
    start = int(getattr(matrix, "offset", 0))
    places, rests = np.divmod(rows["offset"].to_numpy(dtype=np.float64) - start, size)
    fits = (rests == 0) & (places >= 0) & (places < len(matrix)) & (rows["length"].to_numpy(dtype=np.float64) == size)
    fits &= (rows["path"] == VECTORS_NAME).to_numpy()
    if not fits.all():
        raise DataError(
            f"{file}: has no vector for {int((~fits).sum())} of {len(rows)} faces; embed the manifest again"
        )
    vectors = np.asarray(matrix[places.astype(np.int64)], dtype=np.float32)
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        first = rows["source_path"].iloc[int(broken.argmax())]
        raise DataError(f"{file}: {int(broken.sum())} vectors are not finite, as that of {first!r}; embed it again")
    return vectors


def _open(manifest: Manifest, width: int) -> npt.NDArray[Any]:
    file = manifest.folder / VECTORS_NAME
    try:
        matrix: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(matrix, np.ndarray):
            raise ValueError("several arrays in one file")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: no matrix of vectors ({error}); embed the manifest again") from error
    if matrix.ndim != 2 or matrix.shape[1] != width or matrix.dtype not in KINDS or not matrix.flags.c_contiguous:
        raise DataError(
            f"{file}: {matrix.dtype} {matrix.shape}; wanted float16 or float32 (M, {width}); embed the manifest again"
        )
    return matrix
