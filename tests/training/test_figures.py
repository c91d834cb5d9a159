"""Figures of an epoch against plain counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.train.dataset import NO_GENDER, Batch
from agelens.train.figures import BETTER, Sums, batch_sums
from agelens.train.head_configs import RegressionHead
from agelens.train.heads import build_head
from agelens.train.network import Logits
from agelens.train.sections import CheckpointConfig

NAN = float("nan")
HEAD = build_head(RegressionHead())


def _batch(age: list[float], low: list[float], high: list[float], gender: list[int]) -> Batch:
    return Batch(
        crop=torch.zeros(len(age), 3, 8, 8, dtype=torch.uint8),
        age=torch.tensor(age),
        low=torch.tensor(low),
        high=torch.tensor(high),
        gender=torch.tensor(gender),
        weight=torch.ones(len(age)),
    )


def _logits(ages: list[float], genders: list[int] | None) -> Logits:
    """What a network gives that answers so."""
    raw = (torch.tensor(ages)[:, None] - 50) / 20  # mean and standard deviation of a regression that is not fitted
    return Logits(raw, None if genders is None else torch.eye(2)[genders] * 3)


def test_sums_are_of_the_faces_of_which_something_is_known() -> None:
    batch = _batch(
        age=[30.0, 30, 50, NAN, NAN, NAN],
        low=[30.0, 30, 50, 25, 25, 60],
        high=[30.0, 30, 50, 32, 32, 100],
        gender=[0, 1, NO_GENDER, NO_GENDER, 1, 0],
    )
    logits = _logits([33.0, 36, 45.5, 28, 33, 59], [0, 0, 0, 1, 1, 1])
    sums = batch_sums(HEAD, logits, batch, torch.tensor(1.5))
    assert {name: pytest.approx(values, abs=1e-3) for name, values in sums.items()} == {
        "loss": (9.0, 6.0),
        "mae": (3 + 6 + 4.5, 3.0),
        "cs5": (2.0, 3.0),
        "band": (1.0, 3.0),
        "gender": (2.0, 4.0),
    }


@pytest.mark.parametrize(("age", "inside"), [(24.4, 0), (24.6, 1), (25.0, 1), (32.4, 1), (32.6, 0), (NAN, 0)], ids=str)
def test_an_age_lies_in_the_band_that_its_whole_year_lies_in(age: float, inside: int) -> None:
    batch = _batch([NAN], [25.0], [32.0], [0])
    assert batch_sums(HEAD, _logits([age], None), batch, torch.tensor(0.0))["band"] == (inside, 1)


def test_without_a_gender_head_there_is_no_figure_of_it() -> None:
    sums = batch_sums(HEAD, _logits([30.0], None), _batch([30.0], [30.0], [30.0], [1]), torch.tensor(1.0))
    assert set(sums) == {"loss", "mae", "cs5", "band"}


FACES = st.lists(
    st.tuples(
        st.integers(1, 99).map(float),
        st.floats(0, 100) | st.just(NAN),
        st.sampled_from([NO_GENDER, 0, 1]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=12,
)


@given(FACES, st.integers(1, 11))
@settings(deadline=None)
def test_an_epoch_in_batches_has_the_means_of_all_its_faces(faces: list[tuple[Any, ...]], cut: int) -> None:
    sums = Sums()
    for part in (faces[:cut], faces[cut:]):
        if part:
            said, ages, genders, told = (list(column) for column in zip(*part, strict=True))
            low, high = ([end if np.isnan(age) else float(round(age)) for age in ages] for end in (20.0, 60.0))
            batch = _batch(ages, low, high, genders)
            sums.add(batch_sums(HEAD, _logits(said, told), batch, torch.tensor(float(len(part)))))

    errors = [abs(said - age) for said, age, _, _ in faces if not np.isnan(age)]
    inside = [20 <= said <= 60 for said, age, _, _ in faces if np.isnan(age)]
    right = [told == gender for _, _, gender, told in faces if gender != NO_GENDER]
    means = sums.means()
    assert ("mae" in means, "band" in means, "gender" in means) == (bool(errors), bool(inside), bool(right))
    if errors:
        assert means["mae"] == pytest.approx(np.mean(errors), abs=1e-3)
    if inside:
        assert means["band"] == pytest.approx(np.mean(inside))
    if right:
        assert means["gender"] == pytest.approx(np.mean(right))
    lengths = [len(part) for part in (faces[:cut], faces[cut:])]
    assert means["loss"] == pytest.approx(sum(one * one for one in lengths) / sum(lengths))


def test_sums_add_up_by_name_and_leave_out_what_nothing_was_known_for() -> None:
    sums = Sums()
    assert sums.means() == {}
    sums.add({"mae": (6.0, 2.0), "band": (0.0, 0.0)})
    sums.add({"mae": (3.0, 1.0), "gender": (1.0, 4.0)})
    assert sums.means() == {"mae": 3.0, "gender": 0.25}


def test_every_metric_that_a_checkpoint_may_follow_is_better_one_way() -> None:
    annotation: Any = CheckpointConfig.model_fields["metric"].annotation
    assert set(annotation.__args__) == set(BETTER)
    assert {name for name, way in BETTER.items() if way == "lower"} == {"val_mae", "val_loss"}


def test_figures_are_exact_where_the_rest_is_bf16() -> None:
    batch = _batch([30.0, 80], [30.0, 80], [30.0, 80], [0, 1])
    logits = _logits([33.3, 61.7], [0, 1])
    with torch.autocast("cpu", torch.bfloat16):
        half = batch_sums(HEAD, logits, batch, torch.tensor(1.0))
    assert half == batch_sums(HEAD, logits, batch, torch.tensor(1.0))


def test_an_answer_that_is_no_number_makes_the_error_none_either() -> None:
    batch = _batch(age=[30.0, 40], low=[30.0, 40], high=[30.0, 40], gender=[0, 0])
    sums = Sums()
    sums.add(batch_sums(HEAD, _logits([NAN, 40.0], None), batch, torch.tensor(1.0)))
    assert np.isnan(sums.means()["mae"])
    assert "band" not in sums.means()
