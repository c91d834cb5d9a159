"""FairFace: one table or both, its nine bands, and rows that are damaged."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.sources import SOURCES, Sample, read_source
from agelens.errors import DataError

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

HEAD = "file,age,gender,race,service_test\n"
BANDS = {
    "0-2": (0, 2),
    "3-9": (3, 9),
    "10-19": (10, 19),
    "20-29": (20, 29),
    "30-39": (30, 39),
    "40-49": (40, 49),
    "50-59": (50, 59),
    "60-69": (60, 69),
    "more than 70": (70, 100),
}


@pytest.mark.parametrize(("text", "band"), BANDS.items())
def test_band_gender_race_and_split(write: Write, read: Read, text: str, band: tuple[float, float]) -> None:
    write("fairface_label_train.csv", text=f"{HEAD}train/1.jpg,{text},Female,Latino_Hispanic,False\n")
    folder = write("fairface_label_val.csv", text=f"{HEAD}val/1.jpg,{text},Male,East Asian,True\n")
    low, high = band
    labels = {"age_low": low, "age_high": high}
    assert read("fairface") == [
        Sample(folder / "train/1.jpg", **labels, gender="female", race="Latino_Hispanic", split="train"),
        Sample(folder / "val/1.jpg", **labels, gender="male", race="East Asian", split="val"),
    ]


def test_either_table_will_do(write: Write, read: Read) -> None:
    write("fairface_label_val.csv", text=f"{HEAD}val/1.jpg,0-2,Male,White,True\n")
    assert [sample.split for sample in read("fairface")] == ["val"]


def test_damaged_rows_are_faults_of_their_own(write: Write, read: Read) -> None:
    rows = [
        "train/1.jpg,old,Male,White,",
        "train/2.jpg,9-3,Male,White,",
        "train/3.jpg,0-2,Man?,White,",
        "x",
        "../a,0-2,,,",
    ]
    folder = write("fairface_label_train.csv", text=HEAD + "\r\n".join([*rows, "train/4.jpg,0-2,Male,,True"]))
    samples = read("fairface")
    assert [sample.fault for sample in samples] == ["bad label"] * 5 + [None]
    table = "fairface_label_train.csv"
    assert [sample.path.relative_to(folder).as_posix() for sample in samples] == [
        *(f"train/{number}.jpg" for number in (1, 2, 3)),
        *(table, table, "train/4.jpg"),
    ]
    assert samples[0].detail == f"{table} line 2: band 'old' is not like 25-32, (25, 32) or 60+"
    assert str(samples[3].detail).startswith(f"{table} line 5: 1 fields")


def test_a_table_without_its_columns_is_refused_before_anything_is_read(write: Write, read: Read) -> None:
    write("fairface_label_train.csv", text=f"{HEAD}train/1.jpg,0-2,Male,White,True\n")
    write("fairface_label_val.csv", text="file,years,gender,race\n")
    samples = read_source(SOURCES["fairface"], write())
    with pytest.raises(DataError, match="no column 'age'; the table has: 'file', 'years', 'gender', 'race'"):
        next(samples)


def test_every_real_row_is_there_once(real_data: Path) -> None:
    folder = real_data / "FairFace"
    with (folder / "fairface_label_train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    samples = list(read_source(SOURCES["fairface"], folder))
    assert len(samples) == len(rows) == 9_995
    assert [sample.path for sample in samples] == [folder / row["file"] for row in rows]
    assert all(sample.path.is_file() for sample in samples)
    assert Counter((sample.age_low, sample.age_high) for sample in samples) == Counter(
        BANDS[row["age"]] for row in rows
    )
    assert [sample.gender for sample in samples] == [row["gender"].lower() for row in rows]
    assert all(sample.fault is None and sample.split == "train" for sample in samples)
