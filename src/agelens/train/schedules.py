"""The learning rate over a training: pure functions of the step, as multiples of ``optim.lr``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from agelens.train.schedule_configs import (
    ConstantSchedule,
    CosineSchedule,
    CyclicSchedule,
    ExponentialSchedule,
    OneCycleSchedule,
    PlateauSchedule,
    ScheduleConfig,
)

__all__ = ["Factor", "rate_factor"]

Factor = Callable[[int], float]


def rate_factor(config: ScheduleConfig, steps: int, steps_per_epoch: int) -> Factor:
    """What ``optim.lr`` is multiplied by at each step, counted from 0 to ``steps`` - 1.

    A plateau schedule gives 1: what it does depends on figures, not on steps.
    """
    factor = FACTORS[type(config)](config, steps, steps_per_epoch)
    return lambda step: factor(min(step, steps - 1))  # torch asks for the step after the last one too


def _constant(config: ConstantSchedule | PlateauSchedule, steps: int, per_epoch: int) -> Factor:
    return lambda step: 1.0


def _one_cycle(config: OneCycleSchedule, steps: int, per_epoch: int) -> Factor:
    top, last = max(0.0, config.warmup * steps - 1), steps - 1  # a run of few steps begins at the top

    def factor(step: int) -> float:
        if step < top:
            return _cosine_between(config.start, 1.0, step / top)
        return _cosine_between(1.0, config.end, (step - top) / (last - top)) if step > top else 1.0

    return factor


def _cosine(config: CosineSchedule, steps: int, per_epoch: int) -> Factor:
    rise = round(config.warmup * steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return _cosine_between(1.0, config.end, (step - rise) / max(1, steps - rise))

    return factor


def _exponential(config: ExponentialSchedule, steps: int, per_epoch: int) -> Factor:
    return lambda step: float(config.gamma ** (step / per_epoch))


def _cyclic(config: CyclicSchedule, steps: int, per_epoch: int) -> Factor:
    half = max(1, round(config.half_cycle * per_epoch))

    def factor(step: int) -> float:
        cycle, place = divmod(step, 2 * half)
        height = 1 - abs(place / half - 1)
        if config.mode == "triangular2":
            height /= 2**cycle
        elif config.mode == "exp_range":
            height *= config.gamma**step
        return config.floor + (1 - config.floor) * height

    return factor


FACTORS: Final[Mapping[type, Callable[[Any, int, int], Factor]]] = {
    ConstantSchedule: _constant,
    PlateauSchedule: _constant,
    OneCycleSchedule: _one_cycle,
    CosineSchedule: _cosine,
    ExponentialSchedule: _exponential,
    CyclicSchedule: _cyclic,
}


def _cosine_between(start: float, end: float, share: float) -> float:
    """Half a cosine from ``start`` at 0 to ``end`` at 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
