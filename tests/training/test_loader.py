"""Which samples come when, and that a sample is the same whoever loads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.manifest import Manifest
from agelens.errors import DataError
from agelens.faces.align import CropSpec
from agelens.train.balance import sample_weights
from agelens.train.dataset import NO_GENDER, CropDataset, Place
from agelens.train.loader import ShuffledBatches, ordered_loader, shuffled_loader
from agelens.train.transforms import PRESETS, plain_transform, train_transform

SIZES = st.tuples(st.integers(4, 60), st.integers(1, 20), st.integers(1, 4))
INPUT = CropSpec(size=32, margin=0.0)


def _epochs(batches: ShuffledBatches, count: int) -> list[list[list[Place]]]:
    return [list(batches) for _ in range(count)]


@given(SIZES, st.integers(0, 2**32 - 1))
def test_an_epoch_has_each_sample_at_most_once_over_all_ranks(sizes: tuple[int, int, int], seed: int) -> None:
    samples, batch_size, ranks = sizes
    of_ranks = [ShuffledBatches(samples, batch_size, seed, rank=rank, ranks=ranks) for rank in range(ranks)]
    for epoch in range(3):
        steps = [list(batches) for batches in of_ranks]
        assert {len(one) for one in steps} == {len(of_ranks[0])}
        widths = {len(batch) for one in steps for batch in one}
        assert widths == {min(batch_size, samples // ranks)}
        met = list(chain.from_iterable(chain.from_iterable(steps)))
        assert {place[0] for place in met} == {epoch}
        indices = [place[1] for place in met]
        assert len(set(indices)) == len(indices) > samples - widths.pop() * ranks
        assert set(indices) <= set(range(samples))


@given(SIZES, st.data())
def test_taken_up_at_any_step_it_gives_exactly_the_rest(sizes: tuple[int, int, int], data: st.DataObject) -> None:
    samples, batch_size, ranks = sizes
    rank = data.draw(st.integers(0, ranks - 1))

    def make() -> ShuffledBatches:
        return ShuffledBatches(samples, batch_size, 5, rank=rank, ranks=ranks)

    whole = list(chain.from_iterable(_epochs(make(), 3)))
    again = make()
    again.step = data.draw(st.integers(0, 3 * len(again) - 1))
    start, left = again.step, 3 - again.step // len(again)
    assert list(chain.from_iterable(_epochs(again, left))) == whole[start:]


def test_the_same_seed_gives_the_same_order_and_others_others() -> None:
    first, same, other = (_epochs(ShuffledBatches(50, 7, seed), 2) for seed in (3, 3, 4))
    assert first == same
    assert first != other


def test_other_epochs_have_other_orders_and_leave_out_others() -> None:
    orders = [[index for batch in epoch for _, index in batch] for epoch in _epochs(ShuffledBatches(50, 7, 0), 4)]
    assert len({tuple(order) for order in orders}) == 4
    assert {len(order) for order in orders} == {49}
    assert len({50 * 49 // 2 - sum(order) for order in orders}) > 1


def test_a_step_holds_the_same_samples_however_many_processes_share_them() -> None:
    alone = ShuffledBatches(50, 12, 1)
    shared = [ShuffledBatches(50, 4, 1, rank=rank, ranks=3) for rank in range(3)]
    for together, *parts in zip(alone, *shared, strict=True):
        assert sorted(together) == sorted(chain.from_iterable(parts))


def test_more_than_there_are_makes_one_batch_of_all() -> None:
    (batch,) = ShuffledBatches(5, 64, 0)
    assert sorted(index for _, index in batch) == list(range(5))


@pytest.fixture
def varied(manifest: Manifest) -> Callable[..., CropDataset]:
    """The made-up people for training, strongly augmented."""

    def make(**settings: Any) -> CropDataset:
        return CropDataset(manifest, "train", train_transform(PRESETS["strong"], manifest.crop, INPUT), **settings)

    return make


@pytest.fixture
def plain(manifest: Manifest) -> Callable[..., CropDataset]:
    """The made-up people as inference sees them."""

    def make(split: str = "train", table: Manifest = manifest, **settings: Any) -> CropDataset:
        return CropDataset(table, split, plain_transform(table.crop, INPUT), **settings)

    return make


def test_a_sample_is_varied_in_the_same_way_after_whichever_others(varied: Callable[..., CropDataset]) -> None:
    forward, backward = varied(seed=2), varied(seed=2)
    there = [forward[0, index]["crop"] for index in range(8)]
    torch.manual_seed(99)
    back = [backward[0, index]["crop"] for index in reversed(range(8))]
    assert all(torch.equal(*pair) for pair in zip(there, reversed(back), strict=True))


def test_other_epochs_and_seeds_vary_it_otherwise(varied: Callable[..., CropDataset]) -> None:
    crops = [varied(seed=seed)[epoch, 0]["crop"] for seed in (0, 1) for epoch in range(3)]
    assert len({crop.numpy().tobytes() for crop in crops}) == 6


def test_workers_give_what_the_process_itself_gives(varied: Callable[..., CropDataset]) -> None:
    loads = []
    for workers in (0, 1):
        dataset = varied(seed=2)
        loader = shuffled_loader(dataset, ShuffledBatches(len(dataset), 8, 0), workers=workers)
        loads.append([batch for _ in range(2) for batch in loader])
    assert len(loads[0]) == len(loads[1]) > 2
    for own, other in zip(*loads, strict=True):
        assert own.keys() == other.keys()
        for name in own:
            torch.testing.assert_close(own[name], other[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(("batch_size", "ranks"), [(7, 1), (4, 3), (100, 2), (1, 1)])
def test_ordered_loader_gives_every_sample_once_and_in_order(
    batch_size: int, ranks: int, plain: Callable[..., CropDataset]
) -> None:
    dataset = plain()
    ages = [
        torch.cat([batch["age"] for batch in loader]).tolist()
        for loader in (
            ordered_loader(dataset, batch_size=batch_size, workers=0, rank=rank, ranks=ranks) for rank in range(ranks)
        )
    ]
    assert ages == [dataset.labels["age"][rank::ranks].tolist() for rank in range(ranks)]


def test_a_batch_is_what_its_description_says(plain: Callable[..., CropDataset]) -> None:
    batch = next(iter(ordered_loader(plain(), batch_size=5, workers=0)))
    assert batch["crop"].shape == (5, 3, 32, 32)
    assert {name: one.dtype for name, one in batch.items()} == {
        "crop": torch.uint8,
        "age": torch.float32,
        "low": torch.float32,
        "high": torch.float32,
        "gender": torch.int64,
        "weight": torch.float32,
    }


def test_labels_are_the_manifests(plain: Callable[..., CropDataset], manifest: Manifest) -> None:
    dataset, rows = plain("all"), manifest.split("all")
    codes = {"male": 0, "female": 1}
    for index, row in rows.iterrows():
        sample = dataset[0, int(str(index))]
        assert sample["age"] == sample["low"] == sample["high"] == row["age"]
        assert sample["gender"] == codes.get(row["gender"], NO_GENDER)
        assert sample["weight"] == 1
    assert (dataset.labels["gender"] == NO_GENDER).sum() == 1


@pytest.fixture
def banded(manifest: Manifest) -> Manifest:
    """The made-up people, of some of whom only a band is known."""
    table = manifest.split("train").copy()
    table["age"] = table["age"].astype("float64")
    table.loc[0, ["age", "age_low", "age_high"]] = [np.nan, 25, 32]
    table.loc[1, ["age", "age_low", "age_high"]] = [np.nan, 60, 120]
    table.loc[2, ["age", "age_low", "age_high"]] = [17.6, 15, 20]
    table.loc[3, ["age", "age_low", "age_high"]] = [116, np.nan, np.nan]
    return dataclasses.replace(manifest, table=table)


def test_a_band_has_its_ends_and_a_known_age_itself(plain: Callable[..., CropDataset], banded: Manifest) -> None:
    dataset = plain(table=banded)
    got = [[float(dataset[0, index][name]) for name in ("age", "low", "high")] for index in range(4)]
    wanted = [[np.nan, 25, 32], [np.nan, 60, 100], [17.6, 18, 18], [100, 100, 100]]
    assert np.array(got) == pytest.approx(np.array(wanted), nan_ok=True)
    assert dataset.middle_ages[:3] == pytest.approx([28.5, 90, 17.6])


def test_noise_moves_known_ages_by_as_much_as_it_says_and_nothing_else(
    plain: Callable[..., CropDataset], manifest: Manifest
) -> None:
    dataset = plain(years=0.8)
    index = int(np.abs(dataset.labels["age"] - 40).argmin())
    samples = [dataset[epoch, index] for epoch in range(300)]
    moves = np.array([sample["age"] for sample in samples]) - dataset.labels["age"][index]
    assert moves.dtype == np.float32
    assert abs(moves.mean()) < 0.2
    assert moves.std() == pytest.approx(0.8, abs=0.12)
    assert {(sample["low"], sample["high"]) for sample in samples} == {(dataset.labels["age"][index],) * 2}
    assert torch.equal(samples[0]["crop"], plain()[0, index]["crop"])


def test_noise_is_a_samples_own_leaves_bands_alone_and_ages_on_the_axis(
    plain: Callable[..., CropDataset], banded: Manifest
) -> None:
    dataset, again = plain(table=banded, years=3.0), plain(table=banded, years=3.0)
    assert dataset[4, 2]["age"] == again[4, 2]["age"] != dataset[5, 2]["age"]
    assert np.isnan(dataset[0, 0]["age"])
    ages = [float(dataset[epoch, 3]["age"]) for epoch in range(60)]  # its own is the axis' end
    assert max(ages) == 100
    assert min(ages) < 99


def test_balance_weighs_bands_by_their_middles(plain: Callable[..., CropDataset], banded: Manifest) -> None:
    dataset = plain(table=banded, balance="smoothed")
    assert dataset.labels["weight"].tolist() == sample_weights(dataset.middle_ages, "smoothed").tolist()
    assert len(set(dataset.labels["weight"].tolist())) > 1


def test_faces_are_always_the_same_ones_in_the_manifests_order(
    plain: Callable[..., CropDataset], manifest: Manifest
) -> None:
    ages = manifest.split("train")["age"].tolist()
    few, again = plain(faces=6), plain(faces=6, seed=9)
    assert few.labels["age"].tolist() == again.labels["age"].tolist()
    assert [age for age in ages if age in set(few.labels["age"].tolist())] == few.labels["age"].tolist()
    assert len(few) == 6
    assert few.labels["age"].tolist() != ages[:6]
    assert torch.equal(few[0, 3]["crop"], plain()[0, ages.index(few.labels["age"][3])]["crop"])


def test_more_faces_than_there_are_are_all(plain: Callable[..., CropDataset]) -> None:
    assert len(plain(faces=1000)) == len(plain())


def test_an_empty_split_is_refused(plain: Callable[..., CropDataset]) -> None:
    with pytest.raises(DataError, match="no samples in split 'test'"):
        plain("test")
