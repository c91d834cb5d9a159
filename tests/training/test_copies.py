"""Copies that are told by their bytes or their names, and the labels of each."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from agelens.data.copies import labels_conflict, remove_copies

LABELS = ("digest", "source_path", "age", "age_low", "age_high", "gender", "removed")


def _table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=LABELS).astype({"digest": object, "gender": object, "removed": object})


def test_the_first_of_each_stays() -> None:
    table = _table(*({"digest": digest, "age": 3} for digest in ("a", "b", "a", "a", "b", None, None)))
    assert remove_copies(table, "digest").fillna("").tolist() == ["", "", "duplicate", "duplicate", "duplicate", "", ""]
    assert table["removed"].isna().all()  # the table itself stays


def test_none_stays_where_labels_conflict() -> None:
    table = _table(*({"digest": "a", "age": age} for age in (3, 3, 4)), {"digest": "b", "age": 3})
    assert remove_copies(table, "digest").fillna("").tolist() == ["conflicting labels"] * 3 + [""]


def test_samples_that_were_removed_have_no_say() -> None:
    first = {"digest": "a", "age": 9, "removed": "no face"}
    table = _table(first, {"digest": "a", "age": 3}, {"digest": "a", "age": 3})
    assert remove_copies(table, "digest").fillna("").tolist() == ["no face", "", "duplicate"]


def test_copies_may_be_told_by_another_column() -> None:
    table = _table({"digest": "a", "source_path": "x"}, {"digest": "b", "source_path": "x"})
    assert remove_copies(table, "source_path").fillna("").tolist() == ["", "duplicate"]


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ({"age": 3}, {"age": 3}, False),
        ({"age": 3}, {"age": 4}, True),
        ({"age": 3}, {"gender": "male"}, False),  # what is not known is no conflict
        ({"gender": "female"}, {"gender": "male"}, True),
        ({"age_low": 0, "age_high": 2}, {"age_low": 0, "age_high": 3}, True),
        ({"age_low": 0, "age_high": 2}, {"age_low": 1, "age_high": 2}, True),
        ({}, {}, False),
    ],
)
def test_labels_conflict_where_both_are_known(one: dict[str, Any], other: dict[str, Any], conflict: bool) -> None:
    assert labels_conflict(_table(one, other)) == conflict
