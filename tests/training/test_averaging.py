"""Averaged weights against the formula, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from agelens.train.trainer import averaging


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.998])
def test_averages_are_those_of_the_formula(decay: float) -> None:
    network = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(network, use_buffers=True, multi_avg_fn=averaging(decay))
    values = np.random.default_rng(0).normal(size=40)
    wanted = 0.0
    for step, value in enumerate(values):
        network.weight.data.fill_(value)
        averaged.update_parameters(network)
        share = min(decay, (1 + step) / (10 + step))
        wanted = value if step == 0 else share * wanted + (1 - share) * value
        assert next(averaged.module.parameters()).item() == pytest.approx(wanted, abs=1e-5)


def test_a_short_run_is_not_averaged_with_what_it_began_with() -> None:
    network = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(network, multi_avg_fn=averaging(0.998))
    for step in range(60):
        network.weight.data.fill_(min(step, 30) / 30)
        averaged.update_parameters(network)
    assert next(averaged.module.parameters()).item() > 0.95


def test_counters_stay_whole_numbers() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2))
    averaged = AveragedModel(network, use_buffers=True, multi_avg_fn=averaging(0.9))
    for _ in range(3):
        network(torch.randn(4, 2))
        averaged.update_parameters(network)
    assert averaged.module.get_buffer("0.num_batches_tracked").dtype == torch.int64
