"""Faces that a face-recognition network finds alike."""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt

from agelens.audit.crops import CropReader, Progress, silent
from agelens.audit.links import TILE, Links, cosine_pairs
from agelens.errors import DataError
from agelens.faces.align import realign_matrix, warp
from agelens.faces.embedder import Embedder

__all__ = ["SAME_FACE", "embed_faces", "face_links"]

# Cosine from which two crops are one photo. Measured with SFace on 1,400 copies of 200 UTKFace pictures (JPEG 30,
# brighter, grey, cut, turned, mirrored, half the size), detected anew: 97 % lie above, of the brighter ones 90 %. Of
# UTKFace's pairs that registration does not find, looked at by eye, nearly all above are one photo, half down to 0.84,
# and below that they are other photos of one person.
SAME_FACE: Final = 0.88


def embed_faces(
    reader: CropReader, rows: npt.NDArray[np.int64], embedder: Embedder, progress: Progress = silent
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The rows whose crops could be read, (M,), and their faces' vectors, (M, D), of length 1.

    Raises:
        BundleError: the network fails.
        DataError: the crops show less than the embedder wants.
    """
    wanted = embedder.spec.crop
    try:
        matrix = realign_matrix(reader.samples.manifest.crop, wanted)
    except ValueError as error:
        raise DataError(f"{reader.samples.file}: {error}; prepare the data set again for this embedder") from error
    parts = [
        (found, _of_length_1(embedder.embed(crops)))
        for found, crops in reader.batches(rows, lambda crop: warp(crop, matrix, wanted.size), progress)
    ]
    if not parts:
        return np.zeros(0, np.int64), np.zeros((0, 1), np.float32)
    found, vectors = zip(*parts, strict=True)
    return np.concatenate(found), np.concatenate(vectors)


def _of_length_1(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def face_links(
    count: int,
    places: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.float32],
    least: float = SAME_FACE,
    progress: Progress = silent,
) -> Links:
    """Links between kept samples whose faces' cosine is at least ``least``, by 1 - cosine.

    Args:
        count: of the kept samples.
        places: (M,) those that have a vector.
        vectors: (M, D), of length 1.
        least: -1…1.
        progress: called with the number of tiles compared and their total.
    """
    links = Links(count)
    tiles = ceil(len(vectors) / TILE)
    for done, (first, second, cosine) in enumerate(cosine_pairs(vectors, least), start=1):
        links.add(places[first], places[second], np.clip(1 - cosine, 0, None))
        progress(done, tiles * (tiles + 1) // 2)
    return links
