"""Labels that cannot be, rows that are broken, pictures that show nothing, and what is rare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agelens.audit.findings import Finding, Kind
from agelens.errors import DataError

Make = Callable[..., Path]
Look = Callable[..., list[Finding]]


def _edit(path: Path, column: str, values: list[Any]) -> None:
    """Write a column as it is, without the turns through pandas that make NaN a null."""
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array(values, type=table.schema.field(column).type)), path)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"age": 200}, "an age outside 0…130: age 200"),
        ({"age": -1}, "an age outside 0…130: age -1"),
        ({"age": 124}, "age 124, but nobody is known to have lived beyond 122"),
        ({"age": None, "age_low": 125, "age_high": 130}, "age_low 125, but nobody is known to have lived beyond 122"),
        ({"age": float("inf")}, "an age outside 0…130: age inf"),
        ({"age": None}, "neither age nor band"),
        ({"age": 30, "age_low": 40, "age_high": 49}, "age 30 lies outside its band 40–49"),
        ({"age": 50, "age_low": 40, "age_high": 49}, "age 50 lies outside its band 40–49"),
        (
            {"age": 30, "age_low": 49, "age_high": 20},
            "a band that ends before it starts: age 30, age_low 49, age_high 20",
        ),
        ({"age_low": 20}, "a band with one end: age 30, age_low 20"),
        ({"gender": "m"}, "an unknown gender: gender m"),
    ],
)
def test_a_label_that_cannot_be_is_said(make: Make, look: Look, labels: dict[str, Any], said: str) -> None:
    findings = look(make({}, labels, {}), "labels")
    assert [(found.kind, found.rows, found.what) for found in findings] == [(Kind.IMPLAUSIBLE, (1,), said)]
    assert findings[0].severity == "error"


@pytest.mark.parametrize("labels", [{"age": 0}, {"age": 122.4}, {"age": 49.9, "age_low": 40, "age_high": 49}])
def test_labels_at_the_edge_of_what_can_be_are_left_alone(make: Make, look: Look, labels: dict[str, Any]) -> None:
    assert look(make({}, labels), "labels") == []


def test_not_a_number_is_told_from_unknown(make: Make, look: Look) -> None:
    path = make({}, {"age": None, "age_low": 20, "age_high": 29}, {"age_low": 25, "age_high": 32})
    _edit(path, "age", [30.0, None, float("nan")])
    findings = look(path, "labels")
    assert [(found.rows, found.what) for found in findings] == [((2,), "age is not a number; an unknown one is null")]


def test_the_rarer_gender_of_a_subject_is_doubted_and_both_when_neither_is(make: Make, look: Look) -> None:
    men, women = {"gender": "male"}, {"gender": "female"}
    path = make(
        *({"subject": "a", **one} for one in (men, women, men)),
        *({"subject": "b", **one} for one in (men, women)),
        *({"subject": "c", **one} for one in (women, women, {"gender": None})),
        {"subject": "c", "dataset": "another", **men},
    )
    findings = look(path, "labels")
    assert sorted((found.rows, found.what) for found in findings) == [
        ((1,), "subject a is labelled 2 × male and 1 × female"),
        ((3, 4), "subject b is labelled 1 × male and 1 × female"),
    ]


@pytest.mark.parametrize(
    ("guess", "spread", "doubted"), [(60, 5, True), (41, 3, True), (39, 2, False), (60, 11, False), (60, None, False)]
)
def test_ages_far_from_what_people_guessed_are_doubted(
    make: Make, look: Look, guess: float, spread: float | None, doubted: bool
) -> None:
    findings = look(make({"apparent_age": guess, "apparent_std": spread}, {}), "labels")
    assert [(found.kind, found.rows) for found in findings] == ([(Kind.DOUBTFUL_AGE, (0,))] if doubted else [])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"path": "../secret.jpg"}, "a path outside the manifest's folder"),
        ({"path": "gone.pack"}, "a missing crop file"),
        ({"path": None}, "no crop path"),
        ({"offset": 10**6}, "a crop beyond its file's end"),
        ({"length": None}, "an offset without a length, or a bad one"),
        ({"split": "dev"}, "an unknown split: split dev"),
        ({"score": 1.5}, "a score outside 0…1: score 1.5"),
        ({"source_path": "000.jpg"}, "an original listed twice: source_path 000.jpg"),
    ],
)
def test_a_broken_row_is_said_and_the_rest_is_audited(
    make: Make, look: Look, values: dict[str, Any], said: str
) -> None:
    path = make({}, {}, values, {"face": 1})
    findings = look(path, "labels", "duplicates", "pictures", "leaks", "balance")
    broken = [found for found in findings if found.kind == Kind.BROKEN]
    assert (2,) in [found.rows for found in broken]
    assert all(found.what.startswith(said) for found in broken)
    assert [found.rows for found in findings if found.kind == Kind.EXACT] == [(1, 3)]


def test_a_damaged_crop_is_a_broken_row(make: Make, look: Look) -> None:
    path = make({}, {}, {})
    pack = path.with_name("crops.pack")
    start = pq.read_table(path)["offset"].to_pylist()[1]
    data = bytearray(pack.read_bytes())
    data[start : start + 20] = bytes(20)
    pack.write_bytes(data)
    findings = look(path, "pictures")
    assert [(found.kind, found.rows) for found in findings] == [(Kind.BROKEN, (1,))]
    assert "a crop is damaged" in findings[0].what


@pytest.mark.parametrize("column", ["age", "split"])
def test_a_table_without_a_column_or_of_another_type_is_refused(make: Make, look: Look, column: str) -> None:
    path = make({}, {})
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    with pytest.raises(DataError, match=f"column '{column}' is missing; make it again with: agelens prepare"):
        look(path, "labels")


def test_a_table_without_rows_is_refused(make: Make, look: Look) -> None:
    path = make({})
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(DataError, match="the table has no rows"):
        look(path, "labels")


def test_blank_crops_and_faces_that_the_detector_doubted_are_shown(make: Make, look: Look) -> None:
    wall = np.random.default_rng(0).integers(118, 124, (64, 64, 3), dtype=np.uint8)
    findings = look(make({}, {"face": wall}, {"score": 0.71}, {"score": None}), "pictures")
    assert [(found.kind, found.rows) for found in findings] == [(Kind.DOUBTFUL_FACE, (2,)), (Kind.BLANK, (1,))]
    assert findings[0].what == "the detector's score is 0.71, below 0.8"


def test_rare_decades_are_counted_by_gender(make: Make, look: Look) -> None:
    rows = [{"face": 0, "age": 20 + number % 10, "gender": ("male", "female")[number % 2]} for number in range(41)]
    findings = look(make(*rows, {"face": 0, "age": 95, "gender": "female"}, {"age": None}), "balance")
    assert [found.what for found in findings] == ["age 90+: 1 (2.4%); age 20-29: 41, 41 times as many"]
    assert findings[0].rows == ()
    assert findings[0].details["table"] == {"20-29": {"male": 21, "female": 20}, "90+": {"male": 0, "female": 1}}


def test_a_rare_gender_is_shown(make: Make, look: Look) -> None:
    rows = [{"face": 0, "gender": "female" if number < 2 else "male"} for number in range(8)]
    findings = look(make(*rows), "balance")
    assert [found.what for found in findings] == ["female: 2 (25.0%) of 8"]


def test_splits_of_different_ages_are_shown(make: Make, look: Look) -> None:
    ages = {"train": [20, 21, 22, 33], "val": [23, 34, 35, 36]}
    rows = [
        {"face": 0, "split": split, "age": age, "gender": ("male", "female")[age % 2]}
        for split, known in ages.items()
        for age in known
    ]
    findings = look(make(*rows), "balance")
    assert [found.what for found in findings] == [
        "splits train and val differ in age: 50% of one would need another decade"
    ]
    assert findings[0].details["table"] == {"20-29": {"train": 3, "val": 1}, "30-39": {"train": 1, "val": 3}}
