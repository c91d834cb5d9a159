"""MTCNN, a face detector of three small networks, one after the other; five landmarks. Needs the extra "mtcnn".

Source: Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
IEEE Signal Processing Letters 2016. The networks and their weights are those of the MIT-licensed package ``mtcnn``,
run by TensorFlow. The search around them is written here: the package's own compares all candidates with all others
at once, 6 GB for a crowd in 640 x 640 pixels, and its pyramid breaks for other smallest faces than 20 pixels.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from agelens.errors import MissingExtraError
from agelens.faces.detector import Detection

__all__ = ["Mtcnn"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

WINDOW: Final = 12  # pixels a side that the first network sees, at each second pixel
STEP: Final = 2
SHRINK: Final = 0.709  # from one size of the photo to the next: half the area
REFINED: Final = 24  # pixels a side of what the second network sees
MARKED: Final = 48  # and the third
LEAST: Final = (0.6, 0.7)  # scores that the first and the second network must give
BATCH: Final = 512  # candidates at once: bounds the memory

# The library speaks up on stderr when it is imported, whatever its level, where it may choose how sums are ordered.
QUIET: Final = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}


class Mtcnn:
    """Finds faces with MTCNN at a bounded input size; boxes come back in pixels of the photo.

    Calls from several threads wait for one another. A process that forks must do so before the first one is made.
    """

    def __init__(self, *, score_threshold: float = 0.9, max_side: int = 640, min_face: int = 20) -> None:
        """
        Args:
            score_threshold: faces with a lower score (0…1) are left out.
            max_side: longer side, in pixels, at which faces are looked for (64…4096); larger photos are scaled down
                to it. Larger finds smaller faces, and takes time with its square.
            min_face: side, in pixels at that size, of the smallest faces looked for (12…4096). Larger is faster.

        Raises:
            ValueError: an argument is out of its range.
            MissingExtraError: the package mtcnn or TensorFlow is not installed.
        """
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold is {score_threshold}; it must lie within 0…1")
        if not 64 <= max_side <= 4096:
            raise ValueError(f"max_side is {max_side}; it must lie within 64…4096 pixels")
        if not WINDOW <= min_face <= 4096:
            raise ValueError(f"min_face is {min_face}; it must lie within {WINDOW}…4096 pixels")
        self._score_threshold = score_threshold
        self._max_side = max_side
        self._min_face = min_face
        self._lock = threading.Lock()  # Keras promises nothing about threads
        self._tensorflow, self._networks = _load()

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB (H, W, 3) uint8 image, left to right; an empty list when there are none."""
        height, width = image.shape[:2]
        scale = min(1.0, self._max_side / max(height, width))
        small = _resized(image, max(1, round(width * scale)), max(1, round(height * scale)))
        stretch = np.array([width / small.shape[1], height / small.shape[0]])
        with self._lock, self._tensorflow.device("CPU:0"):
            boxes, scores, points = self._search(small)
        edges, marks = boxes * np.tile(stretch, 2), (points * stretch).astype(np.float32)
        found = [
            Detection((x1, y1, x2, y2), face, min(1.0, score))
            for (x1, y1, x2, y2), face, score in zip(edges.tolist(), marks, scores.tolist(), strict=True)
        ]
        return sorted(found, key=lambda face: (face.box[0], face.box[1]))

    def _search(self, image: Image) -> tuple[Floats, Floats, Floats]:
        """Boxes (N, 4), scores (N,) and landmarks (N, 5, 2), in pixels of the image."""
        boxes = _square(self._candidates(image))
        moves, scores = self._look(image, boxes, 1, REFINED)
        boxes, scores, _ = _chosen(_moved(boxes, moves), scores[:, 1], LEAST[1])
        boxes = _square(boxes[_distinct(boxes, scores, 0.7)])
        moves, marks, scores = self._look(image, boxes, 2, MARKED)
        # a row of marks: five x, five y, as shares of the square
        points = boxes[:, None, :2] + marks.reshape(-1, 2, 5).swapaxes(1, 2) * (boxes[:, 2:] - boxes[:, :2])[:, None]
        boxes, scores, kept = _chosen(_moved(boxes, moves), scores[:, 1], self._score_threshold)
        last = _distinct(boxes, scores, 0.7, of_smaller=True)
        return boxes[last], scores[last], points[kept][last]

    def _candidates(self, image: Image) -> Floats:
        """What may be faces, of all sizes: boxes (N, 4)."""
        found, scores = [np.zeros((0, 4))], [np.zeros(0)]
        for columns, rows in _sizes(image.shape[1], image.shape[0], WINDOW / self._min_face):
            moves, faces = self._run(0, _resized(image, columns, rows)[None])
            y, x = np.nonzero(faces[0, :, :, 1] >= LEAST[0])
            corners = np.stack([x, y], axis=1) * STEP
            boxes = _moved(np.hstack([corners, corners + WINDOW]).astype(np.float64), moves[0, y, x])
            score = faces[0, y, x, 1]
            boxes, score, _ = _chosen(boxes * np.tile([image.shape[1] / columns, image.shape[0] / rows], 2), score, 0)
            kept = _distinct(boxes, score, 0.5)
            found.append(boxes[kept])
            scores.append(score[kept])
        together = np.concatenate(found)
        return together[_distinct(together, np.concatenate(scores), 0.7)]

    def _look(self, image: Image, boxes: Floats, network: int, side: int) -> list[Floats]:
        """What a network answers to the image's part in each box (N, 4)."""
        bottom, right = np.maximum(1, np.array(image.shape[:2]) - 1)
        places = boxes[:, [1, 0, 3, 2]] / [bottom, right, bottom, right]
        answers = []
        for start in range(0, max(1, len(boxes)), BATCH):
            part = places[start : start + BATCH]
            answers.append(self._run(network, self._parts(image, part, side)))
        return [np.concatenate(columns) for columns in zip(*answers, strict=True)]

    def _parts(self, image: Image, places: Floats, side: int) -> Any:
        crop = self._tensorflow.image.crop_and_resize
        # 127.5 is the networks' zero: grey beyond the edges
        return crop(image[None], places, np.zeros(len(places), np.int32), (side, side), extrapolation_value=127.5)

    def _run(self, network: int, pixels: Any) -> list[Floats]:
        scaled = (np.asarray(pixels, np.float32) - 127.5) / 128
        return [np.asarray(answer, np.float64) for answer in self._networks[network](scaled)]


