"""From what YuNet's network gives to faces, as OpenCV's ``FaceDetectorYN`` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["OUTPUTS", "STRIDES", "decode"]

STRIDES: Final = (8, 16, 32)  # pixels between the cells of each grid; each cell may hold a face
OUTPUTS: Final = tuple(f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox", "kps"))
OVERLAP: Final = 0.3  # as intersection over union: of faces that overlap more, the best stays
MOST: Final = 5000  # faces that are looked at

Floats = npt.NDArray[np.float32]


def decode(outputs: Sequence[Floats], width: int, score_threshold: float) -> Floats:
    """The faces that a network saw, the best first, each once.

    Args:
        outputs: of an image, in the order of ``OUTPUTS``: (1, cells, 1), (1, cells, 1), (1, cells, 4), (1, cells, 10).
        width: of the image, in pixels; a multiple of 32.
        score_threshold: faces with a lower score (0…1) are left out.

    Returns:
        (N, 15): x, y, width and height of the box in pixels, x and y of five landmarks, and the score.
    """
    grids = [_grid(stride, outputs[4 * at : 4 * at + 4], width, score_threshold) for at, stride in enumerate(STRIDES)]
    faces = np.concatenate(grids)
    return _best(faces[np.isfinite(faces).all(axis=1)], score_threshold)


def _grid(stride: int, outputs: Sequence[Floats], width: int, score_threshold: float) -> Floats:
    cls, obj, bbox, kps = (output[0] for output in outputs)
    scores = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
    (cells,) = np.nonzero(scores >= np.float32(score_threshold))
    columns = width // stride
    corners = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32)  # x and y, in cells
    with np.errstate(over="ignore"):
        sizes = np.exp(bbox[cells, 2:]) * stride
    starts = (corners + bbox[cells, :2]) * stride - sizes / 2
    points = (np.tile(corners, 5) + kps[cells]) * stride
    return np.concatenate([starts, sizes, points, scores[cells, None]], axis=1, dtype=np.float32)


def _best(faces: Floats, score_threshold: float) -> Floats:
    if len(faces) < 2:
        return faces
    boxes = np.trunc(faces[:, :4]).astype(np.float64)  # OpenCV compares boxes of whole pixels
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), faces[:, 14].tolist(), score_threshold, OVERLAP, 1.0, MOST)
    return faces[np.asarray(kept, dtype=np.intp).reshape(-1)]
