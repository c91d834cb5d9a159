"""Adience: its folds, its odd bands, and the rows that lack something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.reasons import Reason
from agelens.data.sources import SOURCES, Sample, read_source
from agelens.errors import ConfigError, DataError

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

HEAD = "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\ttilt_ang\tfiducial_yaw_angle\tfiducial_score\r\n"
REST = "\t0\t414\t1086\t1383\t-115\t30\t17"
FACE = "faces/7@N00/coarse_tilt_aligned_face.2.a_o.jpg"
ALIGNED = "aligned/7@N00/landmark_aligned_face.2.a_o.jpg"


def row(age: str = "(0, 2)", gender: str = "f", user: str = "7@N00") -> str:
    """One row of a fold."""
    return f"{user}\ta_o.jpg\t2\t{age}\t{gender}{REST}\r\n"


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("(0, 2)", (0, 2)),
        ("(4, 6)", (4, 6)),
        ("(8, 12)", (8, 12)),
        ("(15, 20)", (15, 20)),
        ("(25, 32)", (25, 32)),
        ("(38, 43)", (38, 43)),
        ("(48, 53)", (48, 53)),
        ("(60, 100)", (60, 100)),
        ("(27, 32)", (25, 32)),
        ("(38, 42)", (38, 43)),
        ("(38, 48)", (38, 43)),
        ("(8, 23)", (15, 20)),
        ("2", (0, 2)),
        ("3", (0, 2)),
        ("13", (8, 12)),
        ("22", (15, 20)),
        ("23", (25, 32)),
        ("34", (25, 32)),
        ("35", (38, 43)),
        ("36", (38, 43)),
        ("45", (38, 43)),
        ("46", (48, 53)),
        ("55", (48, 53)),
        ("56", (48, 53)),
        ("57", (60, 100)),
        ("58", (60, 100)),
        ("110", (60, 100)),
    ],
)
def test_band_is_the_nearest_official_one(write: Write, read: Read, text: str, band: tuple[float, float]) -> None:
    write(FACE)
    folder = write("fold_4_data.txt", text=HEAD + row(text))
    low, high = band
    wanted = Sample(folder / FACE, age_low=low, age_high=high, gender="female", subject="7@N00", fold=4)
    assert read("adience") == [wanted]


@pytest.mark.parametrize("age", ["None", ""])
def test_no_age_is_a_fault_that_keeps_the_rest(write: Write, read: Read, age: str) -> None:
    write(FACE)
    folder = write("fold_0_data.txt", text=HEAD + row(age, "m"))
    wanted = Sample(folder / FACE, gender="male", subject="7@N00", fold=0, fault=Reason.NO_AGE)
    assert read("adience") == [wanted]


@pytest.mark.parametrize("gender", ["u", ""])
def test_no_gender_is_left_to_the_rule_of_the_source(write: Write, read: Read, gender: str) -> None:
    write(FACE)
    write("fold_0_data.txt", text=HEAD + row(gender=gender))
    assert [(sample.gender, sample.fault) for sample in read("adience")] == [(None, None)]
    assert SOURCES["adience"].needs_gender
    assert SOURCES["adience"].faces == "only"
    assert SOURCES["adience"].min_score == 0.9


def test_damaged_rows_name_file_and_line(write: Write, read: Read) -> None:
    write(FACE)
    rows = [
        row(),
        "7@N00\ta_o.jpg\t2\t(0, 2)\tf\r\n",
        row("young"),
        row(gender="x"),
        row(user=""),
        row(user="../.."),
        "7@",
    ]
    folder = write("fold_2_data.txt", text=HEAD + "".join(rows))
    samples = read("adience")
    assert [sample.fault for sample in samples] == [None] + ["bad label"] * 6
    details = [str(sample.detail) for sample in samples]
    assert details[1] == "fold_2_data.txt line 3: 5 fields, where the table has 12 columns"
    for number, words in ((4, "band 'young'"), (5, "gender 'x'"), (6, "no user_id"), (7, "leaves"), (8, "1 fields")):
        assert details[number - 2].startswith(f"fold_2_data.txt line {number}: ")
        assert words in details[number - 2]
    assert samples[2].path == folder / FACE
    assert samples[5].path == folder / "fold_2_data.txt"


def test_the_picture_is_listed_where_it_should_be_though_it_is_missing(write: Write, read: Read) -> None:
    write("faces/other.jpg")
    folder = write("fold_0_data.txt", text=HEAD + row())
    assert [(sample.path, sample.fault) for sample in read("adience")] == [(folder / FACE, None)]


def test_aligned_pictures_come_first_and_either_can_be_chosen(write: Write, read: Read) -> None:
    write(FACE)
    folder = write("fold_0_data.txt", text=HEAD + row())
    assert [sample.path for sample in read("adience")] == [folder / FACE]
    with pytest.raises(DataError, match="not laid out as adience"):
        read("adience", pictures="aligned")
    write(ALIGNED)
    assert [sample.path for sample in read("adience")] == [folder / ALIGNED]
    assert [sample.path for sample in read("adience", pictures="faces")] == [folder / FACE]
    with pytest.raises(ConfigError, match="option pictures = 'all': wanted one of aligned, faces"):
        read("adience", pictures="all")


def test_folds_keep_their_numbers_though_some_are_not_there(write: Write, read: Read) -> None:
    write(FACE)
    for fold in (3, 1):
        write(f"fold_{fold}_data.txt", text=HEAD + row())
    assert [sample.fold for sample in read("adience")] == [1, 3]


def test_tables_without_pictures_and_pictures_without_tables_are_refused(write: Write, read: Read) -> None:
    write("fold_0_data.txt", text=HEAD + row())
    with pytest.raises(DataError, match=r"not laid out as adience; .* found fold_0_data\.txt"):
        read("adience")
    write(FACE).joinpath("fold_0_data.txt").unlink()
    with pytest.raises(DataError, match="found faces"):
        read("adience")


def test_every_real_row_is_there_once(real_data: Path) -> None:
    folder = real_data / "Adience"
    rows = []
    for table in sorted(folder.glob("fold_?_data.txt")):
        rows += [line.split("\t") for line in table.read_text().splitlines()[1:]]
    sound = [fields for fields in rows if len(fields) == 12]
    samples = list(read_source(SOURCES["adience"], folder))
    faults = [sample.fault for sample in samples]
    assert len(samples) == len(rows)
    assert faults.count(Reason.NO_AGE) == sum(fields[3] in ("None", "") for fields in sound) > 0
    assert [fault for fault in faults if fault not in (None, Reason.NO_AGE)] == ["bad label"] * (len(rows) - len(sound))
    labelled = [sample for sample in samples if sample.fault != "bad label"]
    for gender, letters in (("female", ("f",)), ("male", ("m",)), (None, ("u", ""))):
        assert sum(sample.gender == gender for sample in labelled) == sum(fields[4] in letters for fields in sound) > 0
    assert [sample.subject for sample in labelled] == [fields[0] for fields in sound]
    files = set((folder / "faces").rglob("*.jpg"))
    assert len(files) == sum(sample.path in files for sample in labelled) == 229
