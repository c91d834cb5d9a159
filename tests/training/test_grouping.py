"""What belongs together is found, and never stands on both sides of a split."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.grouping import SplitPlan, assign_splits, group_samples, middle_age
from agelens.data.prepare import TELLING
from agelens.errors import DataError


def _table(*rows: dict[str, Any]) -> pd.DataFrame:
    """Samples of one data set that have nothing in common but what is given."""
    blank = [
        {"dataset": "d", "source_path": f"{number}.jpg", "age": 30.0, "phash": _hash(number)}
        for number in range(len(rows))
    ]
    table = pd.DataFrame(
        [one | row for one, row in zip(blank, rows, strict=True)], columns=[*TELLING, "dataset", "removed"]
    )
    words = ("dataset", "source_path", "subject", "digest", "phash", "split", "removed")
    return table.astype(dict.fromkeys(words, object)).astype(dict.fromkeys(("age", "age_low", "age_high"), float))


def _hash(seed: int, flipped: int = 0) -> str:
    """A hash that is far from those of other seeds, with some bits turned."""
    bits = np.random.default_rng(seed).integers(0, 2, 256, dtype=np.uint8)
    bits[:flipped] ^= 1
    return np.packbits(bits).tobytes().hex()


def _groups(*rows: dict[str, Any]) -> list[int]:
    return group_samples(_table(*rows)).tolist()


def test_samples_with_nothing_in_common_are_groups_of_their_own() -> None:
    assert _groups({}, {}, {}, {"phash": None}, {"phash": None, "digest": None}) == [0, 1, 2, 3, 4]


def test_near_copies_are_one_group() -> None:
    assert _groups({}, {"phash": _hash(9, 44)}, {"phash": _hash(9)}, {"phash": _hash(9, 45)}) == [0, 1, 1, 1]
    assert _groups({"phash": _hash(9)}, {"phash": _hash(9, 45)}) == [0, 1]


def test_the_same_bytes_are_one_group() -> None:
    assert _groups(*({"digest": one} for one in ("a", "b", "a", None, None))) == [0, 1, 0, 2, 3]


def test_pictures_of_a_subject_are_one_group() -> None:
    assert _groups({"subject": "ann"}, {"subject": "bob"}, {}, {"subject": "ann"}, {}) == [0, 1, 2, 0, 3]


def test_subjects_of_two_data_sets_with_one_name_are_two() -> None:
    assert _groups({"subject": "1"}, {"subject": "1", "dataset": "e"}, {"subject": "1"}) == [0, 1, 0]
    assert _groups({"dataset": "a", "subject": "b"}, {"dataset": "ab", "subject": ""}) == [0, 1]


def test_links_of_all_kinds_make_chains() -> None:
    ann = {"subject": "ann"}
    assert _groups(ann, ann | {"digest": "x"}, {"digest": "x", "phash": _hash(99)}, {"phash": _hash(99, 9)}) == [0] * 4


def test_the_middle_of_a_band_stands_in_for_an_age() -> None:
    band = {"age": None, "age_low": 20.0, "age_high": 29.0}
    ages = middle_age(_table({"age": 7.0}, band, band | {"age": 22.0}, {"age": None}))
    np.testing.assert_array_equal(ages, [7, 24.5, 22, np.nan])


def test_samples_that_were_removed_get_nothing_and_link_nothing() -> None:
    rows = [{"subject": "ann", "removed": "no face" if number % 2 else None} for number in range(6)]
    table = _table(*rows, {"subject": "bob", "removed": "no face"}, {})
    assign_splits(table, SplitPlan(val_share=0.5))
    gone = table["removed"].notna()
    assert table.loc[gone, ["group", "split", "fold"]].isna().all(axis=None)
    assert table.loc[~gone, "group"].tolist() == [0, 0, 0, 1]
    assert table.loc[~gone, "split"].notna().all()


def test_the_index_of_the_table_does_not_matter() -> None:
    rows = [{"removed": "no face" if number % 3 else None} for number in range(30)]
    plain, other = _table(*rows), _table(*rows)
    other.index = pd.Index(np.random.default_rng(0).permutation(30) + 5)
    for table in (plain, other):
        assign_splits(table, SplitPlan(val_share=0.5, folds=3))
    pd.testing.assert_frame_equal(plain, other.reset_index(drop=True))


def test_no_shares_mean_all_for_training() -> None:
    table = _table(*({} for _ in range(20)))
    assign_splits(table, SplitPlan(val_share=0, test_share=0))
    assert set(table["split"]) == {"train"}


@pytest.mark.parametrize("kept", [True, False])
def test_names_to_hold_back_leave_an_official_test_part_alone(kept: bool) -> None:
    table = _table(*({"split": "test" if number < 2 else "train"} for number in range(6)))
    assign_splits(table, SplitPlan(val_names=frozenset({"3.jpg", "5.jpg"}), keep_official=kept))
    first = "test" if kept else "train"
    assert table["split"].tolist() == [first, first, "train", "val", "train", "val"]


def test_a_band_is_stratified_by_its_middle() -> None:
    old = {"age": None, "age_low": 60.0, "age_high": 69.0}
    table = _table(*({} if number % 2 else old for number in range(80)))
    assign_splits(table, SplitPlan(val_share=0.25))
    held_back = table[table["split"] == "val"]
    assert held_back["age"].isna().sum() == held_back["age"].notna().sum() == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_share": -0.1}, "shares of -0.1 and 0.0 for validation and test"),
        ({"val_share": -0.1, "test_share": 0.1}, "shares of -0.1 and 0.1"),
        ({"val_share": 0.5, "test_share": 0.31}, "together at most 0.8"),
        ({"val_share": float("nan")}, "shares of nan and 0.0"),
        ({"folds": 1}, "1 folds; at least 2 are needed"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        SplitPlan(**settings)


@settings(max_examples=60)
@given(data=st.data(), count=st.integers(4, 60), seed=st.integers(0, 9))
def test_no_group_lies_in_two_splits_or_two_folds(data: st.DataObject, count: int, seed: int) -> None:
    def one_of(*values: object) -> Any:
        return data.draw(st.lists(st.sampled_from(values), min_size=count, max_size=count))

    columns = {
        "subject": one_of(None, None, "a", "b", "c"),
        "digest": one_of(None, None, None, "x", "y"),
        "phash": one_of(None, *(_hash(number) for number in range(12))),
        "age": one_of(1.0, 30.0, 31.0, 99.0),
        "removed": one_of(None, None, None, "no face"),
    }
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    table = _table({"phash": None}, *rows)
    kept = table["removed"].isna()
    many = len(np.unique(group_samples(table[kept])))
    folds = data.draw(st.none() | st.integers(2, many)) if many > 1 else None
    assign_splits(table, SplitPlan(data.draw(st.sampled_from([0.1, 0.3, 0.5])), 0.2, folds, seed))
    for name in ("subject", "digest", "phash", "group"):
        sides = table[kept].dropna(subset=name).groupby(name)[["group", "split"]].nunique()
        assert sides.eq(1).all(axis=None)
    assert table[kept].groupby("group")["fold"].nunique().eq(0 if folds is None else 1).all()
    assert set(table.loc[kept, "split"]) <= {"train", "val", "test"}
    assert list(dict.fromkeys(table.loc[kept, "group"])) == list(range(many))
    if folds is not None:
        assert set(table.loc[kept, "fold"]) <= set(range(folds))
