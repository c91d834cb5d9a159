"""Data sets whose labels stand in names: FG-NET, AgeDB, pictures named by their labels, folders named by ages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.sources import Sample

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

SOUND = {"fgnet": "082A28.JPG", "agedb": "1_X_9_m.jpg", "named": "z_9_m.jpg", "age-folders": "9/x.jpg"}


@pytest.mark.parametrize(
    ("source", "name", "age", "gender", "subject"),
    [
        ("fgnet", "images/001A02.JPG", 2, None, "001"),
        ("fgnet", "001A43a.JPG", 43, None, "001"),
        ("fgnet", "082a00B.jpg", 0, None, "082"),
        ("agedb", "10000_GlennClose_62_f.jpg", 62, "female", "GlennClose"),
        ("agedb", "0_MariaCallas_35_F.JPG", 35, "female", "MariaCallas"),
        ("agedb", "7_SammyDavisJr._101_m.jpg", 101, "male", "SammyDavisJr."),
        ("agedb", "7_Name_With_Lines_1_m.jpg", 1, "male", "Name_With_Lines"),
        ("named", "anna_31_f.jpg", 31, "female", "anna"),
        ("named", "anna_maria_031_Male.png", 31, "male", "anna_maria"),
        ("named", "7_0_0.jpg", 0, "male", "7"),
        ("named", "7_5_1.jpg", 5, "female", "7"),
        ("named", "7_5_FEMALE.jpg", 5, "female", "7"),
        ("named", "7_5_u.jpg", 5, None, "7"),
        ("named", "7_5_Unknown.jpg", 5, None, "7"),
        ("age-folders", "25/a.jpg", 25, None, None),
    ],
)
def test_name_gives_its_labels(
    write: Write, read: Read, source: str, name: str, age: float, gender: str | None, subject: str | None
) -> None:
    folder = write(name)
    assert read(source) == [Sample(folder / name, age=age, gender=gender, subject=subject)]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("fgnet", "001A2.JPG"),
        ("fgnet", "001A02ab.JPG"),
        ("fgnet", "01A02.JPG"),
        ("fgnet", "001A٠٢.JPG"),
        ("agedb", "10000_GlennClose_f.jpg"),
        ("agedb", "10000_GlennClose_62_x.jpg"),
        ("agedb", "10000__62_f.jpg"),
        ("agedb", "x_GlennClose_62_f.jpg"),
        ("agedb", "1_GlennClose_131_f.jpg"),
        ("named", "31_f.jpg"),
        ("named", "anna_31_beach.jpg"),
        ("named", "anna_31_2.jpg"),
        ("named", "anna_-1_f.jpg"),
        ("named", "anna_200_f.jpg"),
        ("named", "._anna_31.jpg"),
        ("age-folders", "a.jpg"),
        ("age-folders", "old/a.jpg"),
        ("age-folders", "train/old/a.jpg"),
        ("age-folders", "people/25/a.jpg"),
        ("age-folders", "train/25/more/a.jpg"),
        ("age-folders", "131/a.jpg"),
        ("age-folders", "²/a.jpg"),
    ],
)
def test_another_name_is_a_fault_beside_the_sound_ones(write: Write, read: Read, source: str, name: str) -> None:
    folder = write(name, SOUND[source])
    samples = {sample.path: sample for sample in read(source)}
    assert samples.keys() == {folder / name, folder / SOUND[source]}
    assert samples[folder / SOUND[source]].fault is None
    assert samples[folder / name].fault == "bad label"
    assert samples[folder / name].detail
    assert samples[folder / name].age is None


@pytest.mark.parametrize(
    ("part", "split"),
    [("train", "train"), ("test", "test"), ("val", "val"), ("valid", "val"), ("Validation", "val")],
)
def test_folders_of_ages_may_lie_within_splits(write: Write, read: Read, part: str, split: str) -> None:
    write(f"{part}/001/b.jpg", f"{part}/2/a.jpg", f"{part}/2/Thumbs.db")
    assert [(sample.age, sample.split) for sample in read("age-folders")] == [(1, split), (2, split)]
