"""Why no face was found in a photo, as far as that can be told."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from agelens.faces.detector import Detector
from agelens.faces.yunet import YuNet

__all__ = ["why_no_face"]

SMALL: Final = 48  # pixels of the shorter side
DARK, BRIGHT, FLAT = 35, 225, 6  # of 255: mean brightness, and its deviation
DOUBTFUL: Final = 0.35
LOOKED_AT: Final = 640


def why_no_face(image: npt.NDArray[np.uint8], detector: Detector) -> str:
    """A sentence for whoever gave the photo, on what may be wrong and what to do.

    Args:
        image: RGB, (H, W, 3) uint8, in which ``detector`` found no face.
        detector: that was asked.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALL:
        return f"The picture has only {width} × {height} pixels; take a larger one."
    small = _smaller(image)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    brightness, contrast = float(grey.mean()), float(grey.std())
    if contrast < FLAT:
        return "The picture shows next to nothing: all of it has one colour."
    for turns, way in ((1, "right"), (2, ""), (3, "left")):
        if detector.detect(np.ascontiguousarray(np.rot90(small, turns))):
            return (
                f"A face lies on its {way} side: turn the picture."
                if way
                else "A face is upside down: turn the picture."
            )
    doubtful = YuNet(score_threshold=DOUBTFUL).detect(small)
    if doubtful:
        best = max(face.score for face in doubtful)
        return f"Something may be a face, but is too unclear ({best:.0%} sure): hidden, turned away, small or blurred?"
    if brightness < DARK:
        return "The picture is very dark; take one with more light."
    if brightness > BRIGHT:
        return "The picture is overexposed; take one with less light."
    return "Nothing in it looks like a face. If it is the close crop of one face, say so in the settings."


def _smaller(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = LOOKED_AT / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
