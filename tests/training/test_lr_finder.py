"""The learning-rate finder, on loss curves that are known and on the made-up faces."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agelens.errors import ConfigError, OutputError
from agelens.train.config import TrainConfig, changed, read_config, write_config
from agelens.train.lr_finder import Sweep, find_lr, suggest, write_sweep

RATES = np.geomspace(1e-8, 10, 91).tolist()


def _falling(steepest: float, lowest: float) -> list[float]:
    """Losses that fall fastest at one rate, and rise steeply beyond another."""
    return [
        5 - 3 / (1 + math.exp(-3 * math.log10(rate / steepest))) + 40 * max(0.0, math.log10(rate / lowest))
        for rate in RATES
    ]


@pytest.mark.parametrize("steepest", [1e-6, 1e-4, 3e-3, 0.05])
def test_the_suggestion_is_where_the_loss_falls_fastest(steepest: float) -> None:
    assert suggest(RATES, _falling(steepest, 100 * steepest)) == pytest.approx(steepest, rel=0.15)


def test_what_comes_after_the_lowest_loss_does_not_count() -> None:
    losses = _falling(1e-4, 1e-2)
    losses[-5:] = [300.0, 200.0, 100.0, 50.0, math.inf]  # falls faster than before, but it has diverged
    assert suggest(RATES, losses) == pytest.approx(1e-4, rel=0.15)


@pytest.mark.parametrize(
    "losses",
    [
        [1.0] * 91,
        [float(step) for step in range(91)],
        [math.inf] * 91,
        [2.0, 1.0, *range(3, 92)],
    ],
    ids=["flat", "rising", "infinite", "a dip at the start"],
)
def test_a_loss_that_falls_nowhere_is_said(losses: list[float]) -> None:
    with pytest.raises(ConfigError, match="the loss fell at no learning rate"):
        suggest(RATES, losses)


@pytest.fixture(scope="module")
def sweep(tiny_config: TrainConfig) -> Sweep:
    """Of forty steps on the made-up faces."""
    return find_lr(tiny_config, steps=40)


def test_a_sweep_goes_up_until_the_loss_has_grown(sweep: Sweep) -> None:
    assert len(sweep.rates) == len(sweep.losses) <= 40
    assert sweep.rates[0] == pytest.approx(1e-10)
    assert list(sweep.rates) == sorted(sweep.rates)
    assert sweep.rates[-1] <= 10 * (1 + 1e-9)
    assert 1e-10 < sweep.suggestion < sweep.rates[-1]
    assert min(sweep.losses) < sweep.losses[0]


def test_the_same_seed_sweeps_the_same(sweep: Sweep, tiny_config: TrainConfig) -> None:
    assert find_lr(tiny_config, steps=40) == sweep


@pytest.mark.parametrize("values", [{"finetune__freeze": "backbone"}, {"data__workers": 1, "optim__name": "sgd"}])
def test_a_sweep_tells_of_its_steps(
    values: dict[str, Any], tiny_config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agelens.train.lr_finder.suggest", lambda rates, losses: 1e-3)  # so few steps may show none
    told: list[tuple[int, int]] = []
    sweep = find_lr(changed(tiny_config, **values), steps=20, progress=lambda done, total: told.append((done, total)))
    assert told == [(step, 20) for step in range(1, len(sweep.losses) + 1)]
    assert len(told) > 5


def test_a_sweep_that_is_too_short_is_refused(tiny_config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="a sweep of 19 steps tells nothing"):
        find_lr(tiny_config, steps=19)


def test_the_curve_is_written_in_numbers_and_as_a_picture(tmp_path: Path) -> None:
    losses = _falling(1e-4, 1e-2)
    losses[-1] = math.inf
    write_sweep(Sweep(tuple(RATES), tuple(losses), 1e-4), tmp_path / "new/folder")
    head, *lines = (tmp_path / "new/folder/lr.csv").read_text().splitlines()
    assert head == "lr,loss"
    assert [float(line.split(",")[0]) for line in lines] == pytest.approx(RATES, rel=1e-5)
    assert [float(line.split(",")[1]) for line in lines] == pytest.approx(losses, rel=1e-5)
    with Image.open(tmp_path / "new/folder/lr.png") as image:
        assert (image.format, image.size) == ("PNG", (960, 544))
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10


def test_a_folder_that_cannot_be_made_is_an_output_error(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_sweep(sweep, tmp_path / "file")


@pytest.fixture
def recipe(tiny_config: TrainConfig, tmp_path: Path) -> Path:
    """The tiny configuration in a file."""
    write_config(changed(tiny_config, optim__epochs=1), tmp_path / "recipe.yaml")
    return tmp_path / "recipe.yaml"


def test_the_command_to_train_by_has_what_the_sweep_was_made_with(
    recipe: Path, tiny_config: TrainConfig, tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agelens.train.lr_finder.suggest", lambda rates, losses: 1e-3)
    folder = tmp_path / "two words"
    folder.symlink_to(tiny_config.data.manifest)
    options = ("--manifest", folder, "--finetune.freeze", "backbone", "--seed=1")
    said = run("find-lr", recipe, "--steps", 20, "--out", tmp_path / "sweep", *options).err
    command = f"agelens train {recipe} --manifest '{folder}' --finetune.freeze backbone --seed=1 --optim.lr 0.001"
    assert said.endswith(f"train with it: {command}\n")


def test_the_command_prints_the_rate(recipe: Path, tmp_path: Path, run: Callable[..., Any], sweep: Sweep) -> None:
    result = run("find-lr", recipe, "--steps", 40, "--out", tmp_path / "sweep")
    assert result.status == 0
    assert result.out == f"{sweep.suggestion:.3g}\n"
    assert result.err.endswith(f"train with it: agelens train {recipe} --optim.lr {sweep.suggestion:.3g}\n")
    assert {path.name for path in (tmp_path / "sweep").iterdir()} == {"lr.csv", "lr.png"}


def test_the_command_prints_the_curve_as_json(
    recipe: Path, tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("find-lr", recipe, "--json", "--steps=40", "--seed", 1, "--head.kind", "coral")
    assert result.status == 0
    assert result.json.keys() == {"suggestion", "lr", "loss"}
    assert len(result.json["lr"]) == len(result.json["loss"])
    assert (tmp_path / "runs/recipe/lr.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", "19"), "--steps"),
        (("--optim.lrr", "1"), "optim.lrr: no such key; did you mean 'lr'?"),
        (("--optim.lr",), "--optim.lr: its value is missing, as in --optim.lr 3e-4"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: tuple[str, ...], message: str, recipe: Path, run: Callable[..., Any]
) -> None:
    assert message in run("find-lr", recipe, *arguments).complaint


def test_training_takes_the_rate_that_was_found(
    recipe: Path, tmp_path: Path, run: Callable[..., Any], sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agelens.cli.train.find_lr", lambda config, **options: sweep)
    arguments = ("train", recipe, "--out", tmp_path / "run", "--find-lr", "--no-export")
    result = run(*arguments)
    assert result.status == 0
    assert f"learning rate {sweep.suggestion:.2g} found; the sweep is drawn in" in result.err
    assert read_config(tmp_path / "run/config.yaml").optim.lr == sweep.suggestion
    assert (tmp_path / "run/lr.png").is_file()
    monkeypatch.undo()  # a run that is taken up keeps the rate that it found
    assert run(*arguments, "--resume").status == 0
    assert read_config(tmp_path / "run/config.yaml").optim.lr == sweep.suggestion
