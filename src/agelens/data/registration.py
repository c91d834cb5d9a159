"""Whether two crops show one photo, cut, turned, recoloured or mirrored: seen by laying one over the other.

A detector sets its landmarks a little elsewhere when a photo was cut or scaled, and then the perceptual hashes of its
crops differ in a third of their bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from agelens.ahead import map_ahead
from agelens.data.nearest import GREY_SIDE, thumbnails

__all__ = ["SAME_PHOTO", "registered_pairs", "registration"]

Greys = npt.NDArray[np.uint8]
Pairs = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float64]]

# Correlation of the registered crops' edges from which they are one photo. Looked at by eye, nearly all of UTKFace's
# thousand pairs above are; from 0.92 on half are, below that they are people alike. Of the copies that nearest.py tells
# of, all lie above but for 1 % of the brighter ones, and the watermarked, of which 12 % do.
SAME_PHOTO: Final = 0.94

# Pixels on each side of one crop that are left out: what lies there may be beyond the other's edge, or be a border.
INSET: Final = 12
STOP: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 1e-3)
WHOLE: Final = np.ones((GREY_SIDE, GREY_SIDE), dtype=np.uint8)
CHUNK: Final = 64
WORKERS: Final = 2


def registration(one: Greys, other: Greys) -> float:
    """How alike two greys are once the best affine map has laid one over the other: correlation of their edges, -1…1.

    Source: Evangelidis and Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization",
    PAMI 2008. What is correlated are middle frequencies, since smooth shading is alike in all faces.
    """
    inner = np.ascontiguousarray(one[INSET:-INSET, INSET:-INSET], dtype=np.float32)
    outer = np.ascontiguousarray(other, dtype=np.float32)
    matrix = np.array([[1, 0, INSET], [0, 1, INSET]], dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(inner, outer, matrix, cv2.MOTION_AFFINE, STOP, WHOLE, 3)
    except cv2.error:  # it found no way from one to the other
        return 0.0
    laid = cv2.warpAffine(outer, found, inner.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return float((_edges(inner) * _edges(laid)).sum())


def registered_pairs(
    greys: Greys,
    firsts: npt.NDArray[np.integer[Any]],
    seconds: npt.NDArray[np.integer[Any]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Pairs]:
    """Those of some pairs that show one photo, a few at a time.

    Args:
        greys: (N, 64, 64) uint8.
        firsts: (M,) places in ``greys``, and ``seconds`` likewise.
        progress: called with the number of pairs done and their total.

    Yields:
        first, second and their ``registration``, at least ``SAME_PHOTO``: three arrays.
    """
    pairs = np.stack([firsts, seconds], axis=1)
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]

    plain, turned = thumbnails(greys, middle=True), thumbnails(greys[:, :, ::-1], middle=True)

    def work(chunk: npt.NDArray[np.integer[Any]]) -> list[float]:
        ours, theirs = plain[chunk[:, 0]], chunk[:, 1]
        # mirrored or not: whichever looks more alike
        mirrored = (ours * turned[theirs]).sum(axis=1) > (ours * plain[theirs]).sum(axis=1)
        others = [greys[other][:, ::-1] if turn else greys[other] for other, turn in zip(theirs, mirrored, strict=True)]
        return [registration(greys[one], other) for one, other in zip(chunk[:, 0], others, strict=True)]

    for done, (chunk, values) in enumerate(zip(chunks, map_ahead(work, chunks, WORKERS, 8), strict=True), start=1):
        alike = np.array(values)
        same = alike >= SAME_PHOTO
        yield chunk[same, 0], chunk[same, 1], alike[same]
        progress(min(done * CHUNK, len(pairs)), len(pairs))


def _edges(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Middle frequencies, of mean 0 and length 1."""
    fine = cv2.GaussianBlur(image, (0, 0), 1.0)
    band = fine - cv2.GaussianBlur(fine, (0, 0), 3.0)
    band -= band.mean()
    return np.asarray(band / max(float(np.linalg.norm(band)), 1e-6), dtype=np.float32)
