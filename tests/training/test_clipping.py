"""Gradients that are too long are scaled down before a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agelens.train.config import TrainConfig, changed
from agelens.train.module import AgeModule, build_optimizer
from agelens.train.network import build_network
from agelens.train.ready import make_ready
from agelens.train.run import load_trained, train


@pytest.mark.parametrize(("clip", "norm"), [(0.25, 0.25), (None, 3.0), (5.0, 3.0)])
def test_gradients_have_at_most_the_norm_asked_for(clip: float | None, norm: float, tiny_config: TrainConfig) -> None:
    config = changed(tiny_config, optim__clip=clip)
    module = AgeModule(build_network(config), config)
    weights = list(module.parameters())
    weights[-1].grad = torch.full_like(weights[-1], 3.0 / weights[-1].numel() ** 0.5)
    module.configure_gradient_clipping(build_optimizer(module.network, config))
    assert weights[-1].grad.norm().item() == pytest.approx(norm)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_training_clips(name: str, precision: str, tiny_config: TrainConfig, tmp_path: Path) -> None:
    """Steps of plain descent along gradients of length nearly 0 lead nowhere; Adam's do not depend on the length."""
    config = changed(
        tiny_config,
        optim__name=name,
        optim__clip=1e-12,
        optim__lr=0.1,
        optim__weight_decay=0,
        optim__ema_decay=0,
        trainer__precision=precision,
    )
    before = [one.detach().clone() for one in make_ready(config).network.parameters()]
    train(config, tmp_path / "run", progress=False)
    after = list(load_trained(tmp_path / "run").network.parameters())
    moved = max((new - old).abs().max().item() for new, old in zip(after, before, strict=True))
    assert moved < 1e-6 if name == "sgd" else moved > 0
