"""Near-duplicates are found, and never stand on both sides of a split."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from agelens.data.splits import SAME_PICTURE, assign_split, group_duplicates, thumbprint

Picture = npt.NDArray[np.uint8]


def test_thumbprint_has_mean_0_and_length_1(made_up_face: Callable[[int, int], Picture]) -> None:
    print_ = thumbprint(made_up_face(1, 30))
    assert print_.shape == (576,)
    assert print_.dtype == np.float32
    assert print_.mean() == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(print_) == pytest.approx(1, abs=1e-5)


def test_thumbprint_of_a_flat_picture_is_finite_and_like_no_other() -> None:
    flat = thumbprint(np.full((64, 64, 3), 7, dtype=np.uint8))
    assert not flat.any()


@pytest.mark.parametrize("quality", [95, 40])
def test_a_reencoded_picture_keeps_its_thumbprint(made_up_face: Callable[[int, int], Picture], quality: int) -> None:
    picture = made_up_face(3, 30)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    again = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    assert not np.array_equal(again, picture)
    assert thumbprint(picture) @ thumbprint(again) > 0.99


def test_a_brighter_smaller_copy_keeps_its_thumbprint(made_up_face: Callable[[int, int], Picture]) -> None:
    picture = made_up_face(3, 30)
    brighter = cv2.resize(cv2.convertScaleAbs(picture, alpha=1.1, beta=8), (50, 50), interpolation=cv2.INTER_AREA)
    assert thumbprint(picture) @ thumbprint(np.asarray(brighter, dtype=np.uint8)) > 0.98


def test_different_pictures_have_different_thumbprints(made_up_face: Callable[[int, int], Picture]) -> None:
    prints = np.stack([thumbprint(made_up_face(seed, 30)) for seed in range(20)])
    correlations = (prints @ prints.T)[~np.eye(20, dtype=bool)]
    assert correlations.max() < SAME_PICTURE - 0.1


def _brute_force(close: npt.NDArray[np.bool_]) -> list[int]:
    """Union-find over all pairs; groups numbered by first appearance."""
    parent = list(range(len(close)))

    def root(one: int) -> int:
        while parent[one] != one:
            one = parent[one]
        return one

    for first in range(len(close)):
        for second in range(first):
            if close[first, second]:
                parent[max(root(first), root(second))] = min(root(first), root(second))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(one), len(numbers)) for one in range(len(close))]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 25), width=st.integers(2, 4), threshold=st.floats(-0.5, 0.99)
)
def test_groups_are_those_of_a_brute_force_union_find(seed: int, count: int, width: int, threshold: float) -> None:
    prints = np.random.default_rng(seed).normal(size=(count, width))
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    correlations = prints @ prints.T
    assume(np.abs(correlations - threshold).min() > 1e-5)  # float32 must not decide
    groups = group_duplicates(prints.astype(np.float32), threshold)
    assert groups.tolist() == _brute_force(correlations > threshold)


def test_a_chain_is_one_group_though_its_ends_differ() -> None:
    angles = np.deg2rad([0, 90, 10, 20, 30, 100])
    prints = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert prints[0] @ prints[4] < 0.98
    assert group_duplicates(prints, 0.98).tolist() == [0, 1, 0, 0, 0, 1]


def test_groups_reach_across_stripes() -> None:
    rng = np.random.default_rng(0)
    prints = rng.normal(size=(2100, 64)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    prints[2099] = prints[3]
    groups = group_duplicates(prints)
    assert groups.dtype == np.int32
    assert groups[2099] == groups[3] == 3
    assert len(np.unique(groups)) == 2099


def _people(seed: int = 0, count: int = 600) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, count // 2, count).astype(np.int32)
    return rng.integers(1, 80, count // 2)[groups].astype(float), groups


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_stay_together(seed: int) -> None:
    ages, groups = _people(seed)
    split = assign_split(ages, groups, val_share=0.1, seed=seed)
    assert set(split) == {"train", "val"}
    assert not set(groups[split == "train"]) & set(groups[split == "val"])


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


def test_one_part_in_n_is_the_first_of_n_folds() -> None:
    ages, groups = _people()
    folds = StratifiedGroupKFold(10, shuffle=True, random_state=4).split(ages[:, None], ages // 10, groups)
    _, wanted = next(iter(folds))
    held_back = assign_split(ages, groups, val_share=0.1, seed=4) == "val"
    assert np.flatnonzero(held_back).tolist() == sorted(wanted)


def test_same_seed_same_split_and_another_seed_another() -> None:
    ages, groups = _people()
    first, again, other = (assign_split(ages, groups, val_share=0.1, seed=seed) for seed in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("val_share", [0, -0.1, 0.51, 1, float("nan")])
def test_share_out_of_range_is_refused(val_share: float) -> None:
    with pytest.raises(ValueError, match=r"it must be above 0 and at most 0\.5"):
        assign_split(np.full(20, 30.0), np.arange(20, dtype=np.int32), val_share=val_share, seed=0)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="9 different pictures cannot be split into 10 parts"):
        assign_split(np.full(20, 30.0), (np.arange(20) % 9).astype(np.int32), val_share=0.1, seed=0)


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
