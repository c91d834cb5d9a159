"""Weights of frames: blur, size, pose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agelens import AgeEstimator
from agelens.faces.align import TEMPLATES
from agelens.images import read_image
from agelens.results import Face
from agelens.video.quality import LEAST, face_quality, frontal

Points = np.ndarray


@pytest.fixture(scope="module")
def estimator() -> AgeEstimator:
    return AgeEstimator.load("lite", threads=1)


def _of(image: np.ndarray, estimator: AgeEstimator) -> tuple[float, Face]:
    face = estimator.predict(image)[0]
    return face_quality(image, face), face


def test_a_blurred_face_counts_less(portrait: Path, estimator: AgeEstimator) -> None:
    sharp = read_image(portrait)
    qualities = [
        _of(sharp if not sigma else cv2.GaussianBlur(sharp, (0, 0), sigma), estimator)[0] for sigma in (0, 2, 5)
    ]
    assert qualities[0] > qualities[1] > qualities[2] >= LEAST
    assert qualities[2] < 0.5 * qualities[0]


def test_a_small_face_counts_less(portrait: Path, estimator: AgeEstimator) -> None:
    whole = read_image(portrait)
    small = cv2.resize(whole, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    assert _of(small, estimator)[0] < 0.7 * _of(whole, estimator)[0]


def test_a_turned_head_counts_less() -> None:
    straight = (TEMPLATES["face"] * 100).astype(np.float32)
    turned, profile = straight.copy(), straight.copy()
    turned[2, 0] += 10
    profile[2, 0] += 25
    assert frontal(straight) == pytest.approx(1, abs=0.01)
    assert frontal(straight) > frontal(turned) > frontal(profile) == 0


def test_a_tilted_head_counts_the_same() -> None:
    points = TEMPLATES["face"] * 100
    angle = np.deg2rad(40)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert frontal((points @ turn).astype(np.float32)) == pytest.approx(frontal(points.astype(np.float32)), abs=1e-4)


def test_points_on_one_spot_count_least(portrait: Path, estimator: AgeEstimator) -> None:
    image = read_image(portrait)
    face = _of(image, estimator)[1]
    assert face_quality(image, replace(face, landmarks=np.ones((5, 2), np.float32))) == LEAST
    assert face_quality(image, replace(face, landmarks=None, score=None)) == LEAST
