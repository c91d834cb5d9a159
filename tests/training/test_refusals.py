"""What a training refuses before its first step, and what may go wrong in the midst of it."""

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

from agelens.errors import AgelensError, ConfigError, DataError, MissingExtraError, OutputError
from agelens.train.config import TrainConfig, changed, write_config
from agelens.train.module import AgeModule
from agelens.train.run import train

ROOT = Path(__file__).parents[2]
Edited = Callable[..., Path]
Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """What the error says that a training ends with before its first step, and before it makes a folder."""

    def step(self: AgeModule, batch: Any, batch_idx: int) -> torch.Tensor:
        raise AssertionError("a step was trained")

    def refuse(config: TrainConfig, error: type[AgelensError]) -> str:
        monkeypatch.setattr(AgeModule, "training_step", step)
        with pytest.raises(error) as refused:
            train(config, tmp_path / "run", progress=False)
        assert not (tmp_path / "run").exists()
        (line,) = str(refused.value).splitlines()
        return line

    return refuse


def _only_training(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split="train")


def _one_to_train_on(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split=["train"] + ["val"] * (len(table) - 1))


def _band(table: pd.DataFrame, split: str) -> pd.DataFrame:
    chosen = table["split"] == split
    low = table["age"].where(chosen)
    return table.assign(age=table["age"].mask(chosen), age_low=low, age_high=low)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_only_training, "no samples in split 'val'; the manifest has: train, all"),
        (_one_to_train_on, "1 to train on; at least 2 are needed, two for each device"),
        (
            lambda table: _band(table, "val"),
            "no validation face has an exact age, .*: val_mae needs; set it to val_band",
        ),
        (lambda table: table.assign(gender=None), "no training face has a gender; set gender: null"),
        (
            lambda table: table.assign(split=["val"] + ["train"] * (len(table) - 1)),
            "1 to validate on; at least 2 are needed",
        ),
    ],
)
def test_unfit_manifest_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
    edited: Edited,
    tiny_config: TrainConfig,
    tmp_path: Path,
    refusal: Refusal,
) -> None:
    folder = edited(tmp_path / "crops", change)
    said = refusal(changed(tiny_config, data__manifest=str(folder)), DataError)
    assert said.startswith(f"{folder}: ")
    assert pd.Series([said]).str.contains(message).all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_regression_takes_no_bands(
    split: str, edited: Edited, tiny_config: TrainConfig, tmp_path: Path, refusal: Refusal
) -> None:
    folder = edited(tmp_path / "crops", lambda table: _band(table, split))
    config = changed(tiny_config, data__manifest=str(folder), head__kind="regression", checkpoint__metric="val_loss")
    said = refusal(config, DataError)
    assert " faces have an age band only" in said
    assert "regression can neither learn nor be judged; take another head, such as dldl" in said


def test_the_share_within_bands_needs_bands(tiny_config: TrainConfig, refusal: Refusal) -> None:
    said = refusal(changed(tiny_config, checkpoint__metric="val_band"), DataError)
    assert "no validation face has an age band only" in said
    assert said.endswith("set it to val_mae")


def test_crops_with_too_little_margin_are_refused(tiny_config: TrainConfig, refusal: Refusal) -> None:
    said = refusal(changed(tiny_config, input__margin=0.3), DataError)
    assert "crops with margin 0.1, but input.margin is 0.3; prepare again with --margin" in said


def test_crops_in_which_faces_lie_otherwise_are_refused(tiny_config: TrainConfig, refusal: Refusal) -> None:
    said = refusal(changed(tiny_config, input__template="arcface"), DataError)
    assert "crops with template 'face', but input.template is 'arcface'" in said


def test_compiling_without_a_compiler_is_refused(
    tiny_config: TrainConfig, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    said = refusal(changed(tiny_config, trainer__compile=True), ConfigError)
    assert said.startswith("trainer.compile: needs a C++ compiler, and there is none; install g++")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tiny_config: TrainConfig, refusal: Refusal) -> None:
    assert refusal(changed(tiny_config, trainer__accelerator="gpu"), ConfigError).startswith("trainer: ")


def test_a_full_disk_is_refused(tiny_config: TrainConfig, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1_000_000))
    assert "and the disk has 1 MB free" in refusal(tiny_config, OutputError)


