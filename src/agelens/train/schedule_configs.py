"""The learning rate's schedules, as a configuration names them; ``schedules.py`` has their arithmetic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agelens.train.section import Positive, Section, Share

__all__ = [
    "ConstantSchedule",
    "CosineSchedule",
    "CyclicSchedule",
    "ExponentialSchedule",
    "OneCycleSchedule",
    "PlateauSchedule",
    "ScheduleConfig",
]

Opening = Annotated[float, Field(ge=0, lt=1)]
Gamma = Annotated[float, Field(gt=0, le=1)]


class ConstantSchedule(Section):
    """``optim.lr`` from the first step to the last."""

    kind: Literal["constant"] = "constant"


class OneCycleSchedule(Section):
    """Up along a cosine in the share ``warmup`` of the steps, then down to nearly nothing.

    Source: Smith and Topin, "Super-convergence", 2017.

    Attributes:
        warmup: share of the steps in which the rate rises.
        start: first rate, as a share of ``optim.lr``.
        end: last rate, as a share of ``optim.lr``.
    """

    kind: Literal["one-cycle"] = "one-cycle"
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.25
    start: Share = 0.04
    end: Share = 4e-6


class CosineSchedule(Section):
    """A straight line up in the share ``warmup`` of the steps, then a cosine down to the share ``end`` of the rate.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    warmup: Opening = 0.05
    end: Share = 0.0


class ExponentialSchedule(Section):
    """The rate is multiplied by ``gamma`` in each epoch, a little at every step."""

    kind: Literal["exponential"] = "exponential"
    gamma: Gamma = 0.8


class CyclicSchedule(Section):
    """Up and down in straight lines between the share ``floor`` of the rate and the whole of it.

    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Attributes:
        mode: "triangular" all cycles alike; "triangular2" each half as high as the one before; "exp_range" height
            multiplied by ``gamma`` at every step.
        floor: lowest rate, as a share of ``optim.lr``.
        half_cycle: epochs from the lowest to the highest rate.
        gamma: of "exp_range".
    """

    kind: Literal["cyclic"] = "cyclic"
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    floor: Share = 0.05
    half_cycle: Positive = 1.0
    gamma: Gamma = 0.999


class PlateauSchedule(Section):
    """The rate is multiplied by ``factor`` when the checkpoint's metric was no better for some epochs.

    Attributes:
        factor: at each step down.
        patience: epochs without a better figure that are borne; the next one brings the step.
        lowest: rate, as a share of ``optim.lr``, below which it does not fall.
    """

    kind: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    patience: Annotated[int, Field(ge=0)] = 2
    lowest: Share = 1e-3


ScheduleConfig = Annotated[
    ConstantSchedule | OneCycleSchedule | CosineSchedule | ExponentialSchedule | CyclicSchedule | PlateauSchedule,
    Field(discriminator="kind"),
]
