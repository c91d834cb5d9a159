"""UTKFace's file names, the sound ones and those it really has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.sources import Sample, read_source
from agelens.errors import DataError


@pytest.fixture
def read_name(tmp_path: Path) -> Callable[[str], Sample]:
    """Reads one file name, beside a sound one that makes the folder UTKFace's."""

    def read(name: str) -> Sample:
        (tmp_path / "99_1_4_20170116184024662.jpg").touch()
        (tmp_path / name).touch()
        return next(sample for sample in read_source("utkface", tmp_path) if sample.path.name == name)

    return read


@pytest.mark.parametrize(
    ("name", "age", "gender", "race"),
    [
        ("26_1_0_20170116184024662.jpg", 26, "female", "White"),
        ("26_0_3_20170116184024662.jpg.chip.jpg", 26, "male", "Indian"),
        ("1_0_1_20161219140623097.jpg.chip.jpg", 1, "male", "Black"),
        ("116_1_2_20170120134744096.png", 116, "female", "Asian"),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", 24, "male", "Black"),
        ("55_0_0_20170116232725357jpg.chip.jpg", 55, "male", "White"),
        ("39_1_20170116174525125.jpg.chip.jpg", 39, "female", None),
        ("44_20170116174525125.jpg", 44, None, None),
        ("53__0_20170116184028385.jpg", 53, None, "White"),
        ("30_7_9_20170116184028385.jpg", 30, None, None),
    ],
)
def test_name_gives_its_labels(
    read_name: Callable[[str], Sample], name: str, age: float, gender: str | None, race: str | None
) -> None:
    sample = read_name(name)
    assert (sample.age, sample.gender, sample.race, sample.fault) == (age, gender, race, None)


@pytest.mark.parametrize(
    "name", ["portrait.jpg", "_1_0_2017.jpg", "-4_1_0_2017.jpg", "123_1_0_2017.jpg", "2²_1_0_20.jpg"]
)
def test_rubbish_name_is_a_fault(read_name: Callable[[str], Sample], name: str) -> None:
    sample = read_name(name)
    assert sample.fault == "bad label"
    assert sample.age is None


def test_folders_below_are_searched_and_other_files_passed_over(tmp_path: Path) -> None:
    (tmp_path / "part2").mkdir()
    for name in ("part2/5_0_0_2017.jpg", "7_1_1_2017.jpg", "README.md"):
        (tmp_path / name).touch()
    found = [sample.path.relative_to(tmp_path).as_posix() for sample in read_source("utkface", tmp_path)]
    assert found == ["7_1_1_2017.jpg", "part2/5_0_0_2017.jpg"]


def test_another_layout_is_refused_with_what_was_wanted_and_found(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match=r"wanted names like 26_1_0_\d+\.jpg, found holiday\.jpg"):
        read_source("utkface", tmp_path)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing"):
        read_source("utkface", tmp_path)


def test_unknown_source_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no source 'utkfaces'; there are: utkface"):
        read_source("utkfaces", tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        read_source("utkface", tmp_path / "nowhere")
