"""Shares and folds: met as well as whole groups allow, and the same for the same seed."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from agelens.data.splits import TooFewGroupsError, assign_folds, assign_split

Ages = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int32]


def _people(seed: int = 0, count: int = 600) -> tuple[Ages, Groups]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, count // 2, count).astype(np.int32)
    return rng.integers(1, 80, count // 2)[groups].astype(float), groups


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_stay_together(seed: int) -> None:
    ages, groups = _people(seed)
    split = assign_split(ages, groups, val_share=0.1, test_share=0.2, seed=seed)
    assert set(split) == {"train", "val", "test"}
    sides = [set(groups[split == name]) for name in ("train", "val", "test")]
    assert sum(map(len, sides)) == len(set(groups))


@pytest.mark.parametrize("val_share", [0.05, 0.1, 0.2, 0.25, 0.5])
def test_share_and_decades_are_close_to_what_was_asked(val_share: float) -> None:
    ages, groups = _people()
    held_back = assign_split(ages, groups, val_share=val_share, seed=0) == "val"
    assert held_back.mean() == pytest.approx(val_share, abs=0.02)
    for decade in range(8):
        assert held_back[ages // 10 == decade].mean() == pytest.approx(val_share, abs=0.1)


@pytest.mark.parametrize("val_share", [0.12, 0.15, 0.3, 0.4, 0.45])
def test_a_share_that_is_not_one_part_in_n_is_met_too(val_share: float) -> None:
    ages, groups = _people(count=3000)
    held_back = assign_split(ages, groups, val_share=val_share, seed=0) == "val"
    assert held_back.mean() == pytest.approx(val_share, abs=0.02)
    assert not set(groups[held_back]) & set(groups[~held_back])
    for decade in range(8):
        assert held_back[ages // 10 == decade].mean() == pytest.approx(val_share, abs=0.06)


@pytest.mark.parametrize(("val_share", "test_share"), [(0.1, 0.1), (0.1, 0.2), (0.15, 0.15), (0, 0.25), (0.4, 0.4)])
def test_both_shares_are_met_at_once(val_share: float, test_share: float) -> None:
    ages, groups = _people(count=3000)
    split = assign_split(ages, groups, val_share=val_share, test_share=test_share, seed=0)
    assert (split == "val").mean() == pytest.approx(val_share, abs=0.02)
    assert (split == "test").mean() == pytest.approx(test_share, abs=0.02)


def test_one_part_in_n_is_the_first_of_n_folds() -> None:
    ages, groups = _people()
    folds = StratifiedGroupKFold(10, shuffle=True, random_state=4).split(ages[:, None], ages // 10, groups)
    _, wanted = next(iter(folds))
    held_back = assign_split(ages, groups, val_share=0.1, seed=4) == "val"
    assert np.flatnonzero(held_back).tolist() == sorted(wanted)


def test_folds_are_even_in_number_and_decades() -> None:
    ages, groups = _people(count=3000)
    fold = assign_folds(ages, groups, folds=5, seed=0)
    assert fold.dtype == np.int32
    assert np.bincount(fold) == pytest.approx(np.full(5, 600), abs=40)
    for decade in range(8):
        shares = np.bincount(fold[ages // 10 == decade], minlength=5) / (ages // 10 == decade).sum()
        assert shares == pytest.approx(np.full(5, 0.2), abs=0.06)
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))


def test_same_seed_same_split_and_another_seed_another() -> None:
    ages, groups = _people()
    first, again, other = (assign_split(ages, groups, val_share=0.1, seed=seed) for seed in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize(
    "shares", [(0, 0), (-0.1, 0.3), (0.3, -0.1), (0.5, 0.31), (1, 0), (float("nan"), 0), (0.1, float("nan"))], ids=str
)
def test_shares_out_of_range_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"together they must be above 0 and at most 0\.8"):
        assign_split(
            np.full(20, 30.0), np.arange(20, dtype=np.int32), val_share=shares[0], test_share=shares[1], seed=0
        )


def test_too_few_pictures_are_refused() -> None:
    ages, groups = np.full(20, 30.0), (np.arange(20) % 9).astype(np.int32)
    with pytest.raises(TooFewGroupsError, match="9 different pictures or people cannot be split into 10 parts"):
        assign_split(ages, groups, val_share=0.1, seed=0)
    with pytest.raises(ValueError, match="1 folds; at least 2 are needed"):
        assign_folds(ages, groups, folds=1, seed=0)


def test_a_rare_decade_is_split_without_a_warning() -> None:
    ages = np.array([30.0] * 50 + [95.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = assign_split(ages, np.arange(51, dtype=np.int32), val_share=0.1, seed=0)
    assert 4 <= (split == "val").sum() <= 6


def test_few_pictures_in_every_decade_are_split_all_the_same() -> None:
    ages = np.arange(24) * 4.0
    split = assign_split(ages, np.arange(24, dtype=np.int32), val_share=0.1, seed=0)
    assert 1 <= (split == "val").sum() <= 4


def test_ages_beyond_a_hundred_are_the_last_decade() -> None:
    ages = np.array([116.0, 100.5, 99, 95, 90, 130] * 5)
    split = assign_split(ages, np.arange(30, dtype=np.int32), val_share=0.5, seed=0)
    assert (split == "val").sum() == 15
