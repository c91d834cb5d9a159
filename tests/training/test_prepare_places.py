"""Where a data set may lie, where its crops may go, and what file names may hold."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.manifest import Manifest, read_manifest
from agelens.errors import DataError, OutputError

Prepared = Callable[..., Manifest]
Contents = Callable[[Path], dict[str, str]]


@pytest.mark.parametrize(("folder", "out"), [("set", "set"), ("set", "set/out"), ("set", "link"), ("set", "link/out")])
def test_output_within_the_data_set_is_refused(
    folder: str, out: str, faces_folder: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    shutil.copytree(faces_folder, tmp_path / folder)
    (tmp_path / "link").symlink_to(tmp_path / "set")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="lies within the data set's own folder, which is never written to"):
        prepared(tmp_path / folder, tmp_path / out)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("folder", ["out/UTKFace", "out/crops/UTKFace"])
def test_a_data_set_within_the_output_is_fine(
    folder: str, faces_folder: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    shutil.copytree(faces_folder, tmp_path / folder)
    assert len(prepared(tmp_path / folder, tmp_path / "out").split("all")) == 40
    assert contents(tmp_path / folder) == contents(faces_folder)


def test_output_may_be_a_link_to_a_folder(faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    made = prepared(faces_folder, tmp_path / "link")
    assert made.table.equals(read_manifest(tmp_path / "real").table)
    assert (tmp_path / "link").is_symlink()


def test_paths_from_here_give_the_same_as_whole_ones(
    faces_folder: Path,
    manifest: Manifest,
    tmp_path: Path,
    prepared: Prepared,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(faces_folder.parent)
    prepared(Path(faces_folder.name), tmp_path, crop=manifest.crop, val_share=0.25)
    assert contents(tmp_path) == contents(manifest.folder)


@pytest.mark.parametrize("name", ["file/out", "x" * 300, "file"])
def test_output_that_cannot_be_is_an_output_error(
    name: str, faces_folder: Path, tmp_path: Path, prepared: Prepared
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="no folder that can be written in"):
        prepared(faces_folder, tmp_path / name)


def test_a_folder_without_samples_is_refused_before_anything_is_made(tmp_path: Path, prepared: Prepared) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/labels.csv").write_text("path,age\n")
    with pytest.raises(DataError, match="set: lists no picture; wanted: a table"):
        prepared(tmp_path / "set", tmp_path / "out", "csv")
    assert not (tmp_path / "out").exists()


def test_bytes_that_are_no_text_get_through_to_the_manifest(
    faces_folder: Path, tmp_path: Path, prepared: Prepared
) -> None:
    (tmp_path / "set").mkdir()
    for number, picture in enumerate(sorted(faces_folder.iterdir())[:3]):
        shutil.copy(picture, os.fsencode(tmp_path / "set") + b"/p\xff%d_30_f.jpg" % number)
    table = prepared(tmp_path / "set", tmp_path / "out", "named").table
    assert table["source_path"].tolist() == [rf"p\xff{number}_30_f.jpg" for number in range(3)]
    assert table["subject"].tolist() == [rf"p\xff{number}" for number in range(3)]
    assert table["removed"].isna().all()


@pytest.mark.parametrize("name", ["a\nb", "it's", 'a "quoted" one', "comma, tab\t", "[bold]", "ünï", "a\\xff", " x "])
def test_odd_names_stay_as_they_are(name: str, faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    (tmp_path / "set").mkdir()
    shutil.copy(next(faces_folder.iterdir()), tmp_path / "set" / f"30_1_0_{name}.jpg")
    (row,) = prepared(tmp_path / "set", tmp_path / "out").split("all").to_dict("records")
    assert (row["source_path"], row["age"]) == (f"30_1_0_{name}.jpg", 30)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_among_the_pictures_does_not_hang(faces_folder: Path, tmp_path: Path, prepared: Prepared) -> None:
    (tmp_path / "set").mkdir()
    shutil.copy(next(faces_folder.iterdir()), tmp_path / "set/a.jpg")
    os.mkfifo(tmp_path / "set/pipe.jpg")
    (tmp_path / "set/labels.csv").write_text("path,age\na.jpg,30\npipe.jpg,31\ngone.jpg,32\n")
    table = prepared(tmp_path / "set", tmp_path / "out", "csv").table
    assert table["removed"].fillna("").tolist() == ["", "unreadable", "missing file"]
    assert table["detail"].fillna("").tolist() == ["", "not a regular file", ""]


def test_rows_that_name_no_picture_do_not_spoil_the_manifest(
    faces_folder: Path, tmp_path: Path, prepared: Prepared
) -> None:
    (tmp_path / "set").mkdir()
    shutil.copy(next(faces_folder.iterdir()), tmp_path / "set/a.jpg")
    (tmp_path / "set/labels.csv").write_text("path,age\n,30\n,31\na.jpg,32\n")
    table = prepared(tmp_path / "set", tmp_path / "out", "csv").table
    assert table["source_path"].tolist() == ["labels.csv", "labels.csv", "a.jpg"]
    assert table["removed"].fillna("").tolist() == ["bad label", "bad label", ""]
