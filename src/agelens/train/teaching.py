"""What other models say of the training faces, for a network to learn from."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.bundle import Bundle, model_file
from agelens.data.columns import GENDERS
from agelens.data.manifest import Manifest
from agelens.embedders import check_takes_crops
from agelens.errors import ConfigError, DataError
from agelens.evaluate.evaluation import predict_rows
from agelens.faces.align import recrop_matrix
from agelens.files import atomic_path, make_folder
from agelens.train.dataset import CropDataset

__all__ = ["ANSWERS", "add_answers", "check_teachers"]

ANSWERS: Final = "teachers.npz"
DOUBT: Final = 1e-6  # of each year, that teachers are never without
Values = npt.NDArray[np.float32]


def check_teachers(teachers: Sequence[Path], manifest: Manifest) -> None:
    """See that each teacher can say something of a manifest's faces, before any work.

    Raises:
        BundleError: it is no bundle.
        ConfigError: its genders are others than ours.
        DataError: the crops do not fit it.
    """
    for path in teachers:
        card = Bundle.load(path).card
        check_takes_crops(card)
        if card.genders not in ((), GENDERS):
            raise ConfigError(f"{path}: tells the genders {card.genders}; a teacher must tell {GENDERS}, or none")
        try:
            recrop_matrix(manifest.crop, card.crop)
        except ValueError as error:
            raise DataError(f"{path}: {error}; prepare the data set again for this teacher") from error


def add_answers(
    train_set: CropDataset,
    manifest: Manifest,
    teachers: Sequence[Path],
    kept: Path | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Ask the teachers about each face of a training split, and put their mean answers into its labels.

    Of a face whose band is known their answer counts within the band: they only say where in it the age lies.

    Args:
        train_set: the faces; gets the labels ``taught_age`` and ``taught_gender``.
        manifest: where they come from.
        teachers: bundles that ``check_teachers`` let through.
        kept: a file for the answers, which are not asked for again while the faces and the teachers are the same;
            None to keep none.
        progress: called with the number of faces that all teachers have seen so far, and their total.

    Raises:
        DataError: a crop is missing or damaged.
        OutputError: the answers cannot be kept.
    """
    asked = _fingerprint(train_set, teachers)
    found = None if kept is None else _read(kept, asked)
    if found is None:
        found = _ask(train_set, manifest, teachers, progress)
        if kept is not None:
            _write(kept, asked, *found)
    train_set.labels["taught_age"], train_set.labels["taught_gender"] = found


def _ask(
    train_set: CropDataset, manifest: Manifest, teachers: Sequence[Path], progress: Callable[[int, int], None]
) -> tuple[Values, Values]:
    faces = len(train_set)
    age, gender = np.zeros((faces, ages.NUM_BINS)), np.zeros((faces, len(GENDERS)))
    telling = 0
    for number, path in enumerate(teachers):
        bundle = Bundle.load(path)

        def passed_on(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(teachers) * total)

        said = predict_rows(bundle, manifest, train_set.rows, progress=passed_on)
        age += said.age_probs
        if bundle.card.genders:
            gender += said.gender_probs
            telling += 1
    age = _within_bands(age / age.sum(axis=1, keepdims=True), train_set)
    return age.astype(np.float32), (gender / max(1, telling)).astype(np.float32)


def _within_bands(age: npt.NDArray[np.float64], train_set: CropDataset) -> npt.NDArray[np.float64]:
    labels, axis = train_set.labels, ages.axis()
    low, high = labels["low"][:, None], labels["high"][:, None]
    outside = np.isnan(labels["age"])[:, None] & ((axis < low) | (axis > high))
    inside = np.where(outside, 0, age + DOUBT)  # a band that the teachers rule out is taken whole
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


def _fingerprint(train_set: CropDataset, teachers: Sequence[Path]) -> str:
    digests = [hashlib.sha256(model_file(path).read_bytes()).hexdigest() for path in teachers]
    return hashlib.sha256("".join([train_set.fingerprint(), *digests]).encode()).hexdigest()


def _read(path: Path, asked: str) -> tuple[Values, Values] | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return (kept["age"], kept["gender"]) if str(kept["asked"]) == asked else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):  # none yet, or cut off
        return None


def _write(path: Path, asked: str, age: Values, gender: Values) -> None:
    make_folder(path.parent)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, asked=np.array(asked), age=age, gender=gender)
