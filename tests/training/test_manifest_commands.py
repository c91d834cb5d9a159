"""``agelens manifest``: look at manifests, merge them, and make other files of them."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from agelens.data.columns import COLUMNS
from agelens.data.csv_file import write_csv
from agelens.data.cut import CutSettings
from agelens.data.manifest import Manifest, read_manifest, write_manifest
from agelens.data.merging import merge
from agelens.data.prepare import Preparation, prepare
from agelens.data.unpacking import unpack
from agelens.errors import OutputError
from agelens.faces.align import CropSpec
from agelens.faces.detector import FixedDetector

Run = Callable[..., Any]
MakeManifest = Callable[..., Manifest]


@pytest.fixture(scope="session")
def others(
    manifest: Manifest,
    faces_folder: Path,
    detector: FixedDetector,
    made_up_face: Callable[[int, int], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Manifest:
    """A second data set of eight other people, and two pictures of the first's train part among its val part."""
    folder = tmp_path_factory.mktemp("others")
    for number in range(8):
        path = folder / ("train" if number < 6 else "val") / str(10 + number) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made_up_face(1000 + number, 10 + number)).save(path)
    for name in manifest.split("train")["source_path"][:2]:
        path = folder / "val" / name.split("_")[0] / name
        path.parent.mkdir(parents=True)
        shutil.copy(faces_folder / name, path)
    (folder / "train" / "10" / "broken.jpg").write_bytes(b"not a picture")
    preparation = Preparation("age-folders", CutSettings(manifest.crop), make_detector=lambda: detector)
    return read_manifest(prepare(preparation, folder, tmp_path_factory.mktemp("crops")))


@pytest.fixture
def changed(manifest: Manifest, tmp_path: Path) -> Callable[..., Path]:
    """Writes the manifest, changed by a function of its table, with its crops into a new folder."""

    def make(change: Callable[[pd.DataFrame], Any], name: str = "changed") -> Path:
        folder = tmp_path / name
        shutil.copytree(manifest.folder, folder)
        table = manifest.table.copy().astype({"dataset": object, "source_path": object})
        change(table)
        write_manifest(replace(manifest, table=table, folder=folder), folder / "manifest.parquet")
        return folder

    return make


def _unpacked(manifest: Manifest, folder: Path, dataset: str) -> Manifest:
    """The same samples under another data set's name, a file for each crop."""
    kept = manifest.table[manifest.table["removed"].isna()]
    unpack(manifest, kept, folder)
    table = manifest.table.assign(dataset=dataset, offset=np.nan, length=np.nan)
    table["path"] = [f"{number:0{len(str(len(table) - 1))}}.jpg" for number in table.index]
    table.loc[table["removed"].notna(), "path"] = None
    whole = replace(manifest, table=table, folder=folder)
    write_manifest(whole, folder / "manifest.parquet")
    return whole


def _assert_same_crops(manifest: Manifest, *origins: Manifest) -> None:
    """Every kept row's crop is that of the original with its data set and name, byte by byte once decoded."""
    places = {
        (row["dataset"], row["source_path"]): (origin, row)
        for origin in origins
        for row in origin.table.to_dict("records")
    }
    assert len(manifest.table) == len(places)
    for row in manifest.split("all").to_dict("records"):
        origin, other = places[row["dataset"], row["source_path"]]
        assert np.array_equal(manifest.read_crop(row), origin.read_crop(other))


# show


def test_show_says_what_the_manifest_is(run: Run, manifest: Manifest) -> None:
    result = run("manifest", "show", manifest.folder, "--rows", 2)
    assert (result.status, result.err) == (0, "")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "crops 48 pixels, margin 0.1, template face" in lines
    assert "rows 40" in lines
    counts = manifest.table["split"].value_counts()
    assert f"splits train {counts['train']}, val {counts['val']}" in lines
    assert "row original data set age gender split group score removed" in lines
    first = manifest.table.iloc[0]
    assert f"0 {first['source_path']} utkface 11 female {first['split']} 0 0.900" in lines
    assert sum(line.endswith("0.900") for line in lines) == 2


