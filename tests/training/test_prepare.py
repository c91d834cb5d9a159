"""From a data set's folder to crops and a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from agelens.data.manifest import Manifest
from agelens.errors import DataError, OutputError
from agelens.faces.align import CropSpec, align
from agelens.faces.detector import Detection, Detector, FixedDetector
from agelens.images import read_image

Picture = npt.NDArray[np.uint8]
Prepared = Callable[..., Manifest]
Contents = Callable[[Path], dict[str, str]]


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


@pytest.fixture
def mixed(mixed_folder: Path, tmp_path: Path, detector: FixedDetector, prepared: Prepared) -> Manifest:
    """That folder, prepared."""
    return prepared(mixed_folder, tmp_path / "out", detector=FaceWhereLight(detector))


def test_every_file_is_kept_or_removed_with_its_reason(mixed: Manifest, mixed_folder: Path) -> None:
    table = mixed.table
    assert len(table) == len(list(mixed_folder.iterdir())) == 44
    assert table["removed"].isna().sum() == 41
    removed = table.dropna(subset="removed").set_index("source_path")["removed"].to_dict()
    assert removed == {
        "50_0_0_20180101000000001.jpg": "no face",
        "50_0_0_20180101000000002.jpg": "unreadable",
        "portrait.jpg": "bad label",
    }


def test_what_is_wrong_is_told_in_detail(mixed: Manifest) -> None:
    details = mixed.table.set_index("source_path")["detail"].dropna()
    assert details.to_dict() == {
        "50_0_0_20180101000000002.jpg": "not an image that can be read; wanted JPEG, PNG, WebP, BMP, TIFF or GIF",
        "portrait.jpg": "the name does not start with an age and a gender",
    }


def test_removed_samples_have_no_crop_group_or_split(mixed: Manifest) -> None:
    removed = mixed.table["removed"].notna()
    columns = ["path", "offset", "length", "group", "split", "box", "landmarks", "score", "phash"]
    assert mixed.table.loc[removed, columns].isna().all(axis=None)
    assert mixed.table.loc[~removed, [*columns, "digest"]].notna().all(axis=None)


def test_crops_are_what_align_cuts(manifest: Manifest, faces_folder: Path, detector: FixedDetector) -> None:
    rows = manifest.split("all")
    assert len(rows) == 40
    for _, row in rows.iloc[::9].iterrows():
        stored = manifest.read_crop(row)
        wanted = align(
            read_image(faces_folder / row["source_path"]), detector.detect(stored)[0].landmarks, manifest.crop
        )
        assert stored.shape == (48, 48, 3)
        assert np.abs(stored.astype(int) - wanted).mean() < 4  # only JPEG lies between them


def test_crops_lie_in_one_pack_without_gaps(manifest: Manifest) -> None:
    rows = manifest.split("all")
    assert set(rows["path"]) == {"crops.pack"}
    ends = (rows["offset"] + rows["length"]).tolist()
    assert rows["offset"].tolist() == [0, *ends[:-1]]
    assert (manifest.folder / "crops.pack").stat().st_size == ends[-1]
    assert sorted(path.name for path in manifest.folder.iterdir()) == ["crops.pack", "manifest.parquet"]


def test_labels_and_detection_stand_in_the_manifest(manifest: Manifest, detector: FixedDetector) -> None:
    row = manifest.table.set_index("source_path").loc["33_0_1_20170116000000016.jpg.chip.jpg"]
    (face,) = detector.detect(np.zeros((1, 1, 3), dtype=np.uint8))
    assert (row["age"], row["gender"], row["race"], row["dataset"]) == (33, "male", "Black", "utkface")
    assert row["landmarks"].tolist() == face.landmarks.ravel().tolist()
    assert tuple(row["box"]) == face.box
    assert row["score"] == np.float32(face.score)


@pytest.mark.parametrize("workers", [1, 5])
def test_number_of_workers_changes_nothing(
    workers: int, manifest: Manifest, faces_folder: Path, prepared: Prepared, contents: Contents, tmp_path: Path
) -> None:
    prepared(faces_folder, tmp_path, crop=manifest.crop, val_share=0.25, workers=workers)
    assert contents(tmp_path) == contents(manifest.folder)


def test_the_same_preparation_again_changes_nothing(
    faces_folder: Path, prepared: Prepared, contents: Contents, tmp_path: Path
) -> None:
    first = prepared(faces_folder, tmp_path / "out")
    before = contents(first.folder)
    (first.folder / "unfinished.jsonl").touch()  # as if the process had been killed at its very last step
    progress: list[int] = []
    again = prepared(faces_folder, tmp_path / "out", progress=lambda done, total: progress.append(done))
    pd.testing.assert_frame_equal(again.table, first.table)
    assert contents(first.folder) == before
    assert progress == []


@pytest.mark.parametrize(
    "other", [{"crop": CropSpec(64, 0.0)}, {"seed": 1}, {"drop_duplicates": True}, {"min_score": 0.5}], ids=str
)
def test_another_preparation_in_the_same_folder_is_refused(
    other: dict[str, object], faces_folder: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    out = prepared(faces_folder, tmp_path / "out").folder
    before = contents(out)
    with pytest.raises(OutputError, match=f"{out}: holds a data set that was prepared in another way"):
        prepared(faces_folder, out, **other)
    assert contents(out) == before


def test_a_manifest_of_unknown_making_is_not_overwritten(
    faces_folder: Path, manifest: Manifest, tmp_path: Path, prepared: Prepared
) -> None:
    (tmp_path / "manifest.parquet").write_text("not to be lost")
    with pytest.raises(DataError, match="not a manifest of agelens"):
        prepared(faces_folder, tmp_path)
    assert (tmp_path / "manifest.parquet").read_text() == "not to be lost"


def test_nothing_is_written_to_the_source_folder(
    mixed_folder: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    before = contents(mixed_folder)
    prepared(mixed_folder, tmp_path / "out")
    assert contents(mixed_folder) == before


def test_progress_counts_to_the_total(faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    seen: list[tuple[int, int]] = []
    prepared(faces_folder, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 40) for done in range(41)]


def test_nothing_usable_is_refused_with_the_reasons(mixed_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    with pytest.raises(DataError, match="no sample can be used: 42 no face, 1 unreadable, 1 bad label"):
        prepared(mixed_folder, tmp_path / "out", detector=FixedDetector())
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_a_photo_in_colour_keeps_its_colours(
    made_up_face: Callable[[int, int], Picture], tmp_path: Path, prepared: Prepared
) -> None:
    (tmp_path / "colour").mkdir()
    for number in range(4):
        picture = made_up_face(number, 20)
        picture[..., 2] = 0
        Image.fromarray(picture).save(tmp_path / f"colour/2{number}_0_0_2017.png")
    made = prepared(tmp_path / "colour", tmp_path / "out", val_share=0.5)
    crop = made.read_crop(made.split("all").iloc[0])
    assert crop[..., 0].mean() > 30
    assert crop[..., 2].mean() < 15
