"""From a data set's folder to crops and a manifest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from agelens.data.manifest import Manifest, read_manifest
from agelens.data.prepare import prepare
from agelens.errors import DataError, OutputError
from agelens.faces.align import CropSpec, align
from agelens.faces.detector import Detection, Detector, FixedDetector
from agelens.images import read_image

Picture = npt.NDArray[np.uint8]
SPEC = CropSpec(size=40, margin=0.2)


class FaceWhereLight:
    """Finds the given face, but none in pictures that are black all over."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def detect(self, image: Picture) -> list[Detection]:
        return self._detector.detect(image) if image.any() else []


@pytest.fixture
def mixed_folder(tmp_path: Path, faces_folder: Path) -> Path:
    """The forty made-up people; a re-encoded copy of one; and four files that cannot be used."""
    folder = tmp_path / "mixed"
    shutil.copytree(faces_folder, folder)
    with Image.open(sorted(faces_folder.iterdir())[5]) as original:
        original.save(folder / "50_0_0_20180101000000000.jpg", quality=60)
    Image.new("RGB", (64, 64)).save(folder / "50_0_0_20180101000000001.jpg")
    (folder / "50_0_0_20180101000000002.jpg").write_bytes(b"\xff\xd8 not a picture")
    Image.new("RGB", (64, 64), "white").save(folder / "portrait.jpg")
    return folder


