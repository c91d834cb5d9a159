"""Every fault of a manifest is found, by its row, and all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from agelens.data.checks import RULES, Fault, find_faults
from agelens.data.columns import COLUMNS

Cells = list[tuple[int, str, Any]]


def _rows(*cells: tuple[int, str, Any]) -> pa.Table:
    """Three sound samples and, in row 3, one that was removed, with some cells changed."""
    rows: list[dict[str, Any]] = [
        {
            "path": "crops.pack",
            "offset": 10 * number,
            "length": 10,
            "source_path": f"{number}.jpg",
            "dataset": "made up",
            "age": 20.0 + number,
            "gender": "female",
            "group": number,
            "split": "train",
            "fold": 0,
            "box": [1.0, 2.0, 3.0, 4.0],
            "landmarks": [float(place) for place in range(10)],
            "score": 0.5,
            "digest": "ab" * 16,
            "phash": "cd" * 32,
        }
        for number in range(3)
    ]
    rows.append({"source_path": "3.jpg", "dataset": "made up", "removed": "no age"})
    for row, column, value in cells:
        rows[row][column] = value
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def _said(table: pa.Table, folder: Path | None = None) -> list[str]:
    return [str(fault) for fault in find_faults(table, folder)]


NAN = float("nan")
BROKEN: list[tuple[Cells, str]] = [
    ([(2, "path", None)], "no crop path in rows 2"),
    ([(2, "path", "")], "no crop path in rows 2"),
    ([(1, "path", "/etc/passwd")], "a path outside the manifest's folder in rows 1"),
    ([(1, "path", "crops/../../secret.jpg")], "a path outside the manifest's folder in rows 1"),
    ([(1, "path", "a\0b")], "a path outside the manifest's folder in rows 1"),
    ([(3, "path", "../a.jpg")], "a path outside the manifest's folder in rows 3"),
    ([(1, "offset", None)], "an offset without a length, or a bad one in rows 1"),
    ([(1, "length", None)], "an offset without a length, or a bad one in rows 1"),
    ([(1, "offset", -7)], "an offset without a length, or a bad one in rows 1"),
    ([(1, "length", 0)], "an offset without a length, or a bad one in rows 1"),
    ([(2, "offset", 0)], "a crop used twice in rows 0, 2"),
    ([(1, "source_path", "0.jpg")], "an original listed twice in rows 0, 1"),
    ([(1, "age", None)], "neither age nor band in rows 1"),
    ([(1, "age", NAN)], "neither age nor band in rows 1"),
    ([(0, "age", -1)], "an age outside 0…130 in rows 0"),
    ([(0, "age", 131)], "an age outside 0…130 in rows 0"),
    ([(0, "age", float("inf"))], "an age outside 0…130 in rows 0"),
    ([(1, "age_low", -1), (1, "age_high", 5)], "a band that starts outside 0…130 in rows 1"),
    ([(1, "age_low", 10), (1, "age_high", 131)], "a band that ends outside 0…130 in rows 1"),
    ([(1, "age_low", 10)], "a band with one end in rows 1"),
    ([(1, "age_low", 30), (1, "age_high", 20)], "a band that ends before it starts in rows 1"),
    ([(1, "apparent_age", 200)], "an apparent age outside 0…130 in rows 1"),
    ([(1, "apparent_std", -1)], "an apparent age's spread below 0 in rows 1"),
    ([(1, "gender", "robot")], "an unknown gender in rows 1"),
    ([(1, "split", "validation")], "an unknown split in rows 1"),
    ([(1, "fold", -2)], "a fold below 0 in rows 1"),
    ([(1, "score", 1.5)], "a score outside 0…1 in rows 1"),
    ([(1, "box", [1, 2, NAN, 4])], "a box that is not finite in rows 1"),
    ([(1, "landmarks", [float("inf")] * 10)], "landmarks that are not finite in rows 1"),
    ([(1, "phash", "abc")], "a perceptual hash that is not 64 hexadecimal digits in rows 1"),
    ([(1, "phash", "XY" * 32)], "a perceptual hash that is not 64 hexadecimal digits in rows 1"),
]


@pytest.mark.parametrize(("cells", "fault"), BROKEN)
def test_each_fault_is_found_alone_and_by_its_row(cells: Cells, fault: str) -> None:
    assert _said(_rows(*cells)) == [fault]


def test_no_rule_is_left_untested() -> None:
    assert {rule.what for rule in RULES} == {fault.split(" in rows ")[0] for _, fault in BROKEN}


def test_sound_rows_have_no_faults() -> None:
    assert find_faults(_rows()) == []
    band = [(1, "age", None), (1, "age_low", 20), (1, "age_high", 29), (0, "age", 0), (2, "age", 130)]
    unknown = [(0, name, None) for name in ("gender", "split", "fold", "box", "landmarks", "score", "phash", "digest")]
    assert find_faults(_rows(*band, *unknown)) == []
    files = [(row, name, None) for row in range(3) for name in ("offset", "length")]
    assert find_faults(_rows(*files, *((row, "path", f"{row}.jpg") for row in range(3)))) == []


def test_all_faults_are_found_at_once() -> None:
    cells = [cell for cells, fault in BROKEN if fault.endswith(" in rows 1") for cell in cells]
    said = _said(_rows(*cells, (0, "gender", "robot")))
    assert "an unknown gender in rows 0, 1" in said
    assert len(said) >= 12


def test_many_rows_are_counted_after_ten() -> None:
    assert str(Fault("a fault", tuple(range(10)))) == "a fault in rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert str(Fault("a fault", tuple(range(30)))) == "a fault in rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more"


def test_samples_that_were_removed_may_be_faulty_and_repeat_others() -> None:
    cells = [(3, "age", -5), (3, "gender", "robot"), (3, "phash", "x"), (3, "box", [NAN] * 4)]
    assert find_faults(_rows(*cells, (3, "source_path", "0.jpg"))) == []


def test_a_table_in_which_all_were_removed_is_sound() -> None:
    assert find_faults(_rows(*((row, "removed", "no face") for row in range(3)))) == []


def test_an_empty_table_is_a_fault() -> None:
    assert _said(_rows().slice(0, 0)) == ["the table has no rows"]


def test_columns_that_are_missing_repeated_or_of_another_type_are_all_named() -> None:
    table = _rows((1, "gender", "robot")).drop_columns(["fold", "group"])
    table = table.set_column(table.schema.get_field_index("age"), "age", pa.array(["old"] * 4))
    table = table.append_column("split", table.column("split"))
    assert _said(table) == [
        "column 'age' holds string, wanted float",
        "column 'group' is missing",
        "column 'split' is there more than once",
        "column 'fold' is missing",
        "an unknown gender in rows 1",
    ]
    assert _said(_rows().drop_columns(["removed"])) == ["column 'removed' is missing"]


def test_types_that_hold_the_same_are_taken() -> None:
    table = _rows().cast(
        pa.schema([field.with_type(pa.float64()) if field.type == pa.float32() else field for field in COLUMNS])
    )
    gender = table.column("gender").dictionary_encode()
    table = table.set_column(table.schema.get_field_index("gender"), "gender", gender)
    assert find_faults(table.append_column("extra", pa.array([1] * 4))) == []


def test_crops_that_are_not_there_are_found_where_the_folder_is_known(tmp_path: Path) -> None:
    table = _rows((1, "path", "gone.pack"), (3, "path", "gone too"))
    assert find_faults(table) == []
    (tmp_path / "crops.pack").write_bytes(bytes(29))
    assert _said(table, tmp_path) == ["a missing crop file in rows 1", "a crop beyond its file's end in rows 2"]
    (tmp_path / "crops.pack").write_bytes(bytes(30))
    (tmp_path / "gone.pack").mkdir()
    assert _said(table, tmp_path) == ["a missing crop file in rows 1"]


def test_a_crop_in_a_file_of_its_own_is_found_too(tmp_path: Path) -> None:
    table = _rows(*((row, name, None) for row in range(3) for name in ("offset", "length")))
    table = table.set_column(0, "path", pa.array(["0.jpg", "1.jpg", "x" * 300, None]))
    (tmp_path / "0.jpg").touch()
    assert _said(table, tmp_path) == ["a missing crop file in rows 1, 2"]


def test_no_file_outside_the_folder_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/crops.pack").write_bytes(bytes(30))
    said = _said(_rows((1, "path", "../secret")), tmp_path / "in")
    assert said == ["a path outside the manifest's folder in rows 1"]


def test_an_offset_beyond_all_numbers_is_found(tmp_path: Path) -> None:
    (tmp_path / "crops.pack").write_bytes(bytes(30))
    assert _said(_rows((0, "offset", 2**63 - 1)), tmp_path) == ["a crop beyond its file's end in rows 0"]


def test_a_table_of_removed_samples_alone_has_no_missing_files(tmp_path: Path) -> None:
    assert _said(_rows(*((row, "removed", "no face") for row in range(3))), tmp_path) == []
