"""A public data set in; aligned crops and a manifest out, with a reason for every removal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.data.manifest import COLUMNS, Manifest, write_manifest
from agelens.data.sources import Sample, read_source
from agelens.data.splits import assign_split, group_duplicates, thumbprint
from agelens.errors import DataError, ImageError, OutputError
from agelens.faces.align import CropSpec, align
from agelens.faces.detector import Detector, main_face
from agelens.files import atomic_path, make_folder, real_path
from agelens.images import read_image

__all__ = ["MANIFEST_NAME", "prepare"]

MANIFEST_NAME: Final = "manifest.parquet"
CROPS: Final = "crops"
JPEG_QUALITY: Final = 95


@dataclass(frozen=True, slots=True)
class _Prepared:
    row: dict[str, Any]
    thumb: npt.NDArray[np.float32] | None = None


def prepare(
    source: str,
    folder: Path,
    out: Path,
    *,
    detector: Detector,
    crop: CropSpec,
    val_share: float = 0.1,
    seed: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Detect, align and crop every face of a data set; write crops and ``manifest.parquet`` under ``out``.

    Args:
        source: name of the layout, one of ``sources.SOURCES``.
        folder: the data set as it is distributed; never written to.
        out: folder for the crops and the manifest.
        detector: finds the faces.
        crop: how the stored crops are cut.
        val_share: share of the samples held back as the split "val".
        seed: of the split.
        workers: threads that detect and crop.
        progress: called with the number of samples done and their total.

    Returns:
        The manifest, as written.

    Raises:
        DataError: the folder is not laid out as the source says, or no sample can be used.
        OutputError: ``out`` cannot be written, holds a prepared data set, or overlaps with ``folder``.
    """
    _check_out(real_path(folder), real_path(out))
    samples = read_source(source, folder)
    crops = make_folder(out / CROPS)
    rows: list[_Prepared] = []

    def work(index: int) -> _Prepared:
        target = crops / f"{index // 1000:03d}" / f"{index:06d}.jpg"
        return _prepare_one(samples[index], target, detector, crop)

    for part in range(0, len(samples), 1000):
        make_folder(crops / f"{part // 1000:03d}")
    with ThreadPoolExecutor(workers) as pool:
        for prepared in pool.map(work, range(len(samples))):
            rows.append(prepared)
            progress(len(rows), len(samples))
    manifest = Manifest(_table(rows, source, folder, out, val_share, seed), crop, out)
    write_manifest(manifest, out / MANIFEST_NAME)
    return manifest


def _check_out(folder: Path, out: Path) -> None:
    crops = out / CROPS
    if out.is_relative_to(folder) or folder.is_relative_to(crops) or crops.is_relative_to(folder):
        raise OutputError(f"{out}: overlaps with the data set's own folder, which is never written to; choose another")
    if (out / MANIFEST_NAME).exists():  # its rows must not come to name the crops of another data set
        raise OutputError(f"{out}: holds a prepared data set already; remove it first, or choose another folder")


def _prepare_one(sample: Sample, target: Path, detector: Detector, spec: CropSpec) -> _Prepared:
    row: dict[str, Any] = {"source_path": sample.path, "age": sample.age, "gender": sample.gender, "race": sample.race}
    row["subject"] = sample.subject
    if sample.fault:
        return _Prepared({**row, "removed": sample.fault})
    try:
        image = read_image(sample.path)
    except ImageError:
        return _Prepared({**row, "removed": "unreadable"})
    try:
        face = main_face(detector.detect(image), image.shape[1], image.shape[0])
        if face is None:
            return _Prepared({**row, "removed": "no face"})
        crop = align(image, face.landmarks, spec)
    except Exception:  # whatever a detector makes of one picture, the others go on
        return _Prepared({**row, "removed": "detector failed"})
    _write_jpeg(crop, target)
    row |= {"path": target, "box": face.box, "landmarks": face.landmarks.ravel(), "score": face.score}
    return _Prepared(row, thumbprint(crop))


def _write_jpeg(crop: npt.NDArray[np.uint8], target: Path) -> None:
    done, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OutputError(f"{target}: the crop could not be encoded as JPEG")
    with atomic_path(target) as temporary:
        temporary.write_bytes(data.tobytes())


def _table(rows: list[_Prepared], source: str, folder: Path, out: Path, val_share: float, seed: int) -> pd.DataFrame:
    table = pd.DataFrame([prepared.row for prepared in rows]).reindex(columns=COLUMNS.names)
    table["dataset"] = source
    table["source_path"] = [path.relative_to(folder).as_posix() for path in table["source_path"]]
    table["path"] = [path.relative_to(out).as_posix() if isinstance(path, Path) else None for path in table["path"]]
    kept = table["removed"].isna().to_numpy()
    if not kept.any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in table["removed"].value_counts().items())
        raise DataError(f"{folder}: no sample can be used: {reasons}")
    groups = group_duplicates(np.stack([row.thumb for row in rows if row.thumb is not None]))
    ages = table.loc[kept, "age"].to_numpy(dtype=float)
    try:
        split = assign_split(ages, groups, val_share=val_share, seed=seed)
    except ValueError as error:
        raise DataError(f"{folder}: {error}") from error
    table["group"] = pd.array([None] * len(table), dtype="Int32")
    table.loc[kept, "group"] = groups
    table["split"] = pd.Series([None] * len(table), dtype=object)
    table.loc[kept, "split"] = split
    return table