def test_show_as_json_has_every_column(run: Run, others: Manifest) -> None:
    shown = run("manifest", "show", others.folder, "--rows", 20, "--json").json
    samples = shown.pop("samples")
    assert shown == {
        "manifest": str(others.folder),
        "crop": {"size": 48, "margin": 0.1, "template": "face"},
        "embedder": None,
        "rows": 11,
        "kept": 10,
        "removed": {"unreadable": 1},
        "datasets": {"age-folders": 10},
        "splits": {"train": 6, "val": 4},
        "folds": {},
    }
    assert [sample["row"] for sample in samples] == list(range(11))
    assert all(list(sample) == ["row", *COLUMNS.names] for sample in samples)
    broken = next(sample for sample in samples if sample["removed"])
    assert (broken["source_path"], broken["age"], broken["split"], broken["box"]) == (
        "train/10/broken.jpg",
        10,
        None,
        None,
    )
    kept = next(sample for sample in samples if not sample["removed"])
    assert (kept["score"], kept["box"], kept["length"] > 0) == (0.9, [10, 6, 54, 58], True)


@pytest.mark.parametrize(("where", "count"), [("all", 11), ("kept", 10), ("removed", 1), ("train", 6), ("val", 4)])
def test_show_finds_the_rows_with_their_numbers(where: str, count: int, run: Run, others: Manifest) -> None:
    samples = run("manifest", "show", others.folder, "--where", where, "--rows", 99, "--json").json["samples"]
    table = others.table
    wanted = {"all": table.index == table.index, "kept": table["removed"].isna(), "removed": table["removed"].notna()}
    rows = table[wanted[where] if where in wanted else table["split"] == where]
    assert [sample["row"] for sample in samples] == rows.index.tolist()
    assert len(samples) == count


def test_show_can_leave_the_rows_out(run: Run, manifest: Manifest) -> None:
    result = run("manifest", "show", manifest.folder, "--rows", 0)
    assert result.status == 0
    assert "original" not in result.out


def test_rows_that_are_not_there_are_refused_with_those_that_are(run: Run, others: Manifest) -> None:
    complaint = run("manifest", "show", others.folder, "--where", "test").complaint
    assert complaint == "no row is 'test'; the manifest has 10 kept, 1 removed, 6 train, 4 val"


# check


def test_check_finds_nothing_in_a_sound_manifest(run: Run, manifest: Manifest) -> None:
    result = run("manifest", "check", manifest.folder)
    assert (result.status, result.err) == (0, "")
    assert "no faults in 40 rows" in result.out
    assert run("manifest", "check", manifest.folder, "--json").json == {
        "manifest": str(manifest.folder),
        "rows": 40,
        "faults": [],
    }


def test_check_names_every_fault_with_all_rows(run: Run, changed: Callable[..., Path]) -> None:
    def spoil(table: pd.DataFrame) -> None:
        table.loc[5:35, "age"] = 500.0
        table.loc[2, "path"] = "gone.pack"
        table.loc[3, "length"] = 10**9

    folder = changed(spoil)
    result = run("manifest", "check", folder, "--json")
    assert result.status == 1
    assert result.json["faults"] == [
        {"what": "an age outside 0…130", "rows": list(range(5, 36))},
        {"what": "a missing crop file", "rows": [2]},
        {"what": "a crop beyond its file's end", "rows": [3]},
    ]
    told = run("manifest", "check", folder)
    assert told.status == 1
    assert "an age outside 0…130 in rows 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 and 21 more" in told.out
    assert "a missing crop file in rows 2" in told.out


def test_check_takes_a_table_with_wrong_columns(run: Run, tmp_path: Path) -> None:
    crop = json.dumps(asdict(CropSpec(48, 0.1)))
    table = pa.table({"path": ["1.jpg"], "age": ["old"]}).replace_schema_metadata({"agelens.crop": crop})
    pq.write_table(table, tmp_path / "manifest.parquet")
    result = run("manifest", "check", tmp_path, "--json")
    assert result.status == 1
    faults = [fault["what"] for fault in result.json["faults"]]
    assert "column 'dataset' is missing" in faults
    assert "column 'age' holds string, wanted float" in faults


