"""The learning rate's schedules against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from agelens.train.schedule_configs import (
    ConstantSchedule,
    CosineSchedule,
    CyclicSchedule,
    ExponentialSchedule,
    OneCycleSchedule,
    PlateauSchedule,
    ScheduleConfig,
)
from agelens.train.schedules import FACTORS, rate_factor

LR = 0.7


def _torchs(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int) -> list[float]:
    """The factors of one of torch's schedules, one for each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    schedule = make(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"] / LR)
        optimizer.step()
        schedule.step()
    return factors


def _ours(config: ScheduleConfig, steps: int, per_epoch: int = 10) -> list[float]:
    factor = rate_factor(config, steps, per_epoch)
    return [factor(step) for step in range(steps)]


def test_every_schedule_has_its_arithmetic() -> None:
    assert set(get_args(get_args(ScheduleConfig)[0])) == set(FACTORS)


@pytest.mark.parametrize("config", [ConstantSchedule(), PlateauSchedule()])
def test_constant_and_plateau_leave_the_rate_alone(config: ScheduleConfig) -> None:
    assert _ours(config, 25) == [1.0] * 25


@pytest.mark.parametrize("steps", [7, 40, 333])
@pytest.mark.parametrize("warmup", [0.2, 0.25, 0.3, 0.9])
def test_one_cycle_is_torchs(steps: int, warmup: float) -> None:
    wanted = _torchs(
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=LR,
            total_steps=steps,
            pct_start=warmup,
            div_factor=25,
            final_div_factor=1e4,
            cycle_momentum=False,
        ),
        steps,
    )
    assert _ours(OneCycleSchedule(warmup=warmup), steps) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("start", "end"), [(0.1, 0.01), (0.5, 0.0), (1.0, 1.0)])
def test_one_cycle_starts_and_ends_where_it_is_told(start: float, end: float) -> None:
    factors = _ours(OneCycleSchedule(warmup=0.3, start=start, end=end), 100)
    assert (factors[0], factors[29], factors[-1]) == pytest.approx((start, 1.0, end))


@pytest.mark.parametrize(("warmup", "steps"), [(0.25, 4), (0.5, 2), (0.2, 5)])
def test_one_cycle_can_rise_in_a_single_step(warmup: float, steps: int) -> None:
    factors = _ours(OneCycleSchedule(warmup=warmup), steps)
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[-1] < 1e-5


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize(("half_cycle", "per_epoch"), [(1.0, 10), (2.5, 4), (0.5, 31), (0.01, 10)])
def test_cyclic_is_torchs(
    mode: Literal["triangular", "triangular2", "exp_range"], half_cycle: float, per_epoch: int
) -> None:
    config = CyclicSchedule(mode=mode, floor=0.1, half_cycle=half_cycle, gamma=0.99)
    wanted = _torchs(
        lambda optimizer: lr_scheduler.CyclicLR(
            optimizer,
            base_lr=0.1 * LR,
            max_lr=LR,
            step_size_up=max(1, round(half_cycle * per_epoch)),
            mode=mode,
            gamma=0.99,
            cycle_momentum=False,
        ),
        87,
    )
    assert _ours(config, 87, per_epoch) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 0.93, 1.0])
def test_exponential_is_torchs_where_epochs_begin(gamma: float) -> None:
    wanted = _torchs(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma), 8)
    factors = _ours(ExponentialSchedule(gamma=gamma), 8 * 13, per_epoch=13)
    assert factors[::13] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("end", [0.0, 0.2])
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_cosine_without_warm_up_is_torchs(end: float, steps: int) -> None:
    wanted = _torchs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=end * LR), steps)
    assert _ours(CosineSchedule(warmup=0, end=end), steps) == pytest.approx(wanted, rel=1e-6)


def test_cosine_rises_in_a_straight_line_and_then_falls_as_torchs() -> None:
    rise = [step / 21 for step in range(1, 21)]
    fall = _torchs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 80), 80)
    assert _ours(CosineSchedule(warmup=0.2), 100) == pytest.approx([*rise, *fall], abs=1e-9)


SHARES = st.floats(0, 1)
OPENINGS = st.floats(0.01, 0.99)
SCHEDULES = st.one_of(
    st.builds(OneCycleSchedule, warmup=OPENINGS, start=SHARES, end=SHARES),
    st.builds(CosineSchedule, warmup=st.floats(0, 0.99), end=SHARES),
    st.builds(ExponentialSchedule, gamma=OPENINGS),
    st.builds(
        CyclicSchedule,
        mode=st.sampled_from(["triangular", "triangular2", "exp_range"]),
        floor=SHARES,
        half_cycle=st.floats(0.01, 5),
        gamma=OPENINGS,
    ),
    st.just(ConstantSchedule()),
    st.just(PlateauSchedule()),
)


@given(SCHEDULES, st.integers(1, 60), st.integers(1, 5))
def test_no_schedule_leaves_0_to_1(config: ScheduleConfig, per_epoch: int, epochs: int) -> None:
    factors = _ours(config, per_epoch * epochs, per_epoch)
    assert all(-1e-12 <= factor <= 1 + 1e-12 for factor in factors)


@given(OPENINGS, st.integers(2, 200))
def test_one_cycle_rises_to_its_top_and_falls_from_there_on(warmup: float, steps: int) -> None:
    factors = _ours(OneCycleSchedule(warmup=warmup), steps)
    top = factors.index(max(factors))
    assert abs(top - (warmup * steps - 1)) <= 1
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


@given(st.floats(0, 0.99), st.integers(2, 200))
def test_cosine_rises_through_its_warm_up_and_falls_from_there_on(warmup: float, steps: int) -> None:
    factors = _ours(CosineSchedule(warmup=warmup), steps)
    rise = round(warmup * steps)
    assert all(before < after for before, after in pairwise(factors[: rise + 1]))
    assert all(before > after for before, after in pairwise(factors[rise:]))


@given(st.floats(0.1, 0.99), st.integers(1, 20))
def test_exponential_falls_a_little_at_every_step(gamma: float, per_epoch: int) -> None:
    factors = _ours(ExponentialSchedule(gamma=gamma), 3 * per_epoch, per_epoch)
    ratio = gamma ** (1 / per_epoch)
    assert [after / before for before, after in pairwise(factors)] == pytest.approx([ratio] * (len(factors) - 1))


@pytest.mark.parametrize("config", [OneCycleSchedule(), CosineSchedule(), CyclicSchedule(), ExponentialSchedule()])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_few_steps_has_a_rate_at_each_and_keeps_the_last_one(config: ScheduleConfig, steps: int) -> None:
    factor = rate_factor(config, steps, 1)
    assert all(0 <= factor(step) <= 1 for step in range(steps))
    assert factor(steps) == factor(steps - 1)
