"""The manifest as a file: what it keeps, and what it refuses."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agelens.data import manifest as manifest_module
from agelens.data.columns import COLUMNS
from agelens.data.crops import encode
from agelens.data.manifest import Manifest, read_manifest, write_manifest
from agelens.errors import DataError, OutputError
from agelens.faces.align import CropSpec

SPEC = CropSpec(48, 0.1)
CARD = {"agelens.crop": json.dumps(asdict(SPEC))}


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
    return pd.DataFrame(rows).reindex(columns=COLUMNS.names).astype(object)


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


def test_several_faults_are_named_at_once(reread: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError) as caught:
        reread((0, "age", -1), (2, "age", 200), (1, "gender", "robot"))
    assert str(caught.value).endswith("an age outside 0…130 in rows 0, 2; an unknown gender in rows 1")


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


def test_columns_that_are_wrong_are_named(table: pd.DataFrame, tmp_path: Path) -> None:
    good = pa.Table.from_pandas(table, schema=COLUMNS, preserve_index=False)
    words = good.set_column(good.schema.get_field_index("age"), "age", pa.array(["old"] * 5)).drop_columns(["detail"])
    pq.write_table(words.replace_schema_metadata(CARD), tmp_path / "manifest.parquet")
    with pytest.raises(DataError, match=r"column 'age' holds string, wanted float; column 'detail' is missing$"):
        read_manifest(tmp_path)


def test_other_columns_and_wider_types_do_no_harm(table: pd.DataFrame, tmp_path: Path) -> None:
    table = table.assign(age=table["age"].astype(float), mine="x", group=table["group"].astype(float))
    pq.write_table(pa.Table.from_pandas(table).replace_schema_metadata(CARD), tmp_path / "manifest.parquet")
    back = read_manifest(tmp_path).table
    assert list(back.columns) == COLUMNS.names
    assert back["age"].tolist() == [20, 21, 22, 23, 99]
    assert back["age"].dtype == "float32"


def test_text_that_is_no_utf8_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    write_manifest(Manifest(table, SPEC, tmp_path), tmp_path / "manifest.parquet")
    good = pq.read_table(tmp_path / "manifest.parquet")
    pq.write_table(good, tmp_path / "manifest.parquet", compression="none", use_dictionary=False)
    data = (tmp_path / "manifest.parquet").read_bytes()
    (tmp_path / "manifest.parquet").write_bytes(data.replace(b"crops/3.jpg", b"crops/\xff.jpg"))
    with pytest.raises(DataError, match="not a manifest of agelens"):
        read_manifest(tmp_path)


def test_a_table_that_unpacks_to_too_much_is_not_opened(
    reread: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reread()
    monkeypatch.setattr(manifest_module, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="unpacks to more than 0 GB; that is no manifest"):
        read_manifest(tmp_path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_nothing_else(
    data: st.DataObject, reread: Callable[..., Manifest], tmp_path: Path
) -> None:
    if not (tmp_path / "manifest.parquet").exists():
        reread()
    damaged = bytearray((tmp_path / "manifest.parquet").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.parquet").write_bytes(damaged)
    with contextlib.suppress(DataError):
        read_manifest(tmp_path / "damaged.parquet")


def test_a_crop_of_another_size_than_the_manifest_says_is_refused(
    reread: Callable[..., Manifest], tmp_path: Path
) -> None:
    manifest = reread()
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops/0.jpg").write_bytes(encode(np.zeros((48, 48, 3), np.uint8)))
    (tmp_path / "crops/1.jpg").write_bytes(encode(np.zeros((48, 40, 3), np.uint8)))
    assert manifest.read_crop(manifest.table.iloc[0]).shape == (48, 48, 3)
    with pytest.raises(DataError, match=r"1\.jpg: a crop has 40 x 48 pixels, but the manifest's crops have 48; make"):
        manifest.read_crop(manifest.table.iloc[1].to_dict())
    with pytest.raises(DataError, match=r"2\.jpg: cannot be read \(No such file"):
        manifest.read_crop(manifest.table.iloc[2])


def test_splits_hold_what_was_kept_in_order(reread: Callable[..., Manifest]) -> None:
    manifest = reread()
    assert manifest.split("train")["age"].tolist() == [20, 21, 22]
    assert manifest.split("val")["age"].tolist() == [23]
    assert manifest.split("all")["age"].tolist() == [20, 21, 22, 23]


def test_unknown_split_is_refused_with_those_there_are(reread: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError, match="no samples in split 'test'; the manifest has: train, val, all"):
        reread().split("test")


def test_a_manifest_that_cannot_be_written_is_an_output_error(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_manifest(Manifest(table, SPEC, tmp_path), tmp_path / "file" / "manifest.parquet")
