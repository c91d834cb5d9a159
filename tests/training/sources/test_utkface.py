"""UTKFace's file names, the sound ones and those it really has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.sources import SOURCES, Sample, read_source
from agelens.images import SUFFIXES

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

SOUND = "99_1_4_20170116184024662.jpg"

# Those of the real folder that are not as the rest, and what their names still say.
MISNAMED = {
    "24_0_1_20170116220224657 .jpg.chip.jpg": (24, "male", "Black"),
    "55_0_0_20170116232725357jpg.chip.jpg": (55, "male", "White"),
    "39_1_20170116174525125.jpg.chip.jpg": (39, "female", None),
    "61_1_20170109150557335.jpg.chip.jpg": (61, "female", None),
    "14_0_0_2017011022340900.jpg.chip.jpg": (14, "male", "White"),
    "28_1_2_201701161846515488.jpg.chip.jpg": (28, "female", "Asian"),
}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("26_1_0_20170116184024662.jpg", (26, "female", "White")),
        ("26_0_3_20170116184024662.jpg.chip.jpg", (26, "male", "Indian")),
        ("1_0_1_20161219140623097.jpg.chip.jpg", (1, "male", "Black")),
        ("116_1_2_20170120134744096.png", (116, "female", "Asian")),
        ("44_20170116174525125.jpg", (44, None, None)),
        ("53__0_20170116184028385.jpg", (53, None, "White")),
        ("30_7_9_20170116184028385.jpg", (30, None, None)),
        *MISNAMED.items(),
    ],
)
def test_name_gives_its_labels(
    write: Write, read: Read, name: str, labels: tuple[float, str | None, str | None]
) -> None:
    age, gender, race = labels
    folder = write(name)
    assert read("utkface") == [Sample(folder / name, age=age, gender=gender, race=race)]


@pytest.mark.parametrize(
    "name", ["portrait.jpg", "_1_0_2017.jpg", "-4_1_0_2017.jpg", "123_1_0_2017.jpg", "2²_1_0_20.jpg", "26.jpg"]
)
def test_rubbish_name_is_a_fault(write: Write, read: Read, name: str) -> None:
    write(SOUND, name)
    sample = next(sample for sample in read("utkface") if sample.path.name == name)
    assert sample.fault == "bad label"
    assert sample.detail
    assert sample.age is None


def test_folders_below_are_searched_and_other_files_passed_over(write: Write, read: Read) -> None:
    folder = write("part2/5_0_0_2017.jpg", "7_1_1_2017.jpg", "README.md")
    found = [sample.path.relative_to(folder).as_posix() for sample in read("utkface")]
    assert found == ["7_1_1_2017.jpg", "part2/5_0_0_2017.jpg"]


def test_every_real_file_is_there_once(real_data: Path) -> None:
    samples = list(read_source(SOURCES["utkface"], real_data / "UTKFace"))
    paths = [sample.path for sample in samples]
    files = {path for path in (real_data / "UTKFace").rglob("*") if path.suffix.lower() in SUFFIXES}
    assert len(paths) == len(files) == 20_118
    assert set(paths) == files
    assert all(sample.fault is None and sample.age is not None and 1 <= sample.age <= 116 for sample in samples)
    # named as the rest: four fields, gender 0 or 1
    named = [sample for sample in samples if sample.path.name.count("_") == 3]
    assert all(sample.gender and sample.race for sample in named)
    assert {
        sample.path.name: (sample.age, sample.gender, sample.race) for sample in samples
    }.items() >= MISNAMED.items()
