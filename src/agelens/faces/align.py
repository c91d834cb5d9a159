"""One crop function: what a network is trained on and what it sees in a photo come from here.

A crop is a square cut so that the five landmarks of a face fall on fixed points: a template, in the unit square.
``CropSpec.margin`` says how much lies around that square, on each side, as a share of its side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "TEMPLATES",
    "CropSpec",
    "align",
    "crop_whole",
    "realign_matrix",
    "recrop",
    "recrop_matrix",
    "similarity",
    "warp",
]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]

# Eyes, nose tip, mouth corners, the viewer's left first, in the unit square.
TEMPLATES: Final[Mapping[str, Floats]] = {
    # Forehead to chin, ear to ear: where YuNet's landmarks lie on average in UTKFace's own crops, made symmetric.
    "face": np.array([[0.305, 0.29], [0.695, 0.29], [0.5, 0.5], [0.335, 0.68], [0.665, 0.68]]),
    # The mean face of Deng et al., "ArcFace", CVPR 2019, published for 112 x 112 pixels; it lies low and ends at
    # the chin. For face-recognition networks.
    "arcface": np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    / 112,
}

WHOLE: Final = "face"  # the template of an image that is a crop of a face
WARP_SIDE: Final = 32_766  # OpenCV's warp takes no image with a longer side

# Beyond the photo's edge the last row or column goes on: no black corners for a network to learn from.
BORDER = cv2.BORDER_REPLICATE


@dataclass(frozen=True, slots=True)
class CropSpec:
    """How a face is cut out.

    Attributes:
        size: pixels a side, 16…1024.
        margin: what lies around the template's square on each side, as a share of its side, -0.2…2.
        template: a name in ``TEMPLATES``.
    """

    size: int
    margin: float
    template: str = "face"

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 1024:
            raise ValueError(f"crop size is {self.size}; it must lie within 16…1024 pixels")
        if not -0.2 <= self.margin <= 2:
            raise ValueError(f"crop margin is {self.margin}; it must lie within -0.2…2")
        if self.template not in TEMPLATES:
            raise ValueError(f"crop template is {self.template!r}; there are: {', '.join(TEMPLATES)}")

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> CropSpec:
        """One from plain values, as they stand in files.

        Raises:
            TypeError, ValueError, KeyError: they are not those of a spec.
        """
        return cls(**{**raw, "size": index(raw["size"])})

    def points(self) -> npt.NDArray[np.float64]:
        """Where the five landmarks fall in the crop: (5, 2), x and y in pixels."""
        return np.asarray(((TEMPLATES[self.template] - 0.5) / (1 + 2 * self.margin) + 0.5) * self.size)


def similarity(source: Floats, target: Floats) -> npt.NDArray[np.float64]:
    """Least-squares rotation, scale and shift that takes ``source`` to ``target``: two (N, 2) → (2, 3).

    Raises:
        ValueError: the source points all coincide.

    Source: Umeyama, "Least-squares estimation of transformation parameters", PAMI 1991; in two dimensions the
    answer is one complex number: ``Σ conj(s)·t / Σ |s|²`` over the centred points.
    """
    src = np.asarray(source, dtype=np.float64) @ np.array([1, 1j])
    dst = np.asarray(target, dtype=np.float64) @ np.array([1, 1j])
    centred = src - src.mean()
    spread = float(np.sum(np.abs(centred) ** 2))
    if not spread > 0:
        raise ValueError("the landmarks all lie on one point; nothing can be aligned by them")
    turn = np.sum(np.conj(centred) * (dst - dst.mean())) / spread
    shift = dst.mean() - turn * src.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align(image: Image, landmarks: Floats, spec: CropSpec) -> Image:
    """Cut the face with these landmarks out of an image.

    Args:
        image: RGB, (H, W, 3) uint8.
        landmarks: (5, 2), x and y in pixels of ``image``: eyes, nose tip, mouth corners, the viewer's left first.
        spec: size and margin of the crop.

    Returns:
        (size, size, 3) uint8, the face upright.

    Raises:
        ValueError: the landmarks all lie on one point.
    """
    return warp(image, similarity(landmarks, spec.points()), spec.size)


def recrop(crop: Image, made: CropSpec, wanted: CropSpec) -> Image:
    """Turn a stored crop into one with less margin or another size, as if it had been cut so at once.

    Raises:
        ValueError: ``wanted`` has another template, or shows more around the face than the stored crop holds.
    """
    matrix = recrop_matrix(made, wanted)
    return crop if made == wanted else warp(crop, matrix, wanted.size)


def recrop_matrix(made: CropSpec, wanted: CropSpec) -> npt.NDArray[np.float64]:
    """The (2, 3) matrix from pixels of a stored crop to those of the crop wanted; raises as ``recrop``."""
    if wanted.template != made.template:
        raise ValueError(f"the crops were made with template {made.template!r}, but {wanted.template!r} is wanted")
    if wanted.margin > made.margin + 1e-9:
        raise ValueError(f"the crops were made with margin {made.margin:.3f}, but {wanted.margin:.3f} is wanted")
    scale = wanted.size / made.size * (1 + 2 * made.margin) / (1 + 2 * wanted.margin)
    shift = (wanted.size - scale * made.size) / 2
    return np.array([[scale, 0, shift], [0, scale, shift]])


def realign_matrix(made: CropSpec, wanted: CropSpec, landmarks: Floats | None = None) -> npt.NDArray[np.float64]:
    """The (2, 3) matrix from pixels of a stored crop to those of the crop wanted, whatever their templates.

    No face lies exactly on a template. With its landmarks in the photo the crop is the one that ``align`` would cut
    out of the photo; without them the face is taken to be the template's, which is off by a tenth of a degree and a
    three-hundredth of the size (UTKFace, from "face" to "arcface", on average).

    Args:
        made: how the stored crop was cut.
        wanted: how the new one is to be.
        landmarks: (5, 2), in pixels of the photo from which the stored crop was cut.

    Raises:
        ValueError: as ``recrop``, for crops of one template; or the landmarks all lie on one point.
    """
    if made.template == wanted.template:
        return recrop_matrix(made, wanted)
    if landmarks is None:
        return similarity(made.points(), wanted.points())
    back = cv2.invertAffineTransform(similarity(landmarks, made.points()))
    forth = similarity(landmarks, wanted.points())
    return np.column_stack([forth[:, :2] @ back[:, :2], forth[:, :2] @ back[:, 2] + forth[:, 2]])


def crop_whole(image: Image, spec: CropSpec) -> Image:
    """The whole image as the face, for crops in which no face is detected: (H, W, 3) → (size, size, 3).

    The shorter side is filled up at both ends by its last row or column, so nothing is cut off or stretched.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    if spec.template != WHOLE:  # the face lies in such images as in that template
        points = TEMPLATES[WHOLE] * side + (np.array([width, height]) - side) / 2 - 0.5
        return warp(image, similarity(points, spec.points()), spec.size)
    scale = spec.size / side
    # pixel centres lie at half steps: (u + ½)·scale - ½ keeps the image in the middle
    shift_x, shift_y = (spec.size - scale * np.array([width, height]) + scale - 1) / 2
    return warp(image, np.array([[scale, 0, shift_x], [0, scale, shift_y]]), spec.size)


