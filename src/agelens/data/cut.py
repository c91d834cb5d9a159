"""One sample to one crop, or to the reason why there is none: the work that every engine does."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agelens.data.crops import encode
from agelens.data.duplicates import digest, perceptual_hash
from agelens.data.reasons import Reason
from agelens.data.sources.sample import FaceRule, Sample
from agelens.errors import ImageError
from agelens.faces.align import CropSpec, align
from agelens.faces.detector import Detection, Detector, main_face
from agelens.images import MAX_FILE_BYTES, read_image

__all__ = ["Cut", "CutSettings", "Cutter", "label_row", "sample_name"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CutSettings:
    """How crops are made; the same settings give the same crops.

    Attributes:
        crop: how the stored crops are cut.
        faces: which face of several is meant.
        min_score: faces with a lower detector score (0…1) are removed.
        needs_gender: samples without a gender are removed.
    """

    crop: CropSpec
    faces: FaceRule = "main"
    min_score: float = 0.0
    needs_gender: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """What came of one sample: a row of the manifest, in plain values, and the crop as JPEG, empty when removed."""

    row: Row
    jpeg: bytes = b""


class _RemovedError(Exception):
    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Cutter:
    """Makes the crop of one sample after another; safe to call from several threads."""

    def __init__(self, folder: Path, settings: CutSettings, make_detector: Callable[[], Detector]) -> None:
        """
        Args:
            folder: the data set's, from which names in the manifest start.
            settings: how crops are made.
            make_detector: called once, here.
        """
        self._folder, self._settings, self._detector = folder, settings, make_detector()

    def __call__(self, sample: Sample) -> Cut:
        """The sample's row and crop; never raises for what is wrong with a sample."""
        row = label_row(sample, self._folder)
        try:
            return self._cut(sample, row)
        except _RemovedError as removed:
            return Cut(row | {"removed": str(removed.reason), "detail": removed.detail or sample.detail})

    def _cut(self, sample: Sample, row: Row) -> Cut:
        _check_labels(sample, self._settings)
        data = _read(sample.path)
        row["digest"] = digest(data)
        try:
            image = read_image(data)
        except ImageError as error:
            raise _RemovedError(Reason.UNREADABLE, str(error).removeprefix("bytes: ")) from error
        try:
            face = self._face(self._detector.detect(image), image.shape[1], image.shape[0])
            row |= {"box": list(map(float, face.box)), "score": float(face.score)}
            row["landmarks"] = face.landmarks.ravel().tolist()
            if face.score < self._settings.min_score:
                raise _RemovedError(Reason.LOW_SCORE, f"{face.score:.3f}")
            crop = align(image, face.landmarks, self._settings.crop)
            return Cut(row | {"phash": perceptual_hash(crop)}, encode(crop))
        except _RemovedError:
            raise
        except Exception as error:  # whatever a detector makes of one picture, the others go on
            raise _RemovedError(Reason.DETECTOR_FAILED, f"{type(error).__name__}: {error}") from error

    def _face(self, faces: list[Detection], width: int, height: int) -> Detection:
        if len(faces) > 1 and self._settings.faces == "only":
            raise _RemovedError(Reason.MORE_FACES, str(len(faces)))
        face = main_face(faces, width, height)
        if face is None:
            raise _RemovedError(Reason.NO_FACE)
        return face


def sample_name(path: Path, folder: Path) -> str:
    """A picture's name in the manifest: its path from the data set's folder; undecodable bytes as ``\\xff``."""
    return _plain(Path(os.path.relpath(path, folder)).as_posix())


def label_row(sample: Sample, folder: Path) -> Row:
    """The columns of the manifest that the data set itself says, in plain values."""
    row = {name: _plain(value) if isinstance(value, str) else value for name, value in asdict(sample).items()}
    for name in ("path", "fault", "detail"):
        del row[name]
    return {"source_path": sample_name(sample.path, folder), **row}


def _plain(text: str) -> str:
    """Labels too may come from file names, and those from bytes that are no text."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _check_labels(sample: Sample, settings: CutSettings) -> None:
    if sample.fault is not None:
        raise _RemovedError(sample.fault)
    if sample.age is None and (sample.age_low is None or sample.age_high is None):
        raise _RemovedError(Reason.NO_AGE)
    if sample.gender is None and settings.needs_gender:
        raise _RemovedError(Reason.NO_GENDER)


def _read(path: Path) -> bytes:
    try:
        if not path.exists():
            raise _RemovedError(Reason.MISSING)
        if not path.is_file():  # a pipe could hang
            raise _RemovedError(Reason.UNREADABLE, "not a regular file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _RemovedError(Reason.UNREADABLE, f"larger than {MAX_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _RemovedError(Reason.UNREADABLE, getattr(error, "strerror", None) or str(error)) from error
    except MemoryError as error:
        raise _RemovedError(Reason.UNREADABLE, "too little memory") from error
