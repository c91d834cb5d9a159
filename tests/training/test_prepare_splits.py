"""Splits, folds and copies, from a data set's own labels to the manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from agelens.data.manifest import Manifest
from agelens.errors import DataError

Prepared = Callable[..., Manifest]


@pytest.fixture
def table_folder(faces_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """``table_folder(split=[…], fold=[…])`` is the made-up people with a table, and these columns in it."""

    def make(**columns: list[object]) -> Path:
        folder = tmp_path / "set"
        shutil.copytree(faces_folder, folder)
        names = sorted(path.name for path in faces_folder.iterdir())
        table = pd.DataFrame({"path": names, "age": [name.split("_")[0].split(".")[0] for name in names], **columns})
        table.to_csv(folder / "labels.csv", index=False)
        return folder

    return make


@pytest.fixture
def few(faces_folder: Path, tmp_path: Path) -> Path:
    """Three of the made-up people."""
    (tmp_path / "few").mkdir()
    for path in sorted(faces_folder.iterdir())[:3]:
        shutil.copy(path, tmp_path / "few")
    return tmp_path / "few"


def test_an_official_split_and_folds_are_kept(
    table_folder: Callable[..., Path], tmp_path: Path, prepared: Prepared
) -> None:
    split, fold = ["test", "val", "train", "train"] * 10, [0, 1, 2, 3, 4] * 8
    made = prepared(table_folder(split=split, fold=fold), tmp_path / "out", "csv", val_share=0.5, test_share=0.3)
    assert made.table["split"].tolist() == split
    assert made.table["fold"].tolist() == fold


def test_a_validation_part_is_taken_from_an_official_training_part(
    table_folder: Callable[..., Path], tmp_path: Path, prepared: Prepared
) -> None:
    official = ["test", "train", "train", "train"] * 10
    folder = table_folder(split=official)
    made = prepared(folder, tmp_path / "out", "csv", val_share=0.2, test_share=0.3).table["split"]
    assert [one if one == "test" else "train" for one in made] == official  # no other test part is made
    assert (made == "val").sum() == pytest.approx(0.2 * 30, abs=2)


def test_official_splits_can_be_ignored(table_folder: Callable[..., Path], tmp_path: Path, prepared: Prepared) -> None:
    folder = table_folder(split=["val"] * 40)
    made = prepared(folder, tmp_path / "out", "csv", val_share=0.2, keep_official=False).table["split"]
    assert (made == "train").sum() == pytest.approx(32, abs=2)


def test_shares_of_validation_and_test_are_held_back(faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    made = prepared(faces_folder, tmp_path, val_share=0.2, test_share=0.4).table
    counts = made["split"].value_counts()
    assert counts["val"] == pytest.approx(8, abs=2)
    assert counts["test"] == pytest.approx(16, abs=2)
    assert made["fold"].isna().all()


def test_folds_are_made_on_demand(faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    made = prepared(faces_folder, tmp_path, folds=4).table
    assert made["fold"].value_counts().to_dict() == pytest.approx(dict.fromkeys(range(4), 10), abs=2)


@pytest.mark.parametrize("whole", [True, False])
def test_names_or_paths_to_hold_back(whole: bool, faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    (tmp_path / "set").mkdir()
    shutil.copytree(faces_folder, tmp_path / "set/sub")
    names = sorted(path.name for path in faces_folder.iterdir())[::7]
    listed = frozenset([f"sub/{name}" if whole else name for name in names] + ["not there"])
    made = prepared(tmp_path / "set", tmp_path / "out", val_names=listed, val_share=0.5)
    assert made.split("val")["source_path"].tolist() == [f"sub/{name}" for name in names]
    assert len(made.split("train")) == 40 - len(names)


def test_names_that_are_not_there_are_refused_with_one_that_is(
    faces_folder: Path, tmp_path: Path, prepared: Prepared
) -> None:
    first = min(path.name for path in faces_folder.iterdir())
    with pytest.raises(DataError, match=f"none of the 2 names to hold back is in the data set; wanted such as {first}"):
        prepared(faces_folder, tmp_path, val_names=frozenset({"a.jpg", "b.jpg"}))


def test_too_few_pictures_to_hold_any_back_are_all_for_training(few: Path, tmp_path: Path, prepared: Prepared) -> None:
    assert prepared(few, tmp_path / "out").table["split"].tolist() == ["train"] * 3


def test_too_few_pictures_for_the_folds_are_refused(few: Path, tmp_path: Path, prepared: Prepared) -> None:
    with pytest.raises(DataError, match="3 different pictures or people cannot be split into 5 parts"):
        prepared(few, tmp_path / "out", folds=5)


def test_one_subject_falls_on_one_side(table_folder: Callable[..., Path], tmp_path: Path, prepared: Prepared) -> None:
    folder = table_folder(subject=[number // 4 for number in range(40)])
    table = prepared(folder, tmp_path / "out", "csv", val_share=0.5, folds=5).table
    assert table.groupby("subject")[["group", "split", "fold"]].nunique().eq(1).all(axis=None)
    assert table["group"].nunique() == 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_reencoded_copy_falls_on_the_side_of_its_original(
    seed: int, faces_folder: Path, tmp_path: Path, prepared: Prepared
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(faces_folder, folder)
    original = sorted(folder.iterdir())[5]
    with Image.open(original) as picture:
        picture.save(folder / "50_0_0_copy.jpg", quality=60)
    table = prepared(folder, tmp_path / "out", val_share=0.5, folds=5, seed=seed).table.set_index("source_path")
    twins = table.loc[[original.name, "50_0_0_copy.jpg"]]
    assert twins[["group", "split", "fold"]].nunique().tolist() == [1, 1, 1]
    assert twins["digest"].nunique() == 2
    assert table["group"].nunique() == 40


def test_copies_are_dropped_on_demand(faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    folder = tmp_path / "set"
    shutil.copytree(faces_folder, folder)
    same, other = sorted(folder.iterdir())[10:12]
    age = same.name.split("_")[0]
    shutil.copy(same, folder / f"{same.name}.copy.jpg")
    shutil.copy(other, folder / "99_0_0_conflict.jpg")
    kept = prepared(folder, tmp_path / "with").table.set_index("source_path")
    assert kept["removed"].isna().all()
    assert kept.loc[same.name, "group"] == kept.loc[f"{same.name}.copy.jpg", "group"]

    table = prepared(folder, tmp_path / "without", drop_duplicates=True).table.set_index("source_path")
    assert age == f"{table.loc[same.name, 'age']:g}"
    assert table["removed"].dropna().to_dict() == {
        f"{same.name}.copy.jpg": "duplicate",
        other.name: "conflicting labels",
        "99_0_0_conflict.jpg": "conflicting labels",
    }
    assert table.loc[table["removed"].notna(), ["split", "group"]].isna().all(axis=None)


def test_a_picture_that_a_table_names_twice_counts_once(
    table_folder: Callable[..., Path], tmp_path: Path, prepared: Prepared
) -> None:
    folder = table_folder()
    with (folder / "labels.csv").open() as file:
        lines = file.read().splitlines()
    other = lines[2].split(",")[0] + ",99"
    (folder / "labels.csv").write_text("\n".join([*lines, lines[1], other]))
    table = prepared(folder, tmp_path / "out", "csv").table
    assert table["removed"].dropna().to_dict() == {
        40: "duplicate",
        1: "conflicting labels",
        41: "conflicting labels",
    }
