"""A manifest without its faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from agelens.audit.findings import Finding, Kind
from agelens.data.manifest import Manifest, read_manifest

Picture = npt.NDArray[np.uint8]
Make = Callable[..., Path]
Look = Callable[..., list[Finding]]
Run = Callable[..., Any]
Contents = Callable[[Path], dict[str, str]]

UNTOUCHED = ["source_path", "age", "gender", "race", "subject", "score", "digest", "phash", "path", "offset", "length"]


@pytest.fixture
def faulty(make: Make, made_up_face: Callable[[int, int], Picture]) -> Path:
    """A manifest with a fault of every kind."""
    near = np.clip(made_up_face(3, 60) * 1.2, 0, 255).astype(np.uint8)
    return make(
        {"face": 0},
        {"face": 0, "split": "val"},  # 1: exact, a leak
        {"face": 1},
        {"face": 1, "age": 60},  # 3: conflict
        {"face": 3, "split": "val"},
        {"face": near},  # 5: near, a leak
        {"face": 10, "age": 200},
        {"face": 11, "age": None},
        {"face": 12, "path": "../../secret.jpg", "offset": None, "length": None},
        {"face": 13, "gender": "x"},
        {"face": 14, "subject": "a", "split": "val", "fold": 2},
        {"face": 15, "subject": "a", "split": "train", "fold": 1},
        {"face": 16, "subject": "a", "split": "val", "fold": 2},
        {"face": 17, "source_path": "000.jpg"},  # 13: listed twice
        {"face": 18, "apparent_age": 70, "apparent_std": 3},
        {"face": 19, "split": "test"},
        {"face": 20, "removed": "no face", "detail": "none", "split": None},
        {"face": 21, "gender": "x", "removed": "no gender", "split": None},
    )


def _fixed(run: Run, path: Path, *options: object) -> Manifest:
    target = path.with_name("cleaned.parquet")
    assert run("audit", path, "--fix", target, *options).status == 0
    return read_manifest(target)


def test_each_fault_is_removed_with_its_reason_or_mended(run: Run, faulty: Path) -> None:
    table = _fixed(run, faulty).table
    removed = {int(str(row)): reason for row, reason in table["removed"].dropna().items()}
    assert removed == {
        1: "duplicate",
        2: "conflicting labels",
        3: "conflicting labels",
        5: "duplicate",
        6: "bad label",
        7: "bad label",
        8: "unreadable",
        9: "bad label",
        13: "bad label",
        16: "no face",
        17: "no gender",
    }
    assert table.loc[1, "detail"] == "copy of 000.jpg"
    assert table.loc[3, "detail"] == "the same file 2 times, labelled age 30, 60"
    assert table.loc[16, "detail"] == "none"
    assert table.loc[list(removed), ["group", "split", "fold"]].isna().all(axis=None)
    assert table.loc[10:12, "split"].tolist() == ["train"] * 3
    assert table.loc[10:12, "fold"].tolist() == [2] * 3
    assert table.loc[10:12, "detail"].tolist() == ["moved from split val", "moved from fold 1", "moved from split val"]
    assert table.loc[[0, 4, 14, 15], "split"].tolist() == ["train", "val", "train", "test"]


def test_an_audit_of_the_fixed_manifest_finds_nothing_more(run: Run, look: Look, faulty: Path) -> None:
    fixed = _fixed(run, faulty)
    findings = look(fixed.folder / "cleaned.parquet", "duplicates", "leaks", "labels", "pictures")
    assert {found.kind for found in findings} == {Kind.DOUBTFUL_AGE}


def test_to_fix_again_changes_nothing(run: Run, faulty: Path) -> None:
    once = _fixed(run, faulty)
    again = once.folder / "again.parquet"
    assert run("audit", once.folder / "cleaned.parquet", "--fix", again).status == 0
    pd.testing.assert_frame_equal(read_manifest(again).table, once.table)


def test_the_manifest_and_all_sound_values_stay(run: Run, faulty: Path, contents: Contents) -> None:
    before = contents(faulty.parent)
    fixed = _fixed(run, faulty).table
    assert {name: one for name, one in contents(faulty.parent).items() if name != "cleaned.parquet"} == before
    original = pd.read_parquet(faulty)
    sound = fixed["removed"].isna()
    for name in UNTOUCHED:
        assert (
            fixed.loc[sound, name].astype(object).fillna("-").tolist()
            == original.loc[sound, name].astype(object).fillna("-").tolist()
        )


def test_doubtful_labels_go_only_when_asked(run: Run, faulty: Path, tmp_path: Path) -> None:
    assert run("audit", faulty, "--fix", tmp_path / "labels", "--fix-labels").status == 0
    removed = read_manifest(tmp_path / "labels").table["removed"]
    assert removed[14] == "likely wrong label"


def test_a_folder_of_its_own_has_the_crops_too(run: Run, faulty: Path, tmp_path: Path) -> None:
    assert run("audit", faulty, "--fix", tmp_path / "new").status == 0
    fixed = read_manifest(tmp_path / "new")
    for row in fixed.split("all").to_dict("records"):
        assert fixed.read_crop(row).shape == (64, 64, 3)


@pytest.mark.parametrize("name", ["manifest.parquet", ""])
def test_the_manifest_is_never_overwritten(run: Run, faulty: Path, name: str) -> None:
    before = faulty.read_bytes()
    complaint = run("audit", faulty, "--fix", faulty.parent / name).complaint
    assert "is there already; remove it first, or choose another place" in complaint
    assert faulty.read_bytes() == before


def test_only_what_was_looked_for_is_fixed_but_a_manifest_can_be_read(run: Run, faulty: Path) -> None:
    table = _fixed(run, faulty, "--check", "leaks").table
    assert set(table["removed"].dropna()) == {"bad label", "unreadable", "no face", "no gender"}
    assert table.loc[[0, 1, 4, 5], "split"].tolist() == ["train"] * 4


def test_nothing_left_is_refused(make: Make, run: Run, tmp_path: Path) -> None:
    path = make({"face": 0, "age": 20}, {"face": 0, "age": 40})
    assert "every sample has a fault; nothing would be left" in run("audit", path, "--fix", tmp_path / "x").complaint


def test_copies_that_hide_behind_nearer_ones_go_too(make: Make, run: Run, look: Look, made_up_face: Any) -> None:
    """Each crop is compared with the few most alike: more copies than that show when those are gone."""
    face = made_up_face(0, 60).astype(np.int64)
    noise = np.random.default_rng(0)
    copies = [np.clip(face + noise.normal(0, number, face.shape), 0, 255).astype(np.uint8) for number in range(9)]
    path = make(*({"face": copy, "phash": None} for copy in copies), {"face": 5})
    assert run("audit", path, "--fix", path.with_name("cleaned.parquet")).status == 0
    kept = read_manifest(path.with_name("cleaned.parquet")).split("all")
    assert kept["source_path"].tolist() == ["000.jpg", "009.jpg"]
