"""A training written down: what is read, and what is refused with file and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from agelens.errors import ConfigError, OutputError
from agelens.train.config import TrainConfig, read_config, write_config

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
MINIMAL: dict[str, Any] = {"data": {"manifest": "crops"}, "backbone": {"name": "resnet18"}}


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], TrainConfig]:
    """Reads a configuration from YAML text, or from what is dumped as YAML."""

    def write_and_read(content: Any) -> TrainConfig:
        path = tmp_path / "recipe.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return read_config(path)

    return write_and_read


def _with(**sections: Any) -> dict[str, Any]:
    return {name: {**MINIMAL.get(name, {}), **values} for name, values in {**MINIMAL, **sections}.items()}


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_reads_and_round_trips(recipe: Path, tmp_path: Path) -> None:
    config = read_config(recipe)
    write_config(config, tmp_path / "again.yaml")
    assert read_config(tmp_path / "again.yaml") == config


def test_every_value_survives_the_round_trip(tmp_path: Path) -> None:
    raw = _with(
        data={"batch_size": 7, "workers": 3, "augment": "none"},
        input={"size": 96, "margin": 0.05},
        backbone={"weights": "hub", "dropout": 0.1},
        head={"label_deviation": 1.5, "l1_weight": 0.2, "gender_weight": 0.0},
        optim={"lr": 3e-4, "weight_decay": 1e-5, "epochs": 3, "warmup": 0.1, "ema_decay": 0.9, "clip": 1.0},
    ) | {"seed": 5, "precision": "bf16", "compile": True}
    config = TrainConfig.model_validate(raw)
    write_config(config, tmp_path / "again.yaml")
    assert yaml.safe_load((tmp_path / "again.yaml").read_text()) == raw
    assert read_config(tmp_path / "again.yaml") == config


def test_what_is_not_said_has_a_default(read: Callable[[Any], TrainConfig]) -> None:
    config = read(MINIMAL)
    assert config.data.manifest == Path("crops")
    assert config.backbone.weights is None
    assert config.optim.epochs == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (MINIMAL | {"optimizer": {}}, "optimizer: no such key; did you mean 'optim'?"),
        (MINIMAL | {"sede": 1}, "sede: no such key; did you mean 'seed'?"),
        (_with(optim={"learning_rate": 1}), "optim.learning_rate: no such key; did you mean '"),
        (_with(data={"batchsize": 8}), "data.batchsize: no such key; did you mean 'batch_size'?"),
        (_with(backbone={"weigths": None}), "backbone.weigths: no such key; did you mean 'weights'?"),
        (_with(input={"sise": 64}), "input.sise: no such key; did you mean 'size'?"),
        (_with(head={"l1": 1}), "head.l1: no such key; did you mean 'l1_weight'?"),
    ],
)
def test_unknown_key_names_the_nearest(
    content: dict[str, Any], message: str, read: Callable[[Any], TrainConfig]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(content)
    assert f"recipe.yaml: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (_with(optim={"lr": "fast"}), "optim.lr"),
        (_with(optim={"lr": float("nan")}), "optim.lr"),
        (_with(optim={"lr": float("inf")}), "optim.lr"),
        (_with(optim={"lr": 0}), "optim.lr"),
        (_with(optim={"epochs": 0}), "optim.epochs"),
        (_with(optim={"epochs": 2.5}), "optim.epochs"),
        (_with(optim={"warmup": 1}), "optim.warmup"),
        (_with(optim={"ema_decay": 1}), "optim.ema_decay"),
        (_with(optim={"weight_decay": float("nan")}), "optim.weight_decay"),
        (_with(head={"label_deviation": 0}), "head.label_deviation"),
        (_with(head={"l1_weight": float("inf")}), "head.l1_weight"),
        (_with(head={"gender_weight": -1}), "head.gender_weight"),
        (_with(input={"size": 8}), "input.size"),
        (_with(input={"margin": float("nan")}), "input.margin"),
        (_with(data={"batch_size": 1}), "data.batch_size"),
        (_with(data={"batch_size": [64]}), "data.batch_size"),
        (_with(data={"augment": "wild"}), "data.augment"),
        (_with(data={"manifest": 5}), "data.manifest"),
        (_with(backbone={"name": None}), "backbone.name"),
        (_with(backbone={"weights": 3}), "backbone.weights"),
        (MINIMAL | {"optim": [1, 2]}, "optim"),
        (MINIMAL | {"seed": -1}, "seed"),
        (MINIMAL | {"seed": 2**32}, "seed"),
        (MINIMAL | {"precision": "float8"}, "precision"),
        (MINIMAL | {"compile": "perhaps"}, "compile"),
        ({"backbone": {"name": "resnet18"}}, "data"),
        ({"data": {}, "backbone": {"name": "resnet18"}}, "data.manifest"),
        (MINIMAL | {7: 8}, "7"),
    ],
)
def test_wrong_value_is_named_with_file_and_key_in_one_line(
    content: dict[str, Any], key: str, read: Callable[[Any], TrainConfig]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(content)
    assert f"recipe.yaml: {key}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_are_named_at_once(read: Callable[[Any], TrainConfig]) -> None:
    with pytest.raises(ConfigError, match=r"data\.batch_size: .*; optim\.lr: .*; seed: "):
        read(_with(data={"batch_size": 0}, optim={"lr": -1}) | {"seed": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [unclosed", "not YAML"),
        ("data:\n\t- tab", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("- data\n- backbone\n", "wanted sections like 'data:' and 'backbone:', found list"),
        ("just words", "wanted sections like 'data:' and 'backbone:', found str"),
        ("", "wanted sections like 'data:' and 'backbone:', found NoneType"),
    ],
)
def test_what_is_no_mapping_is_refused_in_one_line(text: str, message: str, read: Callable[[Any], TrainConfig]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert f"recipe.yaml: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"data: \xff\xfe")
    with pytest.raises(ConfigError, match="not YAML"):
        read_config(tmp_path / "recipe.yaml")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        read_config(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


def test_exponents_without_a_point_are_numbers_though_yaml_says_string(read: Callable[[Any], TrainConfig]) -> None:
    text = "data: {manifest: crops}\nbackbone: {name: resnet18}\noptim: {lr: 1e-3, weight_decay: 5e-2}\n"
    assert yaml.safe_load(text)["optim"]["lr"] == "1e-3"
    assert read(text).optim.lr == 0.001
    assert read(text).optim.weight_decay == 0.05


def test_a_configuration_cannot_be_changed(read: Callable[[Any], TrainConfig]) -> None:
    config = read(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3


def test_crop_takes_size_and_margin_from_the_input_section(read: Callable[[Any], TrainConfig]) -> None:
    crop = read(_with(input={"size": 96, "margin": 0.05})).crop("arcface")
    assert (crop.size, crop.margin, crop.template) == (96, 0.05, "arcface")


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_config(TrainConfig.model_validate(MINIMAL), tmp_path / "file" / "config.yaml")
