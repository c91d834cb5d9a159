"""What a face detector is, and a stand-in for tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "Detection", "Detector", "FixedDetector", "main_face", "within"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face found in an image.

    Attributes:
        box: (x1, y1, x2, y2) in pixels of the image; may reach beyond its edges.
        landmarks: (5, 2) float32, x and y in pixels: eyes, nose tip, mouth corners, the viewer's left first.
        score: how sure the detector is, 0…1.
    """

    box: Box
    landmarks: npt.NDArray[np.float32]
    score: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x1, y1, x2, y2 = self.box
        return max(0.0, x2 - x1) * max(0.0, y2 - y1)


class Detector(Protocol):
    """Finds faces. Must be safe to call from several threads at once."""

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB (H, W, 3) uint8 image, left to right; an empty list when there are none."""
        ...


def main_face(faces: Sequence[Detection], width: int, height: int) -> Detection | None:
    """The face that a crop of one person is about: large, and near the middle of the (width, height) image."""

    def weight(face: Detection) -> float:
        x1, y1, x2, y2 = face.box
        off_centre = math.hypot((x1 + x2) / 2 / width - 0.5, (y1 + y2) / 2 / height - 0.5)
        return face.area * (1 - off_centre)

    return max(faces, key=weight, default=None)


def within(box: Box, width: int, height: int) -> Box:
    """A box as far as it lies in the (width, height) image."""
    x1, y1, x2, y2 = box
    return (_clipped(x1, width), _clipped(y1, height), _clipped(x2, width), _clipped(y2, height))


def _clipped(edge: float, size: int) -> float:
    return float(min(max(edge, 0), size))


class FixedDetector:
    """A detector that always answers with the given faces: lets tests run without a detection network."""

    def __init__(self, detections: Sequence[Detection] = ()) -> None:
        """``detections`` is what every call of ``detect`` returns."""
        self._detections = list(detections)

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """The faces given at construction, whatever the image."""
        return list(self._detections)
