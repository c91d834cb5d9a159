"""What a training refuses before its first step, and what goes wrong in the midst of it."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.fabric.loggers.tensorboard
import lightning.pytorch.loggers.mlflow
import pandas as pd
import pytest
import torch
from lightning.fabric.utilities.imports import RequirementCache

from agelens.data.manifest import Manifest
from agelens.errors import AgelensError, ConfigError, DataError, MissingExtraError, OutputError
from agelens.train.config import TrainConfig, changed, write_config
from agelens.train.module import AgeModule
from agelens.train.run import train

Edited = Callable[..., Path]
ROOT = Path(__file__).parents[2]


def _only_training(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split="train")


def _one_to_train_on(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split=["train"] + ["val"] * (len(table) - 1))


def _bands_to_train_on(table: pd.DataFrame) -> pd.DataFrame:
    bands = table["split"] == "train"
    return table.assign(
        age=table["age"].mask(bands), age_low=table["age"].where(bands), age_high=table["age"].where(bands)
    )


@pytest.fixture(autouse=True)
def no_steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of what is refused may come to the first step, unless it is marked as one of what goes wrong later."""

    def step(self: AgeModule, batch: Any, batch_idx: int) -> torch.Tensor:
        raise AssertionError("a step was trained")

    if not request.node.get_closest_marker("usefixtures"):
        monkeypatch.setattr(AgeModule, "training_step", step)