@pytest.mark.parametrize("command", [["show"], ["check"], ["to-csv", "x.csv"], ["crops", "x"]])
def test_no_manifest_is_said_in_one_line(command: list[str], run: Run, tmp_path: Path) -> None:
    name, *rest = command
    complaint = run("manifest", name, tmp_path / "nothing", *(tmp_path / one for one in rest)).complaint
    assert complaint.endswith("nothing: no such manifest; make one with: agelens prepare")
    assert not list(tmp_path.iterdir())


# merge


def test_merged_manifest_holds_every_sample_with_its_crop(
    run: Run, manifest: Manifest, others: Manifest, tmp_path: Path
) -> None:
    result = run("manifest", "merge", manifest.folder, others.folder, "--out", tmp_path / "both")
    assert result.status == 0
    merged = read_manifest(tmp_path / "both")
    _assert_same_crops(merged, manifest, others)
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "age-folders.pack",
        "manifest.parquet",
        "utkface.pack",
    ]
    assert merged.crop == manifest.crop
    assert run("manifest", "check", tmp_path / "both").status == 0
    for name in ("age", "gender", "split", "fold", "source_path", "dataset", "phash", "removed", "detail"):
        before = [*manifest.table[name], *others.table[name]]
        assert (
            pd.Series(before, dtype=object).fillna("-").tolist()
            == merged.table[name].astype(object).fillna("-").tolist()
        )


def test_crop_files_are_linked(manifest: Manifest, others: Manifest, tmp_path: Path) -> None:
    merge([manifest.folder, others.folder], tmp_path)
    assert (tmp_path / "utkface.pack").samefile(manifest.folder / "crops.pack")


