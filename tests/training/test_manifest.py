"""The manifest as a file: what it keeps, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agelens.data.columns import COLUMNS
from agelens.data.manifest import Manifest, read_manifest, write_manifest
from agelens.errors import DataError, OutputError
from agelens.faces.align import CropSpec

SPEC = CropSpec(48, 0.1)


@pytest.fixture
def table() -> pd.DataFrame:
    """Four kept samples in two splits, and one that was removed."""
    rows = [
        {
            "path": f"crops/{number}.jpg",
            "source_path": f"{number}.jpg",
            "dataset": "made up",
            "age": 20.0 + number,
            "gender": "female",
            "group": number,
            "split": "train" if number < 3 else "val",
            "box": [1.0, 2.0, 3.0, 4.0],
            "landmarks": [float(place) for place in range(10)],
            "score": 0.5,
        }
        for number in range(4)
    ]
    rows.append({"source_path": "4.jpg", "dataset": "made up", "age": 99.0, "removed": "no face"})
    return pd.DataFrame(rows).reindex(columns=COLUMNS.names).astype({"group": "Int32", "removed": object})


@pytest.fixture
def reread(table: pd.DataFrame, tmp_path: Path) -> Callable[..., Manifest]:
    """Writes the table with some cells changed, given as ``(row, column, value)``, and reads it again."""

    def change(*cells: tuple[int, str, Any]) -> Manifest:
        for row, column, value in cells:
            table.loc[row, column] = value
        write_manifest(Manifest(table, SPEC, tmp_path), tmp_path / "manifest.parquet")
        return read_manifest(tmp_path)

    return change


def test_round_trip_keeps_every_cell_and_the_crop(table: pd.DataFrame, reread: Callable[..., Manifest]) -> None:
    back = reread()
    assert back.crop == SPEC
    assert list(back.table.columns) == COLUMNS.names
    for name in ("path", "source_path", "age", "gender", "split", "score", "removed", "group"):
        assert back.table[name].isna().tolist() == table[name].isna().tolist()
        assert back.table[name].dropna().tolist() == table[name].dropna().tolist()
    assert back.table["landmarks"][0].tolist() == list(range(10))
    assert back.table["box"][0].tolist() == [1, 2, 3, 4]


def test_folder_and_file_name_the_same_manifest(reread: Callable[..., Manifest], tmp_path: Path) -> None:
    by_folder = reread()
    by_file = read_manifest(tmp_path / "manifest.parquet")
    pd.testing.assert_frame_equal(by_folder.table, by_file.table)
    assert by_file.folder == by_folder.folder == tmp_path


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([(2, "path", None)], "no crop path in rows 2"),
        ([(2, "path", "")], "no crop path in rows 2"),
        ([(1, "path", "/etc/passwd")], "a path outside the manifest's folder in rows 1"),
        ([(1, "path", "crops/../../secret.jpg")], "a path outside the manifest's folder in rows 1"),
        ([(3, "age", None)], "neither age nor band in rows 3"),
        ([(3, "age", None), (3, "age_low", 4)], "neither age nor band in rows 3; a band with one end in rows 3"),
        ([(0, "age", -1)], "an age outside 0…130 in rows 0"),
        ([(0, "age", 131)], "an age outside 0…130 in rows 0"),
        ([(0, "age", float("inf"))], "an age outside 0…130 in rows 0"),
        ([(1, "age_low", 30), (1, "age_high", 20)], "a band that ends before it starts in rows 1"),
        ([(1, "age_low", 10), (1, "age_high", 131)], "a band that ends outside 0…130 in rows 1"),
        ([(1, "apparent_std", -1)], "an apparent age's spread below 0 in rows 1"),
        ([(1, "gender", "robot")], "an unknown gender in rows 1"),
        ([(1, "split", "validation")], "an unknown split in rows 1"),
        ([(1, "fold", -2)], "a fold below 0 in rows 1"),
        ([(1, "score", 1.5)], "a score outside 0…1 in rows 1"),
        ([(1, "phash", "abc")], "a perceptual hash that is not 64 hexadecimal digits in rows 1"),
        ([(1, "offset", 7)], "an offset without a length, or a bad one in rows 1"),
        ([(1, "offset", -7), (1, "length", 3)], "an offset without a length, or a bad one in rows 1"),
        ([(1, "source_path", "0.jpg")], "an original listed twice in rows 0, 1"),
        ([(2, "path", "crops/0.jpg")], "a crop used twice in rows 0, 2"),
    ],
)
def test_fault_is_named_with_its_row(
    cells: list[tuple[int, str, Any]], fault: str, reread: Callable[..., Manifest]
) -> None:
    with pytest.raises(DataError) as caught:
        reread(*cells)
    assert str(caught.value).endswith(f"manifest.parquet: {fault}")


def test_several_faults_are_named_at_once(reread: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError) as caught:
        reread((0, "age", -1), (2, "age", 200), (1, "gender", "robot"))
    assert str(caught.value).endswith("an age outside 0…130 in rows 0, 2; an unknown gender in rows 1")


def test_many_faulty_rows_are_counted_after_ten(tmp_path: Path) -> None:
    rows = [dict.fromkeys(COLUMNS.names) | {"path": f"{number}.jpg", "age": 500.0} for number in range(30)]
    table = pd.DataFrame(rows, dtype=object)
    write_manifest(Manifest(table, SPEC, tmp_path), tmp_path / "many.parquet")
    with pytest.raises(DataError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more$"):
        read_manifest(tmp_path / "many.parquet")


def test_faults_of_removed_samples_do_not_matter(reread: Callable[..., Manifest]) -> None:
    assert len(reread((4, "age", -5), (4, "gender", "robot")).table) == 5


def test_a_band_stands_in_for_an_age(reread: Callable[..., Manifest]) -> None:
    back = reread((0, "age", None), (0, "age_low", 20), (0, "age_high", 29))
    assert len(back.split("train")) == 3


def test_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such manifest; make one with: agelens prepare"):
        read_manifest(tmp_path)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="File name too long"):
        read_manifest(tmp_path / ("x" * 300))


@pytest.mark.parametrize("content", [b"", b"path,age\n1.jpg,3\n", b"PAR1" + bytes(50) + b"PAR1"])
def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "manifest.parquet"
    file.write_bytes(content)
    with pytest.raises(DataError, match="not a manifest of agelens"):
        read_manifest(file)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"agelens.crop": "{"},
        {"agelens.crop": "[1, 2]"},
        {"agelens.crop": '{"size": 48}'},
        {"agelens.crop": '{"size": 4, "margin": 0.1}'},
        {"agelens.crop": '{"size": 48, "margin": 0.1, "template": "nose"}'},
    ],
)
def test_parquet_without_a_sound_crop_spec_is_refused(
    table: pd.DataFrame, tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    file = tmp_path / "manifest.parquet"
    foreign = pa.Table.from_pandas(table, schema=COLUMNS, preserve_index=False).replace_schema_metadata(metadata)
    pq.write_table(foreign, file)
    with pytest.raises(DataError, match="not a manifest of agelens"):
        read_manifest(file)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    file = tmp_path / "manifest.parquet"
    few = pa.table({"path": ["1.jpg"], "age": [3.0]}).replace_schema_metadata(
        {"agelens.crop": json.dumps(asdict(SPEC))}
    )
    pq.write_table(few, file)
    with pytest.raises(
        DataError, match="column 'offset' is missing; .*column 'age_low' is missing; .*column 'detail' is missing$"
    ):
        read_manifest(file)


def test_a_column_of_another_type_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "manifest.parquet"
    good = pa.Table.from_pandas(table, schema=COLUMNS, preserve_index=False)
    words = good.set_column(good.schema.get_field_index("age"), "age", pa.array(["old"] * 5))
    pq.write_table(words.replace_schema_metadata({"agelens.crop": json.dumps(asdict(SPEC))}), file)
    with pytest.raises(DataError, match="column 'age' holds string, wanted float$"):
        read_manifest(file)


def test_splits_hold_what_was_kept_in_order(reread: Callable[..., Manifest]) -> None:
    manifest = reread()
    assert manifest.split("train")["age"].tolist() == [20, 21, 22]
    assert manifest.split("val")["age"].tolist() == [23]
    assert manifest.split("all")["age"].tolist() == [20, 21, 22, 23]


def test_unknown_split_is_refused_with_those_there_are(reread: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError, match="no samples in split 'test'; the manifest has: train, val, all"):
        reread().split("test")


def test_exact_ages_are_refused_where_a_band_stands(reread: Callable[..., Manifest]) -> None:
    manifest = reread((1, "age", None), (1, "age_low", 20), (1, "age_high", 29))
    assert len(manifest.split("val", exact_age=True)) == 1
    with pytest.raises(DataError, match="1 samples of 'train' have an age band"):
        manifest.split("train", exact_age=True)


def test_a_manifest_that_cannot_be_written_is_an_output_error(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_manifest(Manifest(table, SPEC, tmp_path), tmp_path / "file" / "manifest.parquet")
