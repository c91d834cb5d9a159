"""The documents name everything that the code knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from agelens.cli import COMMANDS
from agelens.data.columns import COLUMNS
from agelens.data.reasons import Reason
from agelens.data.sources import SOURCES
from agelens.embed.config import MlpConfig, MlpOptim, MlpSection, PretrainConfig, VectorsConfig
from agelens.train.config import TrainConfig
from agelens.train.head_configs import AgeHeadConfig
from agelens.train.schedule_configs import ScheduleConfig
from agelens.train.sections import (
    BackboneConfig,
    CheckpointConfig,
    DataConfig,
    FinetuneConfig,
    GenderConfig,
    InputConfig,
    OptimConfig,
    TrainerConfig,
)
from agelens.train.transforms import PRESETS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
EMBEDDINGS = (ROOT / "docs" / "embeddings.md").read_text(encoding="utf-8")
VECTOR_SECTIONS = {"data": VectorsConfig, "mlp": MlpSection, "optim": MlpOptim}
SECTIONS = {"input": InputConfig, "backbone": BackboneConfig, "optim": OptimConfig, "checkpoint": CheckpointConfig}
SECTIONS |= {"trainer": TrainerConfig, "gender": GenderConfig}
HEADS = get_args(get_args(AgeHeadConfig)[0])
SCHEDULES = get_args(get_args(ScheduleConfig)[0])


@pytest.mark.parametrize("name", [*SOURCES, *COLUMNS.names, *Reason], ids=str)
def test_sources_columns_and_reasons_are_described(name: str) -> None:
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("name", SOURCES)
def test_terms_are_those_that_the_source_states(name: str) -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")]
    assert SOURCES[name].terms.split(",")[0] in row


def test_every_extra_that_a_command_needs_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {command.extra for command in COMMANDS.values()} - {None} <= project["optional-dependencies"].keys()


@pytest.mark.parametrize(
    "key",
    [
        *(key for section in (DataConfig, FinetuneConfig, *HEADS, *SCHEDULES) for key in section.model_fields),
        *(f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields),
        *(kind.model_fields["kind"].default for kind in (*HEADS, *SCHEDULES)),
        *PRESETS,
        "flip",
        "log",
        "seed",
    ],
)
def test_every_key_of_a_configuration_is_described(key: str) -> None:
    assert f"`{key}`" in TRAINING or f".{key}`" in TRAINING


@pytest.mark.parametrize(
    "key",
    [
        *MlpConfig.model_fields,
        *(f"{name}.{key}" for name, section in VECTOR_SECTIONS.items() for key in section.model_fields),
        *(f".{key}" for key in PretrainConfig.model_fields if key != "manifest"),
    ],
)
def test_every_key_of_a_training_on_vectors_is_described(key: str) -> None:
    assert f"`{key}`" in EMBEDDINGS or f"`{key}." in EMBEDDINGS


def test_every_section_of_a_configuration_is_described() -> None:
    assert TrainConfig.model_fields.keys() <= set(re.findall(r"[a-z]+", TRAINING))
