"""APPA-REAL: its three tables, apparent and real ages, and the face beside each picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.reasons import Reason
from agelens.data.sources import Sample
from agelens.errors import ConfigError

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

HEAD = "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age\n"


def test_the_three_splits_with_both_ages(write: Write, read: Read) -> None:
    for number, part in enumerate(("test", "train", "valid")):
        write(f"gt_avg_{part}.csv", text=f"{HEAD}00000{number}.jpg,38,5.05263157895,1.31583721,{number}\n")
    folder = write("train/000001.jpg", "train/000001.jpg_face.jpg")
    guesses = {"apparent_age": 5.05263157895, "apparent_std": 1.31583721}
    assert read("appa-real") == [
        Sample(folder / "train/000001.jpg", age=1, split="train", **guesses),
        Sample(folder / "valid/000002.jpg", age=2, split="val", **guesses),
        Sample(folder / "test/000000.jpg", age=0, split="test", **guesses),
    ]


def test_the_picture_or_the_face_in_it(write: Write, read: Read) -> None:
    folder = write("gt_avg_valid.csv", text=f"{HEAD}000007.jpg,38,5,1,4\n")
    assert [sample.path for sample in read("appa-real", pictures="full")] == [folder / "valid/000007.jpg"]
    assert [sample.path for sample in read("appa-real", pictures="face")] == [folder / "valid/000007.jpg_face.jpg"]
    with pytest.raises(ConfigError, match="option pictures = 'both': wanted one of full, face"):
        read("appa-real", pictures="both")


def test_damaged_rows_are_faults(write: Write, read: Read) -> None:
    rows = ["1.jpg,38,5,1,", "1.jpg,38,5,1,old", "1.jpg,38,500,1,4", "1.jpg,38,5,-1,4", ",38,5,1,4", "1.jpg,38"]
    write("gt_avg_train.csv", text=HEAD + "\n".join(rows))
    samples = read("appa-real")
    assert [sample.fault for sample in samples] == [Reason.NO_AGE] + [Reason.BAD_LABEL] * 5
    assert samples[0].apparent_age == 5
    assert samples[2].detail == "gt_avg_train.csv line 4: apparent_age_avg '500' is not within 0-130"
