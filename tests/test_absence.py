"""Why there is no face: each reason, from pictures that have it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from agelens.faces.absence import why_no_face
from agelens.faces.detector import Detection, FixedDetector
from agelens.faces.yunet import YuNet
from agelens.images import read_image

Pixels = npt.NDArray[np.uint8]


class UprightDetector:
    """Finds a face where a mark, a white corner, is at the upper left."""

    def detect(self, image: Pixels) -> list[Detection]:
        return [Detection((0, 0, 9, 9), np.zeros((5, 2), np.float32), 0.9)] if image[0, 0].min() == 255 else []


def _noise(low: int, high: int) -> Pixels:
    return np.random.default_rng(0).integers(low, high, (200, 300, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (_noise(0, 256)[:20], r"only 300 × 20 pixels"),
        (np.full((200, 200, 3), 90, np.uint8), "all of it has one colour"),
        (_noise(0, 40), "very dark"),
        (_noise(215, 256), "overexposed"),
        (_noise(0, 256), "Nothing in it looks like a face"),
    ],
)
def test_the_reason_is_what_is_wrong(image: Pixels, reason: str) -> None:
    assert reason in why_no_face(image, FixedDetector())


@pytest.mark.parametrize(
    ("corner", "reason"),
    [((0, -1), "on its right side"), ((-1, -1), "upside down"), ((-1, 0), "on its left side")],
)
def test_a_picture_that_lies_on_its_side_is_to_be_turned(corner: tuple[int, int], reason: str) -> None:
    image = _noise(0, 250)
    image[corner] = 255
    assert reason in why_no_face(image, UprightDetector())


def test_a_face_that_is_too_unclear_is_said_to_be_so(portrait: Path) -> None:
    whole = read_image(portrait)
    doubtful = next(
        image
        for sigma in range(2, 40)
        for image in [cv2.GaussianBlur(whole, (0, 0), sigma)]
        if not YuNet().detect(image) and YuNet(score_threshold=0.35).detect(image)
    )
    assert "may be a face, but is too unclear" in why_no_face(doubtful, YuNet())


def test_large_pictures_are_looked_at_small() -> None:
    sizes = []

    class Recorder:
        def detect(self, image: Pixels) -> list[Detection]:
            sizes.append(max(image.shape))
            return []

    why_no_face(np.tile(_noise(0, 256), (10, 10, 1)), Recorder())
    assert max(sizes) <= 640
