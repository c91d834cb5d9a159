"""``agelens split``: a manifest with new splits and folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.grouping import SplitPlan
from agelens.data.manifest import Manifest, read_manifest, write_manifest
from agelens.data.resplit import split_anew
from agelens.errors import DataError

Run = Callable[..., Any]

UNTOUCHED = ["path", "offset", "length", "source_path", "dataset", "age", "gender", "score", "digest", "phash"]


@pytest.fixture
def folds(run: Run, manifest: Manifest, tmp_path: Path) -> Path:
    """The manifest with four folds, in a folder of its own."""
    assert run("split", manifest.folder, "--out", tmp_path / "folds", "--folds", 4, "--val-share", 0.25).status == 0
    return tmp_path / "folds"


def _assert_whole(table: pd.DataFrame) -> None:
    """No group is parted by splits or folds."""
    kept = table[table["removed"].isna()]
    assert kept["split"].isin(["train", "val", "test"]).all()
    for name in ("split", "fold"):
        assert (kept.groupby("group")[name].nunique() <= 1).all()


def test_shares_are_met_and_nothing_else_changes(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    shares = ("--val-share", 0.25, "--test-share", 0.25)
    assert run("split", manifest.folder, "--out", tmp_path / "new", *shares).status == 0
    made = read_manifest(tmp_path / "new")
    counts = made.table["split"].value_counts()
    assert counts["val"] == pytest.approx(10, abs=3)
    assert counts["test"] == pytest.approx(10, abs=3)
    _assert_whole(made.table)
    assert made.crop == manifest.crop
    for name in UNTOUCHED:
        assert (
            made.table[name].astype(object).fillna("-").tolist()
            == manifest.table[name].astype(object).fillna("-").tolist()
        )
    for row in made.split("all").to_dict("records"):
        assert np.array_equal(made.read_crop(row), manifest.read_crop(row))
    assert (tmp_path / "new" / "crops.pack").samefile(manifest.folder / "crops.pack")


def test_beside_the_old_manifest_the_crops_are_shared(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    run("split", manifest.folder, "--out", tmp_path / "own")
    before = (tmp_path / "own" / "manifest.parquet").read_bytes()
    assert run("split", tmp_path / "own", "--out", tmp_path / "own" / "seed1.parquet", "--seed", 1).status == 0
    assert {path.name for path in (tmp_path / "own").iterdir()} == {"crops.pack", "manifest.parquet", "seed1.parquet"}
    assert (tmp_path / "own" / "manifest.parquet").read_bytes() == before
    made = read_manifest(tmp_path / "own" / "seed1.parquet")
    assert made.read_crop(made.table.iloc[0]).shape == (48, 48, 3)


def test_the_seed_decides(manifest: Manifest) -> None:
    plans = [SplitPlan(val_share=0.25, keep_official=False, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (split_anew(manifest, plan).table["split"].tolist() for plan in plans)
    assert first == again != other


def test_what_is_printed_is_what_was_written(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "new.parquet"
    result = run("split", manifest.folder, "--out", out, "--val-share", 0.25, "--folds", 4)
    assert result.err == f"wrote {out}\n"
    head, _, *lines = (line.split() for line in result.out.splitlines() if line.strip())
    assert head == ["faces", "all", "0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79"]
    table = read_manifest(out).table
    parts = {name: table["split"] == name for name in ("train", "val")}
    parts |= {f"fold {fold}": table["fold"] == fold for fold in range(4)}
    wanted = [
        [*name.split(), str(rows.sum()), *(str(((table["age"] // 10 == decade) & rows).sum()) for decade in range(8))]
        for name, rows in parts.items()
    ]
    assert lines == wanted


# folds


def test_every_fold_is_held_back_once(run: Run, folds: Path) -> None:
    whole = read_manifest(folds)
    _assert_whole(whole.table)
    held_back: list[str] = []
    for fold in range(4):
        out = folds / f"fold{fold}.parquet"
        assert run("split", folds, "--out", out, "--val-fold", fold).status == 0
        made = read_manifest(out)
        assert made.table["fold"].tolist() == whole.table["fold"].tolist()
        assert (made.table["split"] == "val").tolist() == (whole.table["fold"] == fold).tolist()
        assert (made.table["split"] == "train").tolist() == (whole.table["fold"] != fold).tolist()
        held_back += made.split("val")["source_path"].tolist()
    assert sorted(held_back) == sorted(whole.table["source_path"])


def test_folds_and_the_one_held_back_can_be_made_at_once(run: Run, manifest: Manifest, folds: Path) -> None:
    out = folds / "once.parquet"
    assert run("split", manifest.folder, "--out", out, "--folds", 4, "--val-fold", 3).status == 0
    made = read_manifest(out).table
    assert made["fold"].tolist() == read_manifest(folds).table["fold"].tolist()
    assert (made["split"] == "val").tolist() == (made["fold"] == 3).tolist()


def test_a_test_part_is_not_trained_on_by_folds(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    run("split", manifest.folder, "--out", tmp_path, "--folds", 3, "--test-share", 0.2)
    tests = read_manifest(tmp_path).table["split"] == "test"
    assert tests.any()
    run("split", tmp_path, "--out", tmp_path / "1.parquet", "--val-fold", 1)
    made = read_manifest(tmp_path / "1.parquet").table
    assert (made["split"] == "test").tolist() == tests.tolist()
    assert made.loc[~tests & (made["fold"] == 1), "split"].eq("val").all()
    run("split", tmp_path, "--out", tmp_path / "all.parquet", "--val-fold", 1, "--no-keep-official")
    assert "test" not in set(read_manifest(tmp_path / "all.parquet").table["split"])


def test_folds_alone_keep_the_splits_when_told_so(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert run("split", manifest.folder, "--out", out, "--folds", 5, "--keep-official").status == 0
    made = read_manifest(out).table
    assert made["split"].tolist() == manifest.table["split"].tolist()
    assert sorted(made["fold"].unique()) == [0, 1, 2, 3, 4]


# lists


def test_a_list_says_what_is_held_back(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    names = manifest.table["source_path"][[3, 17, 21]].tolist()
    (tmp_path / "val.txt").write_text("\n".join([*names, "", "  "]), encoding="utf-8")
    out = tmp_path / "out"
    assert run("split", manifest.folder, "--out", out, "--val-list", tmp_path / "val.txt").status == 0
    made = read_manifest(out)
    assert made.split("val")["source_path"].tolist() == names
    assert len(made.split("train")) == 37


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read as a list of names"),
        (b"\xff\xfe", "cannot be read as a list of names"),
        (b" \n\n", "holds no names; wanted one a line"),
        (b"nobody.jpg\n", "none of the 1 names to hold back is in the data set"),
    ],
)
def test_a_list_that_names_nothing_is_refused(
    content: bytes | None, complaint: str, run: Run, manifest: Manifest, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "val.txt").write_bytes(content)
    arguments = ("--out", tmp_path / "out", "--val-list", tmp_path / "val.txt")
    assert complaint in run("split", manifest.folder, *arguments).complaint
    assert not (tmp_path / "out").exists()


# what is refused


def test_leaks_that_are_kept_are_said(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    table = manifest.table.copy()
    table.loc[1, "digest"] = table.loc[0, "digest"]
    table["split"] = ["train", "val", *["train"] * 38]
    write_manifest(replace(manifest, table=table, folder=tmp_path), tmp_path / "manifest.parquet")
    (tmp_path / "crops.pack").write_bytes((manifest.folder / "crops.pack").read_bytes())
    kept = run("split", tmp_path, "--out", tmp_path / "kept.parquet", "--keep-official")
    assert kept.err.splitlines()[-1] == "utkface train → utkface val: 1 group, 1 sample"
    mended = run("split", tmp_path, "--out", tmp_path / "mended.parquet")
    assert "in two splits" not in mended.err
    _assert_whole(read_manifest(tmp_path / "mended.parquet").table)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--val-share", 0.2, "--val-fold", 1], "--val-share and --val-fold both say what validation is done on"),
        (["--val-list", "x", "--val-fold", 1], "--val-list and --val-fold both say what validation is done on"),
        (["--val-fold", 1], "the manifest has no folds; make them with --folds"),
        (["--folds", 3, "--val-fold", 3], "no fold 3; the manifest has folds 0, 1, 2"),
        (["--val-fold", -1], "--val-fold"),
        (["--folds", 1], "--folds"),
        (["--folds", 60], "40 different pictures or people cannot be split into 60 parts"),
        (["--val-share", 0.7], "--val-share"),
        (["--test-share", "nan"], "--test-share"),
        (["--test-share", 0.2, "--keep-official"], "no share for 'test' is taken from the manifest's own splits"),
        (["--seed", -1], "--seed"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[Any], complaint: str, run: Run, manifest: Manifest, tmp_path: Path
) -> None:
    assert complaint in run("split", manifest.folder, "--out", tmp_path / "out", *arguments).complaint
    assert not (tmp_path / "out").exists()


def test_too_few_people_for_a_share_are_an_error(manifest: Manifest) -> None:
    few = replace(manifest, table=manifest.table.iloc[:3].reset_index(drop=True))
    with pytest.raises(DataError, match=r"3 different pictures or people are too few to hold back a share of 0.1"):
        split_anew(few, SplitPlan(keep_official=False))


def test_no_manifest_and_no_place_for_one_are_said(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    assert "no such manifest" in run("split", tmp_path / "nothing", "--out", tmp_path / "out").complaint
    (tmp_path / "file").touch()
    assert "no folder that can be written in" in run("split", manifest.folder, "--out", tmp_path / "file").complaint
    assert "--out" in run("split", manifest.folder).complaint


def test_nothing_is_overwritten(run: Run, manifest: Manifest, tmp_path: Path) -> None:
    before = (manifest.folder / "manifest.parquet").read_bytes()
    for out in (manifest.folder, manifest.folder / "manifest.parquet"):
        assert "manifest.parquet: is there already" in run("split", manifest.folder, "--out", out).complaint
    assert (manifest.folder / "manifest.parquet").read_bytes() == before
    (tmp_path / "crops.pack").write_bytes(b"precious")
    assert "another content" in run("split", manifest.folder, "--out", tmp_path).complaint
    assert (tmp_path / "crops.pack").read_bytes() == b"precious"
    assert not (tmp_path / "manifest.parquet").exists()


@given(
    labels=st.lists(st.integers(0, 12), min_size=40, max_size=40),
    folds=st.integers(2, 5),
    data=st.data(),
)
@settings(max_examples=20)
def test_no_person_is_ever_on_two_sides(labels: list[int], folds: int, data: st.DataObject, manifest: Manifest) -> None:
    table = manifest.table.assign(subject=[f"person {label}" for label in labels])
    if len(set(labels)) < folds:
        return
    fold = data.draw(st.integers(0, folds - 1))
    made = split_anew(replace(manifest, table=table), SplitPlan(0.0, folds=folds, keep_official=False), fold).table
    assert (made.groupby("subject")["split"].nunique() == 1).all()
    assert (made.groupby("subject")["fold"].nunique() == 1).all()
    assert (made["split"] == "val").tolist() == (made["fold"] == fold).tolist()
