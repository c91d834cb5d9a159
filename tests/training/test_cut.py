"""One sample to a crop, or to the one reason why there is none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from agelens.data import cut as cut_module
from agelens.data.crops import read_crop
from agelens.data.cut import Cut, CutSettings, Cutter
from agelens.data.duplicates import digest, perceptual_hash
from agelens.data.reasons import Reason
from agelens.data.sources.sample import Sample
from agelens.faces.align import CropSpec, align
from agelens.faces.detector import Detection, FixedDetector
from agelens.images import read_image

Picture = npt.NDArray[np.uint8]
SPEC = CropSpec(40, 0.2)


@pytest.fixture
def picture(faces_folder: Path) -> Path:
    """A picture in which the detector finds a face."""
    return min(faces_folder.iterdir())


@pytest.fixture
def cut(faces_folder: Path, detector: FixedDetector) -> Callable[..., Cut]:
    """``cut(sample, faces="only")`` cuts one sample by the fixed detector, or by ``detector``."""

    def run(sample: Sample, detector: Any = detector, **settings: Any) -> Cut:
        return Cutter(faces_folder, CutSettings(SPEC, **settings), lambda: detector)(sample)

    return run


def _why(cut: Cut) -> tuple[str, str | None]:
    assert cut.jpeg == b""
    json.dumps(cut.row)
    return cut.row["removed"], cut.row["detail"]


def test_a_sound_sample_gives_its_labels_its_face_and_its_crop(
    picture: Path, tmp_path: Path, detector: FixedDetector, cut: Callable[..., Cut]
) -> None:
    made = cut(Sample(picture, age=30.0, gender="female", subject="s", split="val", fold=2))
    (face,) = detector.detect(np.zeros((1, 1, 3), np.uint8))
    (tmp_path / "crop.jpg").write_bytes(made.jpeg)
    wanted = align(read_image(picture), face.landmarks, SPEC)
    assert np.abs(read_crop(tmp_path, "crop.jpg", None, None).astype(int) - wanted).mean() < 4
    labels = {"source_path": picture.name, "age": 30.0, "gender": "female", "subject": "s", "split": "val", "fold": 2}
    found = {"box": list(face.box), "landmarks": face.landmarks.ravel().tolist(), "score": 0.9}
    prints = {"digest": digest(picture.read_bytes()), "phash": perceptual_hash(wanted)}
    assert labels | found | prints == {name: value for name, value in made.row.items() if value is not None}
    assert json.loads(json.dumps(made.row)) == made.row
    assert made == cut(Sample(picture, age=30.0, gender="female", subject="s", split="val", fold=2))


@pytest.mark.parametrize("kind", ["gone", "folder", "pipe", "empty", "text", "long"])
def test_a_file_that_is_no_picture_is_removed(kind: str, tmp_path: Path, cut: Callable[..., Cut]) -> None:
    paths = {name: tmp_path / f"{name}.jpg" for name in ("gone", "folder", "pipe", "empty", "text")}
    paths["folder"].mkdir()
    os.mkfifo(paths["pipe"])
    paths["empty"].touch()
    paths["text"].write_text("no picture")
    wanted = {
        "gone": ("missing file", None),
        "folder": ("unreadable", "not a regular file"),
        "pipe": ("unreadable", "not a regular file"),
        "empty": ("unreadable", "empty; wanted JPEG, PNG, WebP, BMP, TIFF or GIF"),
        "text": ("unreadable", "not an image that can be read; wanted JPEG, PNG, WebP, BMP, TIFF or GIF"),
        "long": ("unreadable", "File name too long"),
    }
    assert _why(cut(Sample(paths.get(kind, tmp_path / ("x" * 300)), age=30))) == wanted[kind]


def test_a_damaged_picture_keeps_the_digest_of_its_bytes(
    picture: Path, tmp_path: Path, cut: Callable[..., Cut]
) -> None:
    half = picture.read_bytes()[:700]
    (tmp_path / "half.jpg").write_bytes(half)
    made = cut(Sample(tmp_path / "half.jpg", age=30))
    assert _why(made)[0] == "unreadable"
    assert made.row["digest"] == digest(half)


def test_a_file_too_large_is_not_read(picture: Path, cut: Callable[..., Cut], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut_module, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    assert _why(cut(Sample(picture, age=30))) == ("unreadable", "larger than 100 bytes")


@pytest.mark.parametrize(
    ("fault", "detail"),
    [(MemoryError(), "too little memory"), (OSError(5, "Input/output error"), "Input/output error")],
)
def test_a_file_that_fails_while_it_is_read_is_removed(
    fault: Exception, detail: str, picture: Path, cut: Callable[..., Cut], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> bytes:
        raise fault

    monkeypatch.setattr(Path, "read_bytes", failing)
    assert _why(cut(Sample(picture, age=30))) == ("unreadable", detail)


def test_a_fault_that_the_source_found_comes_first(tmp_path: Path, cut: Callable[..., Cut]) -> None:
    sample = Sample(tmp_path / "gone.jpg", fault=Reason.BAD_LABEL, detail="line 3: age 'old' is no number")
    assert _why(cut(sample, needs_gender=True)) == ("bad label", "line 3: age 'old' is no number")


def test_samples_need_an_age_or_a_whole_band(picture: Path, cut: Callable[..., Cut]) -> None:
    assert _why(cut(Sample(picture))) == ("no age", None)
    assert _why(cut(Sample(picture, age_low=20, apparent_age=25))) == ("no age", None)
    assert cut(Sample(picture, age_low=20, age_high=29)).jpeg
    assert cut(Sample(picture, age=0)).jpeg


def test_samples_need_a_gender_only_where_it_is_asked_for(picture: Path, cut: Callable[..., Cut]) -> None:
    assert _why(cut(Sample(picture, age=30), needs_gender=True)) == ("no gender", None)
    assert cut(Sample(picture, age=30, gender="male"), needs_gender=True).jpeg
    assert cut(Sample(picture, age=30)).jpeg


def test_of_several_faces_the_main_one_is_cut_or_none(
    picture: Path, cut: Callable[..., Cut], make_detection: Callable[..., Detection]
) -> None:
    faces = [make_detection(5, 5, 8), make_detection(32, 32, 40), make_detection(60, 60, 8)]
    assert _why(cut(Sample(picture, age=30), FixedDetector(faces), faces="only")) == ("more than one face", "3")
    assert cut(Sample(picture, age=30), FixedDetector(faces)).row["box"] == list(faces[1].box)
    assert cut(Sample(picture, age=30), FixedDetector(faces[1:2]), faces="only").jpeg
    for rule in ("main", "only"):
        assert _why(cut(Sample(picture, age=30), FixedDetector(), faces=rule)) == ("no face", None)


@pytest.mark.parametrize(("score", "stays"), [(0.8999, False), (0.9, True), (0.9001, True)])
def test_a_low_score_removes_and_an_equal_one_stays(
    score: float, stays: bool, picture: Path, cut: Callable[..., Cut], make_detection: Callable[..., Detection]
) -> None:
    made = cut(Sample(picture, age=30), FixedDetector([make_detection(32, 32, score=score)]), min_score=0.9)
    assert bool(made.jpeg) == stays
    assert made.row["score"] == score  # it stands in the manifest either way
    if not stays:
        assert _why(made) == ("low detector score", "0.900")


@pytest.mark.parametrize(
    "fault", [RuntimeError("no luck"), cv2.error("no luck"), KeyError("x"), MemoryError()], ids=repr
)
def test_a_picture_that_the_detector_fails_on_is_removed(
    fault: Exception, picture: Path, cut: Callable[..., Cut]
) -> None:
    class Failing:
        def detect(self, image: Picture) -> list[Detection]:
            raise fault

    why, detail = _why(cut(Sample(picture, age=30), Failing()))
    assert why == "detector failed"
    assert detail is not None
    assert type(fault).__name__ in detail


@pytest.mark.parametrize("place", [30.0, np.nan, np.inf])
def test_landmarks_that_no_crop_can_be_made_of_are_the_detectors_failure(
    place: float, picture: Path, cut: Callable[..., Cut]
) -> None:
    broken = Detection((1.0, 1.0, 9.0, 9.0), np.full((5, 2), place, dtype=np.float32), 0.9)
    assert _why(cut(Sample(picture, age=30), FixedDetector([broken])))[0] == "detector failed"
