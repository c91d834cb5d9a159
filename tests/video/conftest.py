"""What the tests of videos share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from agelens import AgeEstimator
from agelens.faces.detector import Detection

from .clips import BrightPatchDetector, face_frame

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="session")
def walking() -> list[Pixels]:
    """Thirty frames in which a face walks to the right."""
    return [face_frame([(60 + 4 * index, 120)]) for index in range(30)]


@pytest.fixture
def estimator(make_bundle: Callable[..., Path], make_detection: Callable[..., Detection]) -> AgeEstimator:
    """Of the tiny bundle and the detector of bright squares."""
    return AgeEstimator.load(make_bundle(), detector=BrightPatchDetector(make_detection), threads=1)
