"""Which crops look most alike at a glance: by thumbnails, mirrored or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["GREY_SIDE", "grey", "nearest_pairs", "thumbnails"]

Greys = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

GREY_SIDE: Final = 64
THUMB_SIDE: Final = 16
# Products of thumbnails held at once: 64 MB of them, whatever the number of crops.
MOST_PRODUCTS: Final = 2**24

# How many crops each is compared with, by either thumbnail, and how alike they must be. Of 2,400 copies of 400 UTKFace
# pictures (JPEG 30, brighter, grey, cut, turned with and without black corners, mirrored, half the size, in a black
# frame, with a watermark), detected anew, the original is among so many of 20,106 for 98 %; by the whole thumbnail for
# 78 %, by its middle for 93 %.
NEAREST: Final = 3
LEAST_ALIKE: Final = 0.6

# A thumbnail shows all of the crop, or only what lies within so many of its pixels from the middle: borders do not
# reach there.
MIDDLE: Final = 6.5


def grey(crop: npt.NDArray[np.uint8]) -> Greys:
    """What is compared of a crop: (H, W, 3) uint8 RGB → (64, 64) uint8."""
    whole = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(whole, (GREY_SIDE, GREY_SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def nearest_pairs(
    greys: Greys, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each crop with those whose thumbnails, mirrored or not, are the most alike: two (M,), each pair once.

    Time grows with N², memory with N.

    Args:
        greys: (N, 64, 64) uint8.
        progress: called with the number of crops done, counted once for either sort of thumbnail, and their total.
    """
    count = len(greys)
    step = max(1, MOST_PRODUCTS // max(1, count))
    found = [np.zeros((0, 2), np.int64)]
    for turn, middle in enumerate((False, True)):
        plain, mirrored = thumbnails(greys, middle=middle), thumbnails(greys[:, :, ::-1], middle=middle)
        for start in range(0, count, step):
            ours = slice(start, start + step)
            rows, columns = _nearest(plain, plain[ours], mirrored[ours], start)
            found.append(np.stack([np.minimum(rows, columns), np.maximum(rows, columns)], axis=1))
            progress(turn * count + min(start + step, count), 2 * count)
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1]


def thumbnails(greys: Greys, *, middle: bool = False) -> Floats:
    """(N, 64, 64) → (N, 256) float32, each of mean 0 and length 1; of all, or of the middle with 0 around it."""
    step = GREY_SIDE // THUMB_SIDE
    blocks = greys.reshape(len(greys), THUMB_SIDE, step, THUMB_SIDE, step)
    flat = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(greys), THUMB_SIDE**2)
    y, x = np.mgrid[:THUMB_SIDE, :THUMB_SIDE] - (THUMB_SIDE - 1) / 2
    shown = (x**2 + y**2 < MIDDLE**2).ravel() if middle else np.ones(THUMB_SIDE**2, dtype=bool)
    flat = (flat - flat[:, shown].mean(axis=1, keepdims=True)) * shown
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def _nearest(
    theirs: Floats, plain: Floats, mirrored: Floats, start: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The most alike of all to some, of which the first is the one at ``start``: rows and columns of the pairs."""
    alike = plain @ theirs.T
    np.maximum(alike, mirrored @ theirs.T, out=alike)
    own = np.arange(len(plain))
    alike[own, start + own] = -1
    most = min(NEAREST, alike.shape[1])
    columns = np.argpartition(alike, -most, axis=1)[:, -most:]
    rows, ranks = np.nonzero(np.take_along_axis(alike, columns, axis=1) >= LEAST_ALIKE)
    return rows.astype(np.int64) + start, columns[rows, ranks].astype(np.int64)
