"""What a training leaves in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agelens.data.manifest import Manifest
from agelens.errors import OutputError
from agelens.train.config import TrainConfig, changed, read_config
from agelens.train.keeping import AtomicCheckpoints
from agelens.train.module import AgeModule
from agelens.train.run import load_trained, train

Rows = Callable[[Path], list[dict[str, str]]]
Checkpoint = Callable[..., dict[str, Any]]


@pytest.fixture
def val_mae(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Puts made-up figures in the place of the validation error, one for each epoch."""

    def pretend(figures: list[float]) -> None:
        def step(self: AgeModule, batch: Any, batch_idx: int) -> None:
            self._val_sums.add({"mae": (figures[self.current_epoch], 1.0)})

        monkeypatch.setattr(AgeModule, "validation_step", step)

    return pretend


def test_run_folder_holds_configuration_figures_curves_and_checkpoints(
    trained_run: Path, tiny_config: TrainConfig
) -> None:
    files = {path.relative_to(trained_run).as_posix() for path in trained_run.rglob("*") if path.is_file()}
    assert files == {"config.yaml", "metrics.csv", "curves.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
    assert read_config(trained_run / "config.yaml") == tiny_config


def test_metrics_have_a_line_an_epoch(trained_run: Path, rows: Rows) -> None:
    lines = rows(trained_run)
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert [line["step"] for line in lines] == ["3", "6"]
    for split in ("train", "val"):
        for name in ("loss", "mae", "cs5", "gender"):
            assert all(np.isfinite(float(line[f"{split}_{name}"])) for line in lines)
    assert all(float(line["faces_per_second"]) > 0 for line in lines)
    assert all(0 <= float(line["waiting"]) <= 1 for line in lines)


def test_metrics_of_bands_are_the_share_within_them(
    tiny_config: TrainConfig, bands: Manifest, tmp_path: Path, rows: Rows
) -> None:
    config = changed(tiny_config, data__manifest=str(bands.folder), checkpoint__metric="val_band", optim__epochs=1)
    train(config, tmp_path / "run", progress=False)
    (line,) = rows(tmp_path / "run")
    assert {name for name in line if name.startswith("val_")} == {"val_loss", "val_band", "val_gender"}
    assert 0 <= float(line["val_band"]) <= 1


def test_best_checkpoint_is_that_of_the_lowest_error_and_last_the_last(
    trained_run: Path, rows: Rows, checkpoint: Checkpoint
) -> None:
    errors = [float(line["val_mae"]) for line in rows(trained_run)]
    assert checkpoint(trained_run, "best")["epoch"] == int(np.argmin(errors))
    assert checkpoint(trained_run)["epoch"] == 1


@pytest.mark.usefixtures("no_curves")
def test_last_checkpoint_is_written_when_the_error_rises_too(
    tiny_config: TrainConfig, tmp_path: Path, val_mae: Callable[[list[float]], None], checkpoint: Checkpoint
) -> None:
    val_mae([5, 6])
    train(tiny_config, tmp_path / "run", progress=False)
    assert checkpoint(tmp_path / "run", "best")["epoch"] == 0
    assert checkpoint(tmp_path / "run")["epoch"] == 1


@pytest.mark.usefixtures("no_curves")
def test_training_stops_when_patience_is_at_an_end(
    tiny_config: TrainConfig,
    tmp_path: Path,
    val_mae: Callable[[list[float]], None],
    rows: Rows,
    checkpoint: Checkpoint,
) -> None:
    val_mae([5, 6, 4, 4, 7, 1])
    train(changed(tiny_config, checkpoint__patience=2, optim__epochs=6), tmp_path / "run", progress=False)
    assert [float(line["val_mae"]) for line in rows(tmp_path / "run")] == [5, 6, 4, 4, 7]
    assert checkpoint(tmp_path / "run", "best")["epoch"] == 2


@pytest.mark.usefixtures("no_curves")
def test_each_epoch_is_reported_and_the_best_are_said(
    tiny_config: TrainConfig, tmp_path: Path, val_mae: Callable[[list[float]], None]
) -> None:
    val_mae([5, 6, 4])
    figures: list[float] = []
    said: list[str] = []
    train(
        changed(tiny_config, optim__epochs=3),
        tmp_path / "run",
        progress=False,
        report=lambda line: figures.append(line["val_mae"]),
        say=said.append,
    )
    assert figures == [5, 6, 4]
    assert said[0] == "test_resnet: random weights"
    assert said[1].startswith("training everything: ")
    assert said[2:] == ["val mae 5: kept as best", "val mae 4, better by 1: kept as best"]


def test_training_moves_the_running_statistics_of_batch_norm(trained_run: Path) -> None:
    means = [
        value for name, value in load_trained(trained_run).network.state_dict().items() if name.endswith("running_mean")
    ]
    assert means
    assert all(mean.any() for mean in means)


@pytest.mark.usefixtures("no_curves")
def test_a_network_can_learn_the_made_up_faces(
    tiny_config: TrainConfig, tmp_path: Path, manifest: Manifest, rows: Rows
) -> None:
    long = changed(tiny_config, optim__epochs=12, optim__lr=0.02, optim__ema_decay=0.8, data__augment="none")
    train(long, tmp_path / "run", progress=False)
    true = manifest.split("val")["age"].to_numpy()
    guess_the_middle = np.abs(true - manifest.split("train")["age"].median()).mean()
    assert min(float(line["val_mae"]) for line in rows(tmp_path / "run")) < 0.75 * guess_the_middle


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("deterministic", [False, True])
def test_same_seed_gives_the_same_weights(
    deterministic: bool, tiny_config: TrainConfig, trained_run: Path, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    config = changed(tiny_config, trainer__deterministic=deterministic)
    train(config, tmp_path / "same", progress=False)
    same = checkpoint(tmp_path / "same")["state_dict"]
    assert all(torch.equal(same[name], tensor) for name, tensor in checkpoint(trained_run)["state_dict"].items())
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("no_curves")
def test_another_seed_gives_other_weights(
    tiny_config: TrainConfig, trained_run: Path, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    train(changed(tiny_config, seed=1), tmp_path / "other", progress=False)
    other = checkpoint(tmp_path / "other")["state_dict"]
    assert not torch.equal(other["network.age.weight"], checkpoint(trained_run)["state_dict"]["network.age.weight"])


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize(("freeze", "moved"), [("none", True), ("backbone", False)])
def test_a_frozen_backbone_stays_as_it_was(
    freeze: str, moved: bool, tiny_config: TrainConfig, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    train(changed(tiny_config, finetune__freeze=freeze, optim__epochs=1), tmp_path / "one", progress=False)
    train(changed(tiny_config, finetune__freeze=freeze, optim__epochs=2), tmp_path / "two", progress=False)
    one, two = (checkpoint(tmp_path / name)["state_dict"] for name in ("one", "two"))
    backbone = [name for name in one if name.startswith("network.backbone.") and "num_batches" not in name]
    assert any(not torch.equal(one[name], two[name]) for name in backbone) == moved
    assert not torch.equal(one["network.age.weight"], two["network.age.weight"])


def test_a_checkpoint_that_could_not_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"step": 1}, path)

    def cut_off(checkpoint: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(OutputError, match="No space left on device"):
        AtomicCheckpoints().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["last.ckpt"]