def warp(image: Image, matrix: npt.NDArray[np.float64], size: int) -> Image:
    """Move an image by a (2, 3) matrix into a square: (H, W, 3) uint8 → (size, size, 3), averaged where it shrinks."""
    image, matrix = _shrink(image, matrix, size)
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=BORDER)
    return np.asarray(warped, dtype=np.uint8)


def _shrink(image: Image, matrix: npt.NDArray[np.float64], size: int) -> tuple[Image, npt.NDArray[np.float64]]:
    """Average large faces down before the warp, which reads only 2 x 2 pixels and would alias; cut huge photos."""
    factor = max(1, math.floor(1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))))
    if factor == 1 and max(image.shape[:2]) <= WARP_SIDE:
        return image, matrix
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ inverse.T
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.floor(corners.min(axis=0)).astype(int) - factor, 0, [width - 1, height - 1])
    x2, y2 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + factor, [x1 + 1, y1 + 1], [width, height])
    part = image[y1:y2, x1:x2]
    columns, rows = max(1, (x2 - x1) // factor), max(1, (y2 - y1) // factor)
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    # a pixel centre u of the small image stands at (u + ½)·step - ½ + start in the large one
    step = np.array([(x2 - x1) / columns, (y2 - y1) / rows])
    start = np.array([x1, y1]) + step / 2 - 0.5
    linear = matrix[:, :2]
    return np.asarray(small, dtype=np.uint8), np.column_stack([linear * step, linear @ start + matrix[:, 2]])