def _load() -> tuple[Any, list[Any]]:
    """TensorFlow, and the three networks."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import mtcnn
        import tensorflow
        from mtcnn import stages
    except ModuleNotFoundError as error:
        raise MissingExtraError("mtcnn", error.name or "mtcnn") from error
    # by a bare name the package would rather unpickle a file of that name in the working directory
    weights = Path(mtcnn.__file__).resolve().parent / "assets" / "weights"
    kinds = {"pnet": stages.StagePNet, "rnet": stages.StageRNet, "onet": stages.StageONet}
    with tensorflow.device("CPU:0"):
        return tensorflow, [kind(weights=str(weights / f"{name}.lz4")).model for name, kind in kinds.items()]


def _resized(image: Image, columns: int, rows: int) -> Image:
    if image.shape[:2] == (rows, columns):
        return image
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _sizes(width: int, height: int, scale: float) -> Iterator[tuple[int, int]]:
    """Columns and rows of the photo at each size, from ``scale`` down, while the window fits in."""
    while min(width, height) * scale >= WINDOW:
        yield max(WINDOW, round(width * scale)), max(WINDOW, round(height * scale))
        scale *= SHRINK


def _square(boxes: Floats) -> Floats:
    """Each box's middle, with its longer side on both."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) / 2
    return np.hstack([middle - half, middle + half])


def _moved(boxes: Floats, moves: Floats) -> Floats:
    """Boxes (N, 4) whose edges are moved by shares (N, 4) of their sides."""
    return np.asarray(boxes + moves * np.tile(boxes[:, 2:] - boxes[:, :2], 2))


def _chosen(boxes: Floats, scores: Floats, least: float) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Boxes with an area and their scores, where these are high enough; and which they are."""
    kept = (scores >= least) & np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return boxes[kept], scores[kept], kept


def _distinct(boxes: Floats, scores: Floats, most: float, *, of_smaller: bool = False) -> npt.NDArray[np.intp]:
    """Which boxes stay when each, from the highest score down, takes those away that overlap it by more than ``most``.

    The overlap is a share of both boxes' union, or of the smaller box.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[_overlaps(boxes[best], boxes[order], of_smaller) <= most]
    return np.array(kept, dtype=np.intp)


def _overlaps(box: Floats, others: Floats, of_smaller: bool) -> Floats:
    common = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    inside = np.clip(common, 0, None).prod(axis=1)
    own, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.asarray(inside / (np.minimum(own, areas) if of_smaller else own + areas - inside))