def test_crop_files_are_copied_where_links_cannot_be(
    manifest: Manifest, others: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    merged = merge([manifest.folder, others.folder], tmp_path)
    assert not (tmp_path / "utkface.pack").samefile(manifest.folder / "crops.pack")
    _assert_same_crops(merged, manifest, others)


def test_groups_are_made_across_all_and_leaks_are_said(
    run: Run, manifest: Manifest, others: Manifest, tmp_path: Path
) -> None:
    result = run("manifest", "merge", manifest.folder, others.folder, "--out", tmp_path / "both")
    merged = read_manifest(tmp_path / "both").table
    kept = merged[merged["removed"].isna()]
    sizes = kept.groupby("group")["dataset"].agg(list)
    shared = [sets for sets in sizes if len(sets) > 1]
    assert shared == [["utkface", "age-folders"]] * 2
    assert sorted(sizes.index) == list(range(48))
    assert merged.loc[merged["removed"].notna(), "group"].isna().all()
    *_, head, leak = result.err.splitlines()
    assert head.startswith("the same picture or person is in two splits; agelens audit shows which")
    assert leak == "utkface train → age-folders val: 2 groups, 2 samples"


def test_nothing_is_said_where_nothing_leaks(run: Run, manifest: Manifest, changed: Callable[..., Path]) -> None:
    def rename(table: pd.DataFrame) -> None:
        table["dataset"] = "again"

    folder = changed(rename)
    result = run("manifest", "merge", manifest.folder, folder, "--out", folder.parent / "both")
    assert result.status == 0
    assert len(result.err.splitlines()) == 1


def test_a_merged_manifest_can_be_merged_again(manifest: Manifest, others: Manifest, tmp_path: Path) -> None:
    third = _unpacked(others, tmp_path / "third", "utkface")
    both = merge([manifest.folder, others.folder], tmp_path / "both")
    all_three = merge([tmp_path / "third", tmp_path / "both"], tmp_path / "all")
    _assert_same_crops(all_three, third, both)
    assert {Path(path).parts[0] for path in all_three.split("all")["path"]} == {
        "utkface",
        "utkface.pack",
        "age-folders.pack",
    }


def test_whole_files_do_not_collide(manifest: Manifest, others: Manifest, tmp_path: Path) -> None:
    first = _unpacked(manifest, tmp_path / "first", "same/../name")
    second = _unpacked(others, tmp_path / "second", "SAME/../NAME")
    merged = merge([tmp_path / "first", tmp_path / "second"], tmp_path / "both")
    _assert_same_crops(merged, first, second)
    folders = {Path(path).parts[0] for path in merged.split("all")["path"]}
    assert folders == {"same-name", "SAME-NAME-2"}
    assert all((tmp_path / "both" / path).is_file() for path in merged.split("all")["path"])


def test_a_merge_that_was_cut_off_can_be_repeated(
    manifest: Manifest, others: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("agelens.data.merging.write_manifest", crash)
        with pytest.raises(KeyboardInterrupt):
            merge([manifest.folder, others.folder], tmp_path / "both")
    assert (tmp_path / "both" / "utkface.pack").exists()
    assert not (tmp_path / "both" / "manifest.parquet").exists()
    _assert_same_crops(merge([manifest.folder, others.folder], tmp_path / "both"), manifest, others)


def test_a_file_of_another_content_is_not_replaced(
    run: Run, manifest: Manifest, others: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "utkface.pack").write_bytes(b"precious")
    complaint = run("manifest", "merge", manifest.folder, others.folder, "--out", tmp_path).complaint
    assert "utkface.pack: is there already, with another content" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["utkface.pack"]
    assert (tmp_path / "utkface.pack").read_bytes() == b"precious"


def test_crops_of_two_kinds_are_refused_with_both(
    run: Run, manifest: Manifest, faces_folder: Path, detector: FixedDetector, tmp_path: Path
) -> None:
    preparation = Preparation("utkface", CutSettings(CropSpec(40, 0.25)), make_detector=lambda: detector)
    prepare(preparation, faces_folder, tmp_path / "small")
    complaint = run("manifest", "merge", manifest.folder, tmp_path / "small", "--out", tmp_path / "both").complaint
    assert "crops of 48 pixels with margin 0.1 and template face" in complaint
    assert "crops of 40 pixels with margin 0.25 and template face" in complaint
    assert not (tmp_path / "both").exists()


def test_a_data_set_is_merged_once(run: Run, manifest: Manifest, changed: Callable[..., Path]) -> None:
    folder = changed(lambda table: None)
    complaint = run("manifest", "merge", manifest.folder, folder, "--out", folder.parent / "both").complaint
    first = manifest.table["source_path"][0]
    where = f"{first} is in {manifest.folder} and in {folder}, as are 39 others"
    assert complaint == f"data set 'utkface' comes twice: {where}; merge it once"


def test_one_manifest_is_not_merged(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    assert "two or more" in run("manifest", "merge", manifest.folder, "--out", tmp_path / "both").complaint
    assert "two or more" in run("manifest", "merge", "--out", tmp_path / "both").complaint


def test_an_existing_manifest_stays(run: Run, manifest: Manifest, others: Manifest) -> None:
    before = (others.folder / "manifest.parquet").read_bytes()
    complaint = run("manifest", "merge", manifest.folder, others.folder, "--out", others.folder).complaint
    assert "manifest.parquet: is there already" in complaint
    assert (others.folder / "manifest.parquet").read_bytes() == before


def test_an_unfinished_preparation_is_left_alone(
    run: Run, manifest: Manifest, others: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "unfinished.jsonl").touch()
    complaint = run("manifest", "merge", manifest.folder, others.folder, "--out", tmp_path).complaint
    assert "unfinished preparation" in complaint


def test_a_missing_crop_file_ends_the_merge_without_a_manifest(
    run: Run, manifest: Manifest, others: Manifest, changed: Callable[..., Path]
) -> None:
    folder = changed(lambda table: None)
    (folder / "crops.pack").unlink()
    complaint = run("manifest", "merge", folder, others.folder, "--out", folder.parent / "both").complaint
    assert "crops.pack: no such crop file" in complaint
    assert not (folder.parent / "both" / "manifest.parquet").exists()


def test_a_file_in_the_place_of_the_folder_is_an_output_error(
    run: Run, manifest: Manifest, others: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    complaint = run("manifest", "merge", manifest.folder, others.folder, "--out", tmp_path / "file").complaint
    assert "no folder that can be written in" in complaint


# to-csv


def test_csv_holds_every_cell(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    assert run("manifest", "to-csv", manifest.folder, tmp_path / "out.csv").status == 0
    back = pd.read_csv(tmp_path / "out.csv", dtype={"digest": str, "phash": str})
    places = ["x1", "y1", "x2", "y2"]
    marks = [f"l{axis}{number}" for number in range(1, 6) for axis in "xy"]
    assert [name for name in back.columns if name not in {*places, *marks}] == [
        name for name in COLUMNS.names if name not in ("box", "landmarks")
    ]
    for name in back.columns.intersection(COLUMNS.names):
        was = manifest.table[name]
        assert back[name].isna().tolist() == was.isna().tolist(), name
        assert (
            back[name].dropna().astype(was.dtype if was.dtype.kind == "f" else object).tolist() == was.dropna().tolist()
        )
    assert np.array_equal(back[places].to_numpy(np.float32), np.stack(manifest.table["box"].to_list()))
    assert np.array_equal(back[marks].to_numpy(np.float32), np.stack(manifest.table["landmarks"].to_list()))


def test_csv_of_the_kept_lacks_the_removed(run: Run, others: Manifest, tmp_path: Path) -> None:
    run("manifest", "to-csv", others.folder, tmp_path / "all.csv")
    run("manifest", "to-csv", others.folder, tmp_path / "kept.csv", "--kept")
    whole, kept = (pd.read_csv(tmp_path / name) for name in ("all.csv", "kept.csv"))
    assert (len(whole), len(kept)) == (11, 10)
    assert whole["removed"].dropna().tolist() == ["unreadable"]
    assert kept["removed"].isna().all()


def test_formulas_are_made_harmless(run: Run, changed: Callable[..., Path]) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]

    def poison(table: pd.DataFrame) -> None:
        table.loc[: len(hostile) - 1, "source_path"] = hostile
        table.loc[len(hostile), "source_path"] = 'a=1, "b"\nc'

    folder = changed(poison)
    assert run("manifest", "to-csv", folder, folder / "out.csv").status == 0
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        paths = [row["source_path"] for row in csv.DictReader(file)]
    assert paths[: len(hostile)] == [f"'{text}" for text in hostile]
    assert paths[len(hostile)] == 'a=1, "b"\nc'


@given(texts=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_from_a_csv(texts: list[str | None], tmp_path: Path) -> None:
    table = pa.table({"number": range(len(texts)), "text": pa.array(texts, pa.string())})
    write_csv(table, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        back = [row["text"] for row in csv.DictReader(file)]
    wanted = [text or "" for text in texts]
    assert back == [f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text for text in wanted]


def test_csv_never_takes_an_inputs_place(run: Run, changed: Callable[..., Path]) -> None:
    folder = changed(lambda table: None)
    (folder / "manifest.parquet").rename(folder / "data.csv")
    before = (folder / "data.csv").read_bytes()
    (folder / "link.csv").symlink_to(folder / "data.csv")
    for name in ("data.csv", "link.csv"):
        complaint = run("manifest", "to-csv", folder / "data.csv", folder / name).complaint
        assert "is one of the inputs" in complaint
    assert "name ends in .csv" in run("manifest", "to-csv", folder / "data.csv", folder / "crops.pack").complaint
    assert (folder / "data.csv").read_bytes() == before


def test_a_csv_that_cannot_be_written_is_an_output_error(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in run("manifest", "to-csv", manifest.folder, tmp_path / "file" / "out.csv").complaint
    (tmp_path / "folder.csv").mkdir()
    assert "no regular file" in run("manifest", "to-csv", manifest.folder, tmp_path / "folder.csv").complaint


# crops


def test_crops_are_written_as_they_are_stored_with_their_labels(run: Run, others: Manifest, tmp_path: Path) -> None:
    result = run("manifest", "crops", others.folder, tmp_path / "out", "--split", "val")
    assert result.status == 0
    rows = others.table[others.table["split"] == "val"]
    pack = (others.folder / "crops.pack").read_bytes()
    labels = pd.read_csv(tmp_path / "out" / "labels.csv").set_index("row")
    assert labels.index.tolist() == rows.index.tolist()
    assert labels["age"].tolist() == rows["age"].tolist()
    assert not {"path", "offset", "length"} & set(labels.columns)
    for number, row in rows.iterrows():
        stored = (tmp_path / "out" / labels.loc[number, "file"]).read_bytes()
        assert stored == pack[int(row["offset"]) :][: int(row["length"])]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"labels.csv", *labels["file"]}


def test_crops_are_named_by_their_rows_whatever_their_originals_are_called(
    run: Run, changed: Callable[..., Path]
) -> None:
    def poison(table: pd.DataFrame) -> None:
        table["source_path"] = [f"../../{number}" for number in table.index]
        table["dataset"] = "/etc"

    folder = changed(poison)
    assert run("manifest", "crops", folder, folder.parent / "out").status == 0
    names = sorted(path.name for path in (folder.parent / "out").iterdir())
    assert len(names) == 41
    assert all(re.fullmatch(r"\d\d\.jpg|labels\.csv", name) for name in names)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["changed", "out"]


def test_crops_that_are_files_are_copied_alike(manifest: Manifest, tmp_path: Path) -> None:
    whole = _unpacked(manifest, tmp_path / "whole", "whole")
    unpack(whole, whole.table, tmp_path / "again")
    for name in whole.table["path"]:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_crops_go_into_an_empty_folder_only(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "00.jpg").write_bytes(b"precious")
    assert "is not empty" in run("manifest", "crops", manifest.folder, tmp_path).complaint
    assert "is not empty" in run("manifest", "crops", manifest.folder, manifest.folder).complaint
    assert (tmp_path / "00.jpg").read_bytes() == b"precious"
    with pytest.raises(OutputError, match="no folder that can be written in"):
        unpack(manifest, manifest.table, tmp_path / "00.jpg")


def test_a_split_that_is_empty_writes_nothing(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    assert (
        "no row is 'test'" in run("manifest", "crops", manifest.folder, tmp_path / "out", "--split", "test").complaint
    )
    assert not (tmp_path / "out").exists()


# the commands' own help


@pytest.mark.parametrize("name", ["show", "check", "merge", "to-csv", "crops"])
def test_the_help_of_each_command_has_an_example(name: str, run: Run) -> None:
    result = run("manifest", name, "--help")
    assert (result.status, result.err) == (0, "")
    assert f"Example: agelens manifest {name} crops/utkface" in " ".join(result.out.split())


def test_the_overview_names_the_commands(run: Run) -> None:
    for arguments in (["manifest"], ["manifest", "--help"]):
        result = run(*arguments)
        assert (result.status, result.err) == (0, "")
        assert all(name in result.out for name in ("show", "check", "merge", "to-csv", "crops"))


def test_an_unknown_command_is_refused_with_those_there_are(run: Run) -> None:
    complaint = run("manifest", "marge").complaint
    assert "marge" in complaint
    assert "show, check, merge, to-csv, crops" in complaint


def test_a_manifest_of_which_nothing_was_kept_is_counted_but_not_worked_on(
    run: Run, changed: Callable[..., Path], others: Manifest
) -> None:
    def remove_all(table: pd.DataFrame) -> None:
        table["removed"] = "no face"
        table[["path", "offset", "length", "split", "group"]] = None

    folder = changed(remove_all)
    assert run("manifest", "show", folder, "--json").json["removed"] == {"no face": 40}
    assert run("stats", folder, "--json").json["kept"] == 0
    assert run("stats", folder).status == 0
    out = folder.parent / "out"
    for arguments in (
        ["manifest", "crops", folder, out],
        ["split", folder, "--out", out],
        ["stats", folder, "--out", out],
    ):
        assert "no row is 'kept'; the manifest has 40 removed" in run(*arguments).complaint
    assert run("manifest", "merge", folder, others.folder, "--out", folder.parent / "both").status == 0
    assert len(read_manifest(folder.parent / "both").split("all")) == 10
