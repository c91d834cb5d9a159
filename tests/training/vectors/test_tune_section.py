"""A search as it is written down: what is refused, and what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agelens.embed.config import MlpConfig, read_any_config
from agelens.errors import ConfigError
from agelens.train.config import TrainConfig, read_config
from agelens.tuning.config import Range, read_tuning
from agelens.tuning.space import applied, check_space, drawn, own_values

SPACE = {
    "mlp.dropout": {"uniform": [0.0, 0.5]},
    "mlp.blocks": {"choice": [0, 1, 2]},
    "optim.lr": {"log": ["1e-4", 1e-2]},
    "optim.epochs": {"integer": [2, 5]},
}
Write = Callable[..., Path]


@pytest.fixture
def write(vectors_config: MlpConfig, tmp_path: Path) -> Write:
    """``write(trials=3, …)``: the file of a training on vectors with this section ``tune``."""

    def make(config: MlpConfig | TrainConfig = vectors_config, **tune: Any) -> Path:
        raw = config.model_dump(mode="json") | {"tune": tune}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        return tmp_path / "config.yaml"

    return make


def test_the_same_file_is_that_of_a_training(write: Write, vectors_config: MlpConfig, tiny_config: TrainConfig) -> None:
    assert read_any_config(write(trials=3)) == vectors_config
    assert read_config(write(tiny_config, trials=3)) == tiny_config
    assert read_tuning(write(tiny_config, trials=3)).config == tiny_config


def test_values_come_from_the_command_line_too(write: Write) -> None:
    told = {"tune.trials": "7", "optim.epochs": "9", "tune.space.mlp.dropout": "{uniform: [0.1, 0.2]}"}
    config, section = read_tuning(write(trials=3, space=SPACE), told)
    assert (section.trials, config.optim.epochs) == (7, 9)
    assert section.space["mlp.dropout"].uniform == (0.1, 0.2)
    assert section.space["optim.lr"].log == (1e-4, 1e-2)


def test_without_a_space_the_usual_keys_are_searched(
    write: Write, vectors_config: MlpConfig, tiny_config: TrainConfig
) -> None:
    for config in (vectors_config, tiny_config):
        tuning = read_tuning(write(config), {"schedule.kind": "exponential"})
        check_space(tuning.config, tuning.section.space)
        assert {"optim.lr", "optim.weight_decay", "schedule.gamma"} < tuning.section.space.keys()
    assert "schedule.gamma" not in read_tuning(write(tiny_config)).section.space


def test_the_metric_of_the_search_chooses_the_epoch_too(write: Write, tiny_config: TrainConfig) -> None:
    tuning = read_tuning(write(metric="gender"))
    assert (tuning.config.keep, tuning.metric, tuning.less_is_better) == ("gender", "gender", False)  # type: ignore[union-attr]
    tuning = read_tuning(write(tiny_config))
    assert (tuning.metric, tuning.less_is_better) == ("val_mae", True)


@pytest.mark.parametrize(
    ("tune", "line"),
    [
        ({"trails": 3}, r"tune: trails: no such key; did you mean 'trials'\?"),
        ({"trials": 0}, r"tune: trials: input should be greater than or equal to 1 \(got 0\)"),
        ({"metric": "val_mae"}, r"tune\.metric: one of loss, accuracy, mae, gender is wanted \(got 'val_mae'\)"),
        ({"space": {"mlp.dropout": {"uniform": [0, 1], "lgo": 1}}}, r"dropout\.lgo: no such key.*'log'\?"),
        ({"space": {"mlp.dropout": {}}}, r"mlp\.dropout: give one of uniform, log, integer, choice \(got none\)"),
        ({"space": {"mlp.dropout": {"uniform": [0.5, 0]}}}, r"mlp\.dropout: uniform falls from 0\.5 to 0; wanted"),
        ({"space": {"optim.lr": {"log": [0, 1]}}}, r"space\.optim\.lr\.log\.0: input should be greater than 0"),
        ({"space": {"mlp": {"dropout": {"uniform": [0, 1]}}}}, r"space\.mlp: wanted a dotted key .* as mlp\.dropout,"),
        ({"space": {"": {"choice": [1]}}}, r"space\.: wanted a dotted key"),
        ({"space": [1]}, r"tune and its space: wanted keys with values below them"),
    ],
)
def test_a_wrong_section_is_one_line(tune: dict[str, Any], line: str, write: Write) -> None:
    with pytest.raises(ConfigError, match=line) as caught:
        read_tuning(write(**tune))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "one", "line"),
    [
        ("mlp.dropuot", {"uniform": (0, 0.5)}, r"^tune\.space: mlp\.dropuot: no such key; did you mean 'dropout'\?$"),
        ("mlp.dropout", {"uniform": (0, 1.5)}, r"^tune\.space: mlp\.dropout: input should be less than 1 \(got 1\.5\)"),
        ("data.batch_size", {"choice": (8, "many")}, r"^tune\.space: data\.batch_size: .* \(got 'many'\)"),
        ("mlp.residuals", {"uniform": (0, 2)}, r"^tune\.space: mlp\.residuals: .*integer"),
        (
            "data.manifest",
            {"choice": ("other",)},
            r"^tune\.space\.data\.manifest: trials are compared on the same faces",
        ),
        ("schedule.gamma", {"uniform": (0.7, 1)}, r"^tune\.space: schedule\.gamma: no such key"),
    ],
)
def test_a_key_or_a_value_that_the_configuration_does_not_take_is_refused(
    key: str, one: dict[str, Any], line: str, vectors_config: MlpConfig
) -> None:
    with pytest.raises(ConfigError, match=line):
        check_space(vectors_config, {"mlp.blocks": Range(choice=(1,)), key: Range(**one)})


def test_trials_are_the_seeds_and_plain_and_within_their_ranges(write: Write, vectors_config: MlpConfig) -> None:
    space = read_tuning(write(space=SPACE)).section.space
    trials = [drawn(space, 5, number) for number in range(60)]
    assert [drawn(space, 5, number) for number in range(60)] == trials
    assert drawn(space, 6, 0) != trials[0]
    assert {tuple(type(one[key]) for key in SPACE) for one in trials} == {(float, int, float, int)}
    assert drawn(dict(reversed(space.items())), 5, 7) == trials[7]
    for key, one in space.items():
        values = [trial[key] for trial in trials]
        assert min(one.ends) <= min(values) <= max(values) <= max(one.ends)
    assert {trial["mlp.blocks"] for trial in trials} == {0, 1, 2}
    assert {trial["optim.epochs"] for trial in trials} == {2, 3, 4, 5}
    assert sum(trial["optim.lr"] < 1e-3 for trial in trials) == pytest.approx(30, abs=15)  # half, by the logarithm
    assert applied(vectors_config, trials[0]).optim.lr == trials[0]["optim.lr"]


@pytest.mark.parametrize(
    ("changes", "known"),
    [({}, True), ({"uniform": (0.3, 0.5)}, False), ({"choice": (0.1, 0.3)}, False), ({"choice": (0.2,)}, True)],
)
def test_a_configuration_has_values_of_its_own_where_they_lie_in_the_space(
    changes: dict[str, Any], known: bool, vectors_config: MlpConfig
) -> None:
    space = {"mlp.dropout": Range(**(changes or {"uniform": (0, 0.5)})), "optim.epochs": Range(integer=(2, 5))}
    wanted = {"mlp.dropout": 0.2, "optim.epochs": 3}
    assert own_values(vectors_config, space) == (wanted if known else None)
    assert own_values(vectors_config, {"pretrain.lr": Range(log=(1e-4, 1))}) is None
