"""Crops that show no face worth learning from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.audit.crops import CropReader
from agelens.audit.findings import Finding, Kind

__all__ = ["find_blank", "find_damaged", "find_doubtful"]

# YuNet's score. Of UTKFace's 20,106 faces, looked at by eye, the two below are a blurred half and a covered one; from
# there to 0.88, drawings and profiles stand among sound portraits of the old, whom no score should single out.
SURE_FACE: Final = 0.8

# Standard deviation of grey levels. The least of UTKFace's 20,106 crops, a face in the dark, has 15; a wall 1 or 2.
LEAST_CONTRAST: Final = 6.0


def find_doubtful(kept: pd.DataFrame) -> Iterator[Finding]:
    """Faces that the detector doubted.

    Args:
        kept: the samples that were not removed; the index counts the manifest's rows.
    """
    scores = kept["score"]
    for row, score in scores[scores < SURE_FACE].items():
        what = f"the detector's score is {score:.2f}, below {SURE_FACE}"
        yield Finding(Kind.DOUBTFUL_FACE, (int(str(row)),), what, score=1 - float(score))


def find_blank(rows: npt.NDArray[np.int64], greys: npt.NDArray[np.uint8]) -> Iterator[Finding]:
    """Crops that are nearly of one colour.

    Args:
        rows: (M,) of the manifest.
        greys: (M, 64, 64), their crops; see ``nearest.grey``.
    """
    contrasts = np.array([one.std() for one in greys])
    for place in np.flatnonzero(contrasts < LEAST_CONTRAST):
        what = f"its grey levels spread by {contrasts[place]:.1f} of 255 only"
        yield Finding(Kind.BLANK, (int(rows[place]),), what, score=float(LEAST_CONTRAST - contrasts[place]))


def find_damaged(reader: CropReader) -> Iterator[Finding]:
    """The crops that could not be read."""
    for row, reason in sorted(reader.damaged.items()):
        yield Finding(Kind.BROKEN, (row,), reason, score=1.0)