def _contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_file_is_kept_or_removed_with_its_reason(
    mixed_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    table = prepare("utkface", mixed_folder, tmp_path / "out", detector=FaceWhereLight(detector), crop=SPEC).table
    assert len(table) == len(list(mixed_folder.iterdir())) == 44
    assert table["removed"].isna().sum() == 41
    removed = table.dropna(subset="removed").set_index("source_path")["removed"].to_dict()
    assert removed == {
        "50_0_0_20180101000000001.jpg": "no face",
        "50_0_0_20180101000000002.jpg": "unreadable",
        "portrait.jpg": "bad label",
    }


def test_removed_samples_have_no_crop_group_or_split(
    mixed_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    prepare("utkface", mixed_folder, tmp_path / "out", detector=FaceWhereLight(detector), crop=SPEC)
    table = read_manifest(tmp_path / "out").table
    removed, kept = table[table["removed"].notna()], table[table["removed"].isna()]
    columns = ["path", "group", "split", "box", "landmarks", "score"]
    assert removed[columns].isna().all(axis=None)
    assert kept[columns].notna().all(axis=None)


def test_crops_are_what_align_cuts(manifest: Manifest, faces_folder: Path, detector: FixedDetector) -> None:
    rows = manifest.split("all")
    assert len(rows) == 40
    for row in rows.iloc[::9].itertuples():
        stored = read_image(manifest.folder / row.path)
        wanted = align(read_image(faces_folder / row.source_path), detector.detect(stored)[0].landmarks, manifest.crop)
        assert stored.shape == (48, 48, 3)
        assert np.abs(stored.astype(int) - wanted).mean() < 4  # only JPEG lies between them


def test_labels_and_detection_stand_in_the_manifest(manifest: Manifest, detector: FixedDetector) -> None:
    row = manifest.table.set_index("source_path").loc["33_0_1_20170116000000016.jpg.chip.jpg"]
    face = detector.detect(np.zeros((1, 1, 3), dtype=np.uint8))[0]
    assert (row["age"], row["gender"], row["race"], row["dataset"]) == (33, "male", "Black", "utkface")
    assert row["landmarks"].tolist() == face.landmarks.ravel().tolist()
    assert tuple(row["box"]) == face.box
    assert row["score"] == face.score


def test_written_manifest_is_the_one_returned(manifest: Manifest) -> None:
    written = read_manifest(manifest.folder)
    assert written.crop == manifest.crop
    for name in ("path", "source_path", "age", "split", "group"):
        assert written.table[name].tolist() == manifest.table[name].tolist()


@pytest.mark.parametrize("workers", [1, 5])
def test_number_of_workers_changes_nothing(
    workers: int, manifest: Manifest, faces_folder: Path, detector: FixedDetector, tmp_path: Path
) -> None:
    again = prepare(
        "utkface", faces_folder, tmp_path, detector=detector, crop=manifest.crop, val_share=0.25, workers=workers
    )
    assert _contents(tmp_path) == _contents(manifest.folder)
    pd.testing.assert_frame_equal(read_manifest(tmp_path).table, read_manifest(manifest.folder).table)
    assert again.split("val")["path"].tolist() == manifest.split("val")["path"].tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_reencoded_copy_shares_group_and_split_with_its_original(
    seed: int, mixed_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    detector_ = FaceWhereLight(detector)
    made = prepare(
        "utkface", mixed_folder, tmp_path / "out", detector=detector_, crop=SPEC, val_share=0.5, seed=seed
    ).split("all")
    original = sorted(made["source_path"])[5]
    twins = made[made["source_path"].isin([original, "50_0_0_20180101000000000.jpg"])]
    assert len(twins) == 2
    assert twins["group"].nunique() == twins["split"].nunique() == 1
    assert made["group"].nunique() == 40


def test_nothing_is_written_to_the_source_folder(mixed_folder: Path, tmp_path: Path, detector: FixedDetector) -> None:
    before = _contents(mixed_folder)
    prepare("utkface", mixed_folder, tmp_path / "out", detector=FaceWhereLight(detector), crop=SPEC)
    assert _contents(mixed_folder) == before


def test_progress_counts_to_the_total(faces_folder: Path, tmp_path: Path, detector: FixedDetector) -> None:
    seen: list[tuple[int, int]] = []
    prepare(
        "utkface",
        faces_folder,
        tmp_path,
        detector=detector,
        crop=SPEC,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 40) for done in range(1, 41)]


def test_output_that_cannot_be_written_is_an_output_error(
    faces_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="no folder that can be written in"):
        prepare("utkface", faces_folder, tmp_path / "file" / "out", detector=detector, crop=SPEC)


def test_nothing_usable_is_refused_with_the_reasons(mixed_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sample can be used: 42 no face, 1 unreadable, 1 bad label"):
        prepare("utkface", mixed_folder, tmp_path / "out", detector=FixedDetector(), crop=SPEC)
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_too_few_pictures_to_split_are_refused(faces_folder: Path, tmp_path: Path, detector: FixedDetector) -> None:
    (tmp_path / "few").mkdir()
    for path in sorted(faces_folder.iterdir())[:3]:
        shutil.copy(path, tmp_path / "few")
    with pytest.raises(DataError, match="3 different pictures cannot be split into 10 parts"):
        prepare("utkface", tmp_path / "few", tmp_path / "out", detector=detector, crop=SPEC)


def test_a_face_whose_landmarks_coincide_is_removed_not_fatal(
    mixed_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    sound = detector.detect(np.zeros((1, 1, 3), dtype=np.uint8))[0]
    broken = Detection(sound.box, np.full((5, 2), 30, dtype=np.float32), 0.9)

    class Broken:
        def detect(self, image: Picture) -> list[Detection]:
            return [sound] if image.any() else [broken]

    table = prepare("utkface", mixed_folder, tmp_path / "out", detector=Broken(), crop=SPEC).table
    assert table.set_index("source_path")["removed"]["50_0_0_20180101000000001.jpg"] == "detector failed"
    assert table["removed"].isna().sum() == 41


@pytest.mark.parametrize("fault", [RuntimeError("no luck"), cv2.error("no luck"), KeyError("x")], ids=repr)
def test_a_picture_that_the_detector_fails_on_is_removed_not_fatal(
    fault: Exception, mixed_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    class Failing:
        def detect(self, image: Picture) -> list[Detection]:
            if image.any():
                return detector.detect(image)
            raise fault

    table = prepare("utkface", mixed_folder, tmp_path / "out", detector=Failing(), crop=SPEC).table
    assert table.set_index("source_path")["removed"]["50_0_0_20180101000000001.jpg"] == "detector failed"
    assert table["removed"].isna().sum() == 41


def test_a_folder_with_a_manifest_is_refused_and_left_as_it_is(
    faces_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    out = tmp_path / "out"
    prepare("utkface", faces_folder, out, detector=detector, crop=SPEC)
    before = _contents(out)
    with pytest.raises(OutputError, match=f"{out}: holds a prepared data set already"):
        prepare("utkface", faces_folder, out, detector=detector, crop=CropSpec(64, 0.0))
    assert _contents(out) == before


@pytest.mark.parametrize(
    ("folder", "out"),
    [
        ("set", "set"),
        ("set", "set/out"),
        ("out/crops", "out"),
        ("out/crops/set", "out"),
        ("set", "link"),
        ("set/crops", "set/crops"),
    ],
)
def test_output_that_overlaps_with_the_data_set_is_refused(
    folder: str, out: str, faces_folder: Path, tmp_path: Path, detector: FixedDetector
) -> None:
    shutil.copytree(faces_folder, tmp_path / folder)
    if out == "link":
        (tmp_path / "link").symlink_to(tmp_path / "set")
    before = _contents(tmp_path)
    with pytest.raises(OutputError, match="overlaps with the data set's own folder"):
        prepare("utkface", tmp_path / folder, tmp_path / out, detector=detector, crop=SPEC)
    assert _contents(tmp_path) == before


def test_a_data_set_beside_the_crops_is_no_overlap(faces_folder: Path, tmp_path: Path, detector: FixedDetector) -> None:
    shutil.copytree(faces_folder, tmp_path / "out/UTKFace")
    made = prepare("utkface", tmp_path / "out/UTKFace", tmp_path / "out", detector=detector, crop=SPEC)
    assert len(made.split("all")) == 40


def test_a_photo_in_colour_keeps_its_colours(
    made_up_face: Callable[[int, int], Picture], tmp_path: Path, detector: FixedDetector
) -> None:
    folder = tmp_path / "colour"
    folder.mkdir()
    for number in range(4):
        picture = made_up_face(number, 20)
        picture[..., 2] = 0
        cv2.imwrite(str(folder / f"2{number}_0_0_2017.png"), picture[..., ::-1])
    made = prepare("utkface", folder, tmp_path / "out", detector=detector, crop=SPEC, val_share=0.5)
    crop = read_image(made.folder / made.split("all")["path"][0])
    assert crop[..., 0].mean() > 30
    assert crop[..., 2].mean() < 15
