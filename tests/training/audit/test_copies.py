"""Duplicates, conflicts and leaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from agelens.audit.findings import Finding, Kind
from agelens.data.manifest import read_manifest, write_manifest

Picture = npt.NDArray[np.uint8]
Make = Callable[..., Path]
Look = Callable[..., list[Finding]]
Draw = Callable[[int, int], Picture]


def _rows(findings: list[Finding], kind: Kind) -> list[tuple[int, ...]]:
    return sorted(finding.rows for finding in findings if finding.kind == kind)


def _brighter(picture: Picture) -> Picture:
    return np.clip(picture * 1.2, 0, 255).astype(np.uint8)


def test_copies_that_agree_are_told_by_kind(make: Make, look: Look, made_up_face: Draw) -> None:
    near = _brighter(made_up_face(1, 60))
    path = make({"face": 0}, {"face": 1}, {"face": 2}, {"face": 0}, {"face": near}, {"face": 0})
    findings = look(path, "duplicates")
    assert [(one.kind, one.rows) for one in findings] == [(Kind.EXACT, (0, 3, 5)), (Kind.NEAR, (1, 4))]
    assert findings[0].what == "the same file 3 times"
    assert set(findings[1].details["likeness"]) == {"hash", "registration"}


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"age": 20}, {"age": 35}, "age 20, 35"),
        ({"age": 20.5}, {"age": 20.25}, "age 20.5, 20.25"),
        ({}, {"gender": "female"}, "gender male, female"),
        ({"age": 20}, {"age": 35, "gender": "female"}, "age 20, 35 and gender male, female"),
        ({"age": None, "age_low": 0, "age_high": 2}, {"age": None, "age_low": 3, "age_high": 9}, "age 0–2, 3–9"),
        ({"age": 33}, {"age": None, "age_low": 25, "age_high": 32}, "age 33, 25–32"),
    ],
)
def test_labels_that_conflict_are_said(
    make: Make, look: Look, made_up_face: Draw, one: dict[str, Any], other: dict[str, Any], said: str
) -> None:
    near = _brighter(made_up_face(1, 60))
    exact = {"face": 0, **one}, {"face": 0, **other}
    path = make(*exact, {"face": 1, **one}, {"face": near, **other})
    findings = look(path, "duplicates")
    assert [(found.kind, found.rows) for found in findings] == [
        (Kind.CONFLICT_EXACT, (0, 1)),
        (Kind.CONFLICT_NEAR, (2, 3)),
    ]
    assert all(said in found.what for found in findings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"age": 30}, {"age": None, "age_low": 25, "age_high": 32}),
        ({"age": 32.5}, {"age": None, "age_low": 25, "age_high": 32}),
        ({"age": None, "age_low": 8, "age_high": 12}, {"age": None, "age_low": 8, "age_high": 23}),
        ({"gender": None}, {"gender": "female"}),
        ({"race": "White"}, {"race": "Black"}),
    ],
)
def test_labels_that_can_both_be_true_do_not_conflict(
    make: Make, look: Look, one: dict[str, Any], other: dict[str, Any]
) -> None:
    findings = look(make({"face": 0, **one}, {"face": 0, **other}), "duplicates")
    assert [found.kind for found in findings] == [Kind.EXACT]


def test_a_near_copy_of_two_exact_ones_is_a_finding_of_its_own(make: Make, look: Look, made_up_face: Draw) -> None:
    path = make({"face": 0}, {"face": 0}, {"face": _brighter(made_up_face(0, 60)), "age": 31})
    findings = look(path, "duplicates")
    assert [(found.kind, found.rows) for found in findings] == [
        (Kind.CONFLICT_NEAR, (0, 1, 2)),
        (Kind.EXACT, (0, 1)),
    ]


def test_the_widest_conflict_comes_first(make: Make, look: Look) -> None:
    rows = [{"face": number // 2, "age": age} for number, age in enumerate((20, 21, 20, 60, 20, 30))]
    assert [found.rows for found in look(make(*rows), "duplicates")] == [(2, 3), (4, 5), (0, 1)]


def test_removed_samples_are_no_copies(make: Make, look: Look) -> None:
    gone = {"face": 0, "removed": "duplicate", "split": None}
    assert look(make({"face": 0}, gone, {"face": 1}), "duplicates", "leaks") == []


def test_samples_without_digest_or_hash_are_no_copies_of_each_other(make: Make, look: Look) -> None:
    path = make({"digest": None, "phash": None}, {"digest": None, "phash": None}, {"digest": None})
    assert look(path, "duplicates", "leaks") == []


def test_copies_across_splits_and_folds_are_leaks(make: Make, look: Look, made_up_face: Draw) -> None:
    path = make(
        {"face": 0},
        {"face": 0, "split": "test"},
        {"face": 1, "split": "val"},
        {"face": _brighter(made_up_face(1, 60))},
        {"face": 2, "fold": 0},
        {"face": 2, "fold": 3},
        {"face": 3, "fold": 1},
        {"face": 3, "fold": 1},
        {"face": 4, "fold": 1},
        {"face": 4, "fold": None},
    )
    findings = look(path, "leaks")
    assert _rows(findings, Kind.DUPLICATE_ACROSS) == [(0, 1), (2, 3), (4, 5)]
    assert {found.what for found in findings} == {
        "one photo lies in splits train, test",
        "one photo lies in splits val, train",
        "one photo lies in folds 0, 3",
    }


def test_subjects_across_splits_are_leaks_within_their_data_set(make: Make, look: Look) -> None:
    path = make(
        {"subject": "a"},
        {"subject": "a", "split": "val"},
        {"subject": "b"},
        {"subject": "b", "split": "val", "dataset": "another"},
        {"subject": "c"},
        {"subject": "c"},
        {"subject": None},
        {"subject": None, "split": "val"},
    )
    findings = look(path, "leaks")
    assert [(found.kind, found.rows) for found in findings] == [(Kind.SUBJECT_ACROSS, (0, 1))]
    assert findings[0].what == "subject a lies in splits train, val"


def test_a_hash_that_is_none_does_not_stop_the_audit(make: Make, look: Look) -> None:
    path = make({"face": 0}, {"face": 0, "phash": "x"}, {"face": 1})
    kinds = {found.kind for found in look(path, "duplicates", "labels")}
    assert kinds == {Kind.EXACT, Kind.BROKEN}


def test_a_manifest_that_prepare_made_has_no_leaks(manifest: Any, look: Look, tmp_path: Path) -> None:
    assert look(manifest.folder, "duplicates", "leaks") == []
    again = read_manifest(manifest.folder)
    again.table["split"] = "train"
    again.table["subject"] = "one"
    write_manifest(again, manifest.folder / "same.parquet")
    assert look(manifest.folder / "same.parquet", "leaks") == []
    (manifest.folder / "same.parquet").unlink()
