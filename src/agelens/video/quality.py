"""How far a frame's face is to be believed: blur, size, pose and the detector's doubt."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from agelens.faces.align import CropSpec, align
from agelens.results import Face

__all__ = ["face_quality", "frontal", "sharpness"]

LOOKED_AT: Final = CropSpec(64, 0.0)
SHARP: Final = 150.0  # variance of the Laplacian of a sharp face at that size
FULL_SIZE: Final = 60.0  # pixels between a box's sides, from which a face is as good as any
LEAST: Final = 0.05  # no frame is worth nothing


def face_quality(image: npt.NDArray[np.uint8], face: Face) -> float:
    """A weight for one frame's face among the frames of its person, 0.05…1.

    Args:
        image: the frame, (H, W, 3) uint8 RGB.
        face: found in it, with landmarks.
    """
    if face.landmarks is None or face.score is None:
        return LEAST
    try:
        crop = align(image, face.landmarks, LOOKED_AT)
    except ValueError:  # landmarks on one point
        return LEAST
    size = min(1.0, (face.box[2] - face.box[0]) / FULL_SIZE)
    return max(LEAST, sharpness(crop) * frontal(face.landmarks) * size * face.score)


def sharpness(crop: npt.NDArray[np.uint8]) -> float:
    """How sharp a (64, 64, 3) uint8 RGB crop is, 0…1: variance of the Laplacian of its grey, ``v / (v + SHARP)``.

    Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    return variance / (variance + SHARP)


def frontal(landmarks: npt.NDArray[np.float32]) -> float:
    """How far a face looks at the camera, 0…1: 1 where the nose's tip lies between the eyes, 0 in profile.

    The tip's place along the line from eye to eye, and its distance below it, in distances between the eyes.
    """
    left, right, nose = (landmarks[row].astype(np.float64) for row in range(3))
    across = right - left
    length = float(np.hypot(*across))
    if length < 1e-6:
        return 0.0
    along = float((nose - left) @ across) / length**2  # 0.5 in the middle, beyond 0…1 past an eye
    turn = min(1.0, abs(along - 0.5) * 2)
    return float(1 - turn**2)