def test_a_run_folder_that_cannot_be_made_is_an_output_error(tiny_config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        train(tiny_config, tmp_path / "file" / "run", progress=False)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_logger_that_is_not_installed_is_named_with_its_extra(
    name: str, tiny_config: TrainConfig, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    absent = RequirementCache(f"agelens-no-such-{name}")
    monkeypatch.setattr(lightning.fabric.loggers.tensorboard, "_TENSORBOARD_AVAILABLE", absent)
    monkeypatch.setattr(lightning.fabric.loggers.tensorboard, "_TENSORBOARDX_AVAILABLE", absent)
    monkeypatch.setattr(lightning.pytorch.loggers.mlflow, "_MLFLOW_AVAILABLE", absent)
    said = refusal(changed(tiny_config, log=[name]), MissingExtraError)
    assert said == f"this needs '{name}', which is not installed: in agelens's checkout, pip install '.[{name}]'"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert name in extras


def test_mlflow_without_a_server_is_refused(
    tiny_config: TrainConfig, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "MLFLOW_TRACKING_URI" in refusal(changed(tiny_config, log=["mlflow"]), ConfigError)


@pytest.mark.usefixtures("no_curves")
def test_tensorboard_gets_the_figures_of_each_epoch(tiny_config: TrainConfig, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(changed(tiny_config, log=["tensorboard"]), tmp_path / "run", progress=False)
    (events,) = (tmp_path / "run").rglob("events.out.tfevents.*")
    seen = accumulator.EventAccumulator(str(events.parent)).Reload()
    assert {"val_mae", "train_loss", "val_gender"} <= set(seen.Tags()["scalars"])
    assert len(seen.Scalars("val_mae")) == 2


# what goes wrong while training


def test_a_crop_of_another_size_is_named(edited: Edited, tiny_config: TrainConfig, tmp_path: Path) -> None:
    def large_crop(table: pd.DataFrame) -> pd.DataFrame:
        first = table.index[table["split"] == "train"][0]
        table.loc[first, ["path", "offset", "length"]] = ["large.jpg", None, None]
        return table

    folder = edited(tmp_path / "crops", large_crop)
    shutil.copy(ROOT / "examples/eileen-collins.jpg", folder / "large.jpg")
    with pytest.raises(DataError, match=r"large\.jpg: .* 512 x 512 pixels, but the manifest's crops have 48"):
        train(changed(tiny_config, data__manifest=str(folder), data__batch_size=30), tmp_path / "run", progress=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_crop_is_one_line_of_the_command(
    workers: int, edited: Edited, tiny_config: TrainConfig, tmp_path: Path, run: Callable[..., Any]
) -> None:
    folder = edited(tmp_path / "crops")
    config = changed(tiny_config, data__manifest=str(folder), data__workers=workers)
    (missing,) = folder.glob("*.pack")
    missing.unlink()
    write_config(config, tmp_path / "recipe.yaml")
    complaint = run("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run").err.splitlines()[-1]
    assert complaint == f"error: {missing}: cannot be read (No such file or directory); prepare the data set again"


def _spoil_second_batch(monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None) -> None:
    """From the second batch on, spoil the weights, or raise ``error``."""
    step = AgeModule.training_step

    def spoilt(self: AgeModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 1 and error:
            raise error
        if batch_idx == 1:
            torch.nn.init.constant_(self.network.get_parameter("age.weight"), float("nan"))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(AgeModule, "training_step", spoilt)


def test_figures_that_are_no_numbers_end_the_run(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(self: AgeModule) -> None:
        self.network.age.weight.data.fill_(float("nan"))

    monkeypatch.setattr(AgeModule, "on_validation_epoch_start", spoilt)
    config = changed(tiny_config, optim__ema_decay=0.0)
    with pytest.raises(ConfigError, match=r"val_mae is nan after epoch 1; lower optim\.lr"):
        train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run/checkpoints/best.ckpt").exists()


def test_a_disk_that_fills_up_on_the_way_is_said_so(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightning.Trainer.save_checkpoint", full)
    with pytest.raises(OutputError, match="No space left on device; make room, then go on by --resume"):
        train(tiny_config, tmp_path / "run", progress=False)


def test_a_loss_that_is_no_number_is_named_with_its_batch(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]
) -> None:
    _spoil_second_batch(monkeypatch, None)
    write_config(tiny_config, tmp_path / "recipe.yaml")
    result = run("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run")
    assert (result.status, result.out) == (2, "")
    said = result.err.splitlines()[-1]
    assert said == "error: the loss is nan at batch 2 of epoch 1; lower optim.lr or optim.clip"


def test_interrupted_training_ends_as_an_interrupted_command(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]
) -> None:
    _spoil_second_batch(monkeypatch, KeyboardInterrupt)
    write_config(tiny_config, tmp_path / "recipe.yaml")
    result = run("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run")
    assert (result.status, result.err.splitlines()[-1]) == (130, "error: interrupted")
