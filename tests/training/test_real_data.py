"""Checks on the real UTKFace; the environment variable AGELENS_DATA names the folder that holds it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from agelens.data.cut import CutSettings
from agelens.data.manifest import read_manifest
from agelens.data.prepare import Preparation, prepare
from agelens.data.sources import Sample, find_source, read_source
from agelens.faces.align import CropSpec
from agelens.faces.detector import main_face
from agelens.faces.yunet import YuNet
from agelens.images import SUFFIXES

DATA = os.environ.get("AGELENS_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="AGELENS_DATA is not set")

SPEC = CropSpec(size=160, margin=0.1)
REASONS = {"no face", "unreadable", "bad label"}


@pytest.fixture(scope="module")
def folder() -> Path:
    """UTKFace, as it is distributed."""
    return Path(str(DATA)) / "UTKFace"


@pytest.fixture(scope="module")
def samples(folder: Path) -> list[Sample]:
    """Every sample in it."""
    return list(read_source(find_source("utkface"), folder))


def test_every_file_of_utkface_is_read(folder: Path, samples: list[Sample]) -> None:
    files = {path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES}
    assert {sample.path for sample in samples} == files
    sound = [sample for sample in samples if not sample.fault]
    assert len(sound) > 0.99 * len(files)
    assert all(sample.age is not None and 1 <= sample.age <= 116 for sample in sound)
    assert sum(sample.gender is None for sample in sound) < 0.01 * len(files)


def test_sixty_faces_are_prepared_and_lie_where_the_spec_says(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    for sample in samples[:: max(1, len(samples) // 60)][:60]:
        shutil.copy(sample.path, tmp_path / "some")
    manifest = read_manifest(prepare(Preparation("utkface", CutSettings(SPEC)), tmp_path / "some", tmp_path / "out"))
    assert len(manifest.table) == 60
    assert set(manifest.table["removed"].dropna()) <= REASONS
    kept = manifest.split("all")
    assert len(kept) >= 57

    distances = []
    for row in kept.to_dict("records"):
        crop = manifest.read_crop(row)
        assert crop.shape == (160, 160, 3)
        face = main_face(YuNet().detect(crop), 160, 160)
        if face is not None:
            distances.append(np.linalg.norm(face.landmarks - SPEC.points(), axis=1).mean())
    assert len(distances) >= 0.95 * len(kept)
    assert np.mean(distances) < 0.06 * SPEC.size
