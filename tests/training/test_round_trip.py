"""The whole training river on made-up faces: prepare, train, export, evaluate, predict."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pytest
import torch

import agelens.cli.prepare
import agelens.export
from agelens import AgeEstimator, ages
from agelens.bundle import Bundle, Card
from agelens.cli import main
from agelens.data.manifest import Manifest, read_manifest, write_manifest
from agelens.data.prepare import Preparation
from agelens.errors import AgelensError, ConfigError, DataError, ExportError, OutputError
from agelens.evaluate.evaluation import figures, predict_split, read_crops
from agelens.export import MAX_DISAGREEMENT, export
from agelens.faces.detector import FixedDetector
from agelens.train.config import TrainConfig, read_config, write_config
from agelens.train.module import AgeModule
from agelens.train.run import load_trained, train

Status = Callable[..., int]


@pytest.fixture(scope="module")
def bundle_path(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny run."""
    path = tmp_path_factory.mktemp("bundles") / "tiny.onnx"
    export(trained_run, path, name="tiny", terms="made up", flip=True)
    return path


@pytest.fixture(scope="module")
def card(bundle_path: Path) -> Card:
    """The card inside the bundle."""
    return Bundle.load(bundle_path).card


@pytest.fixture
def status() -> Status:
    """Runs the command line in this process and gives its exit status."""

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        return int(stopped.value.code or 0)

    return run


def _changed(config: TrainConfig, **sections: dict[str, Any]) -> TrainConfig:
    """A configuration with some values of some sections replaced."""
    raw = config.model_dump()
    return TrainConfig.model_validate(raw | {name: raw[name] | values for name, values in sections.items()})


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _checkpoint(run: Path, name: str = "last") -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)
    return state


def _cut_off_in_second_epoch(config: TrainConfig, run: Path) -> None:
    """Start a run and end it as a power cut would, in the middle of the second epoch."""
    step = AgeModule.training_step

    def failing(self: AgeModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.current_epoch == 1:
            raise ZeroDivisionError
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgeModule, "training_step", failing)
        with pytest.raises(ZeroDivisionError):
            train(config, run, progress=False)


# what a run leaves


def test_run_folder_holds_configuration_metrics_and_checkpoints(trained_run: Path, tiny_config: TrainConfig) -> None:
    files = {path.relative_to(trained_run).as_posix() for path in trained_run.rglob("*") if path.is_file()}
    assert files == {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
    assert read_config(trained_run / "config.yaml") == tiny_config


def test_metrics_have_a_line_an_epoch(trained_run: Path) -> None:
    rows = _rows(trained_run)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [row["step"] for row in rows] == ["3", "6"]
    for name in ("train_loss", "val_mae", "val_gender"):
        assert all(np.isfinite(float(row[name])) for row in rows)


def test_best_checkpoint_is_that_of_the_lowest_error_and_last_the_last(trained_run: Path) -> None:
    errors = [float(row["val_mae"]) for row in _rows(trained_run)]
    assert _checkpoint(trained_run, "best")["epoch"] == int(np.argmin(errors))
    assert _checkpoint(trained_run)["epoch"] == 1


def test_last_checkpoint_is_written_when_the_error_rises_too(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse_every_epoch(self: AgeModule, batch: Any, batch_idx: int) -> None:
        self.log("val_mae", float(self.current_epoch), batch_size=len(batch["age"]))

    monkeypatch.setattr(AgeModule, "validation_step", worse_every_epoch)
    train(tiny_config, tmp_path / "run", progress=False)
    assert _checkpoint(tmp_path / "run", "best")["epoch"] == 0
    assert _checkpoint(tmp_path / "run")["epoch"] == 1


def test_validation_error_in_the_metrics_is_that_of_the_best_weights(trained_run: Path, manifest: Manifest) -> None:
    network, config = load_trained(trained_run)
    probs = predict_split(_torch_bundle(network, config, manifest), manifest, "val").age_probs
    error = np.abs(ages.expected_age(probs) - manifest.split("val")["age"]).mean()
    assert min(float(row["val_mae"]) for row in _rows(trained_run)) == pytest.approx(error, abs=1e-3)


class _TorchBundle:
    """Stands in for a bundle: the torch network itself, without flip averaging."""

    def __init__(self, network: torch.nn.Module, card: Card) -> None:
        self.network, self.card = network, card

    def run(self, crops: npt.NDArray[np.uint8]) -> Any:
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(crops).permute(0, 3, 1, 2))
        return logits.age.softmax(1).numpy(), logits.gender.softmax(1).numpy()


def _torch_bundle(network: torch.nn.Module, config: TrainConfig, manifest: Manifest) -> Any:
    crop = config.crop(manifest.crop.template)
    return _TorchBundle(network, Card("torch", "0", crop, ("male", "female"), False, {"0.9": 0.9}))


def test_training_moves_the_running_statistics_of_batch_norm(trained_run: Path) -> None:
    means = [
        value for name, value in load_trained(trained_run)[0].state_dict().items() if name.endswith("running_mean")
    ]
    assert means
    assert all(mean.any() for mean in means)


def test_a_network_can_learn_the_made_up_faces(tiny_config: TrainConfig, tmp_path: Path, manifest: Manifest) -> None:
    long = _changed(tiny_config, optim={"epochs": 12, "lr": 0.02, "ema_decay": 0.8}, data={"augment": "none"})
    train(long, tmp_path / "run", progress=False)
    true = manifest.split("val")["age"].to_numpy()
    guess_the_middle = np.abs(true - manifest.split("train")["age"].median()).mean()
    assert min(float(row["val_mae"]) for row in _rows(tmp_path / "run")) < 0.75 * guess_the_middle


def test_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny_config: TrainConfig, trained_run: Path, tmp_path: Path
) -> None:
    wanted = _checkpoint(trained_run)["state_dict"]
    train(tiny_config, tmp_path / "same", progress=False)
    same = _checkpoint(tmp_path / "same")["state_dict"]
    assert all(torch.equal(same[name], tensor) for name, tensor in wanted.items())
    train(tiny_config.model_copy(update={"seed": 1}), tmp_path / "other", progress=False)
    other = _checkpoint(tmp_path / "other")["state_dict"]
    assert not torch.equal(other["network.age.weight"], wanted["network.age.weight"])


# resuming


def test_resume_goes_on_where_the_run_was_cut_off(tiny_config: TrainConfig, manifest: Manifest, tmp_path: Path) -> None:
    # One batch an epoch, no augmentation and no dropout: nothing random is left that a checkpoint would have to hold,
    # so weights, their averages, the optimiser and the schedule must all come back for the ends to meet.
    faces = len(manifest.split("train"))
    config = _changed(tiny_config, data={"batch_size": faces, "augment": "none"}, backbone={"dropout": 0.0})
    train(config, tmp_path / "whole", progress=False)
    _cut_off_in_second_epoch(config, tmp_path / "parts")
    assert [row["epoch"] for row in _rows(tmp_path / "parts")] == ["1"]
    train(config, tmp_path / "parts", resume=True, progress=False)
    whole, parts = _checkpoint(tmp_path / "whole"), _checkpoint(tmp_path / "parts")
    assert (parts["epoch"], parts["global_step"]) == (whole["epoch"], whole["global_step"]) == (1, 2)
    assert _rows(tmp_path / "parts")[0] == _rows(tmp_path / "whole")[0]
    for name, tensor in whole["state_dict"].items():
        assert torch.allclose(parts["state_dict"][name].double(), tensor.double(), atol=1e-4), name


def test_resume_starts_at_the_epoch_after_the_last_finished_one(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cut_off_in_second_epoch(tiny_config, tmp_path / "run")
    epochs: list[int] = []
    step = AgeModule.training_step

    def watched(self: AgeModule, batch: Any, batch_idx: int) -> torch.Tensor:
        epochs.append(self.current_epoch)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(AgeModule, "training_step", watched)
    train(tiny_config, tmp_path / "run", resume=True, progress=False)
    assert epochs == [1, 1, 1]
    assert [row["step"] for row in _rows(tmp_path / "run")] == ["3", "6"]


def test_resume_reads_a_checkpoint_as_weights_only(tiny_config: TrainConfig, tmp_path: Path) -> None:
    class Bait:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "owned",)

    _cut_off_in_second_epoch(tiny_config, tmp_path / "run")
    torch.save(_checkpoint(tmp_path / "run") | {"bait": Bait()}, tmp_path / "run/checkpoints/last.ckpt")
    with pytest.raises(ConfigError, match=r"last\.ckpt: not a checkpoint"):
        train(tiny_config, tmp_path / "run", resume=True, progress=False)
    assert not (tmp_path / "owned").exists()


def test_a_finished_run_is_not_overwritten(tiny_config: TrainConfig, trained_run: Path) -> None:
    with pytest.raises(ConfigError, match="holds a run already; go on with it by --resume"):
        train(tiny_config, trained_run, progress=False)


def test_resume_without_a_run_is_refused(tiny_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoints/last\.ckpt to resume from"):
        train(tiny_config, tmp_path, resume=True, progress=False)


def test_resume_with_another_configuration_is_refused(tiny_config: TrainConfig, trained_run: Path) -> None:
    with pytest.raises(ConfigError, match="was started with another configuration"):
        train(_changed(tiny_config, optim={"lr": 0.5}), trained_run, resume=True, progress=False)


# what is refused before training


def _edited(manifest: Manifest, folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    shutil.copytree(manifest.folder, folder)
    write_manifest(Manifest(change(manifest.table.copy()), manifest.crop, folder), folder / "manifest.parquet")
    return folder


def _only_training(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split="train")


def _one_to_train_on(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split=["train"] + ["val"] * (len(table) - 1))


def _one_band(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(age=[None, *table["age"][1:]], age_low=20.0, age_high=29.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_only_training, "no samples in split 'val'; the manifest has: train, all"),
        (_one_to_train_on, "1 sample to train on; at least 2 are needed"),
        (_one_band, "have an age band, but exact ages are needed"),
    ],
)
def test_unfit_manifest_is_refused_before_a_run_folder_is_made(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
    manifest: Manifest,
    tiny_config: TrainConfig,
    tmp_path: Path,
) -> None:
    folder = _edited(manifest, tmp_path / "crops", change)
    with pytest.raises(DataError, match=message):
        train(_changed(tiny_config, data={"manifest": folder}), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_crops_with_too_little_margin_are_refused(tiny_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"crops with margin 0\.1, but input\.margin is 0\.3; prepare again with --margin"
    ):
        train(_changed(tiny_config, input={"margin": 0.3}), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_crop_of_another_size_is_named(manifest: Manifest, tiny_config: TrainConfig, tmp_path: Path) -> None:
    def large_crop(table: pd.DataFrame) -> pd.DataFrame:
        first = table.index[table["split"] == "train"][0]
        table.loc[first, ["path", "offset", "length"]] = ["large.jpg", None, None]
        return table

    folder = _edited(manifest, tmp_path / "crops", large_crop)
    shutil.copy(Path(__file__).parents[2] / "examples/eileen-collins.jpg", folder / "large.jpg")
    with pytest.raises(DataError, match=r"large\.jpg: .* 512 x 512 pixels, but the manifest's crops have 48"):
        train(_changed(tiny_config, data={"manifest": folder}), tmp_path / "run", progress=False)


def test_run_folder_that_cannot_be_made_is_an_output_error(tiny_config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        train(tiny_config, tmp_path / "file" / "run", progress=False)


def test_compiling_without_a_compiler_is_refused_before_the_work(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        ConfigError, match=r"compile: true needs a C\+\+ compiler .*; install g\+\+, or set compile: false"
    ):
        train(tiny_config.model_copy(update={"compile": True}), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


# what goes wrong while training


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_crop_is_one_line_of_the_command(
    workers: int,
    manifest: Manifest,
    tiny_config: TrainConfig,
    tmp_path: Path,
    status: Status,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = _edited(manifest, tmp_path / "crops", lambda table: table)
    missing = folder / manifest.split("train")["path"][0]
    missing.unlink()
    data = {"manifest": folder, "workers": workers, "batch_size": 99}  # all in one batch, none left over
    write_config(_changed(tiny_config, data=data), tmp_path / "recipe.yaml")
    assert status("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run") == 2
    said = f"error: {missing}: cannot be read (No such file or directory); prepare the data set again\n"
    assert capsys.readouterr().err == said


def _spoil_second_batch(monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None) -> None:
    """From the second batch on, spoil the weights, or raise ``error``."""
    step = AgeModule.training_step

    def spoilt(self: AgeModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 1 and error:
            raise error
        if batch_idx == 1:
            self.network.age.weight.data.fill_(float("nan"))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(AgeModule, "training_step", spoilt)


def test_a_loss_that_is_no_number_is_named_with_its_batch(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil_second_batch(monkeypatch, None)
    with pytest.raises(AgelensError, match=r"the loss is nan at batch 2 of epoch 1; .*optim\.lr"):
        train(tiny_config, tmp_path / "run", progress=False)


def test_a_loss_that_is_no_number_is_one_line_of_the_command(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: Status,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _spoil_second_batch(monkeypatch, None)
    write_config(tiny_config, tmp_path / "recipe.yaml")
    assert status("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run") == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: the loss is nan at batch 2 of epoch 1")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_interrupted_training_ends_as_an_interrupted_command(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: Status,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _spoil_second_batch(monkeypatch, KeyboardInterrupt)
    write_config(tiny_config, tmp_path / "recipe.yaml")
    assert status("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run") == 130
    assert capsys.readouterr().err == "error: interrupted\n"


# export


def test_bundle_and_trained_network_agree_on_crops(trained_run: Path, bundle_path: Path, manifest: Manifest) -> None:
    network, config = load_trained(trained_run)
    bundle = Bundle.load(bundle_path)
    rows = manifest.split("all")
    crops = read_crops(manifest, rows, bundle)
    both = [_torch_bundle(network, config, manifest).run(one) for one in (crops, crops[:, :, ::-1].copy())]
    gap = ages.expected_age((both[0][0] + both[1][0]) / 2) - ages.expected_age(bundle.run(crops).age_probs)
    assert np.abs(gap).max() <= MAX_DISAGREEMENT
    assert bundle.run(crops).gender_probs == pytest.approx((both[0][1] + both[1][1]) / 2, abs=1e-4)


def test_card_says_how_faces_are_cut_and_what_it_was_trained_on(
    card: Card, manifest: Manifest, tiny_config: TrainConfig
) -> None:
    assert (card.name, card.terms, card.flip, card.genders) == ("tiny", "made up", True, ("male", "female"))
    assert (card.crop.size, card.crop.margin, card.crop.template) == (32, 0.0, manifest.crop.template)
    assert card.training["datasets"] == ["utkface"]
    assert card.training["faces"] == len(manifest.split("train"))
    config = tiny_config.model_dump(mode="json")
    assert config["data"].pop("manifest") == str(manifest.folder)
    assert card.training["config"] == config


def test_interval_masses_rise_with_their_level(card: Card) -> None:
    assert list(card.interval_masses) == ["0.5", "0.8", "0.9", "0.95"]
    masses = list(card.interval_masses.values())
    assert masses == sorted(masses)
    assert 0 < masses[0] < masses[-1] <= 1


def test_figures_on_the_card_are_those_of_an_evaluation(card: Card, bundle_path: Path, manifest: Manifest) -> None:
    measured = figures(predict_split(Bundle.load(bundle_path), manifest, "val"), 0.9, card.interval_mass(0.9))
    assert measured["all"] == pytest.approx(card.figures["val"]["all"], abs=1e-4)
    assert measured["decades"].keys() == card.figures["val"]["decades"].keys()
    assert measured["all"]["faces"] == len(manifest.split("val"))
    assert sum(group["faces"] for group in measured["decades"].values()) == measured["all"]["faces"]


def test_gender_accuracy_leaves_unknown_genders_out(bundle_path: Path, manifest: Manifest) -> None:
    predictions = predict_split(Bundle.load(bundle_path), manifest, "all")
    rows = predictions.rows
    assert rows["gender"].isna().sum() == 1
    right = (predictions.gender == rows["gender"].to_numpy(dtype=object))[rows["gender"].notna()].mean()
    assert figures(predictions, 0.9, 0.9)["all"]["gender_accuracy"] == pytest.approx(right)


def test_estimator_predicts_with_the_bundle(bundle_path: Path, faces_folder: Path, detector: FixedDetector) -> None:
    estimator = AgeEstimator.load(bundle_path, detector=detector)
    (face,) = estimator.predict(sorted(faces_folder.iterdir())[3])
    assert face.age == pytest.approx(float(ages.expected_age(face.age_probs)), abs=1e-3)
    assert face.interval[0] <= face.interval[1]
    assert face.gender in ("male", "female")


def test_estimator_and_evaluation_see_the_same_face(
    bundle_path: Path, manifest: Manifest, faces_folder: Path, detector: FixedDetector
) -> None:
    predictions = predict_split(Bundle.load(bundle_path), manifest, "val")
    estimator = AgeEstimator.load(bundle_path, detector=detector)
    for age, name in list(zip(predictions.age, predictions.rows["source_path"], strict=True))[:4]:
        assert estimator.predict(faces_folder / name)[0].age == pytest.approx(age, abs=0.5)  # JPEG lies between


@pytest.fixture(scope="module", params=["age", "gender"])
def drifted(trained_run: Path, request: pytest.FixtureRequest) -> onnx.ModelProto:
    """The run's network as ONNX, with one weight of the age or gender head a little off."""
    network, config = load_trained(trained_run)
    head, index = {"age": (network.age, 90), "gender": (network.gender, 0)}[request.param]
    head.bias.data[index] += 0.1
    return agelens.export._to_onnx(network, config.input.size)


def test_a_bundle_that_disagrees_is_refused_and_leaves_no_file(
    trained_run: Path, tmp_path: Path, drifted: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agelens.export, "_to_onnx", lambda network, size: drifted)
    with pytest.raises(ExportError, match=r"by up to \d+\.\d{4} years and \d+\.\d{4} in gender; at most 0\.001"):
        export(trained_run, tmp_path / "out.onnx", name="drifted")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_export_leaves_the_old_bundle(
    trained_run: Path, tmp_path: Path, drifted: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.onnx").write_text("the old one")
    monkeypatch.setattr(agelens.export, "_to_onnx", lambda network, size: drifted)
    with pytest.raises(ExportError):
        export(trained_run, tmp_path / "out.onnx", name="drifted", flip=False)
    assert (tmp_path / "out.onnx").read_text() == "the old one"
    assert len(list(tmp_path.iterdir())) == 1


def test_export_of_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoints/best\.ckpt in it; wanted the folder of a run"):
        export(tmp_path, tmp_path / "out.onnx", name="none")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_export_of_a_damaged_checkpoint_is_refused(content: bytes, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    (tmp_path / "run/checkpoints/best.ckpt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"best\.ckpt: not a checkpoint of this run"):
        export(tmp_path / "run", tmp_path / "out.onnx", name="damaged")


def test_export_after_the_manifest_is_gone_is_refused(
    trained_run: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    write_config(_changed(tiny_config, data={"manifest": tmp_path / "gone"}), tmp_path / "run/config.yaml")
    with pytest.raises(DataError, match="gone: no such manifest"):
        export(tmp_path / "run", tmp_path / "out.onnx", name="lost")


def test_export_takes_the_manifest_from_where_it_is_now(
    trained_run: Path, tiny_config: TrainConfig, tmp_path: Path, manifest: Manifest, status: Status, card: Card
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    write_config(_changed(tiny_config, data={"manifest": tmp_path / "gone"}), tmp_path / "run/config.yaml")
    assert status("export", tmp_path / "run", "--manifest", manifest.folder) == 0
    moved = Bundle.load(tmp_path / "run/bundle.onnx").card
    assert (moved.training, moved.interval_masses) == (card.training, card.interval_masses)


def test_export_to_a_name_that_is_no_bundles_is_refused(
    trained_run: Path, tmp_path: Path, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "best.ckpt"
    weights.write_text("not to be lost")
    assert status("export", trained_run, "--out", weights) == 2
    assert capsys.readouterr().err == f"error: {weights}: a bundle's name ends in .onnx\n"
    assert weights.read_text() == "not to be lost"


def test_evaluation_on_crops_with_too_little_margin_is_refused(bundle_path: Path, manifest: Manifest) -> None:
    tight = Manifest(manifest.table, type(manifest.crop)(48, -0.1), manifest.folder)
    with pytest.raises(DataError, match="prepare the data set again for this bundle"):
        predict_split(Bundle.load(bundle_path), tight, "val")


# the command line


def test_commands_lead_from_a_folder_to_figures(
    faces_folder: Path,
    detector: FixedDetector,
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: Status,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        agelens.cli.prepare, "Preparation", functools.partial(Preparation, make_detector=lambda: detector)
    )
    crops, run, out = tmp_path / "crops", tmp_path / "run", tmp_path / "figures.json"
    options = ("--size", 48, "--val-share", 0.25, "--workers", 1)
    assert status("prepare", "utkface", faces_folder, crops, *options) == 0
    assert "kept" in capsys.readouterr().out
    assert len(read_manifest(crops).split("all")) == 40

    write_config(_changed(tiny_config, optim={"epochs": 1}), tmp_path / "recipe.yaml")
    assert status("train", tmp_path / "recipe.yaml", "--out", run, "--manifest", crops, "--seed", 3) == 0
    assert read_config(run / "config.yaml").seed == 3
    assert read_config(run / "config.yaml").data.manifest == crops
    epoch, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"epoch 1, step \d+, .*val mae [\d.]+.*", epoch)
    assert last == f"trained; next: agelens export {run}"

    assert status("export", run, "--name", "by hand", "--no-flip") == 0
    assert "validation MAE" in capsys.readouterr().err
    card = Bundle.load(run / "bundle.onnx").card
    assert (card.name, card.flip) == ("by hand", False)
    assert card.terms == "trained on utkface: non-commercial research"

    assert status("evaluate", run / "bundle.onnx", crops, "--json", "--out", out) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert printed["all"] == pytest.approx(card.figures["val"]["all"], abs=1e-4)
    assert status("evaluate", run / "bundle.onnx", crops, "--split", "all") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert names[0] == "age"
    assert names[2:5] == ["all", "0-9", "10-19"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "utkface", "nowhere", "out"), "nowhere: no such folder"),
        (("prepare", "nosuch", "faces", "out"), "no source 'nosuch'; there are: utkface, fairface"),
        (("prepare", "utkface", ".", "out", "--size", "4"), "crop size is 4"),
        (("prepare", "utkface", ".", "out", "--workers", "0"), "--workers"),
        (("prepare", "utkface", ".", "out", "--val-share", "0.6"), "--val-share"),
        (("prepare", "utkface", ".", "out", "--seed", "-1"), "--seed"),
        (("train", "absent.yaml", "--seed", "-1"), "--seed"),
        (("prepare", "utkface", ".", "out"), "lies within the data set's own folder"),
        (("train", "absent.yaml"), "absent.yaml: cannot be read"),
        (("export", "nowhere"), "wanted the folder of a run"),
        (("evaluate", "absent.onnx", "."), "absent.onnx: no such model file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: Status,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
    assert "fault of agelens" not in said


def test_evaluate_refuses_a_bundle_without_the_level_before_the_work(
    make_bundle: Callable[..., Path], status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(interval_masses={"0.5": 0.4})
    assert status("evaluate", bundle, "nowhere") == 2  # the manifest has not been looked for
    assert capsys.readouterr().err == (
        f"error: {bundle}: no interval at level 0.9; this bundle has: 0.5; export it again\n"
    )


def test_evaluate_names_a_split_that_is_not_there(
    bundle_path: Path, manifest: Manifest, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("evaluate", bundle_path, manifest.folder, "--split", "test") == 2
    assert "no samples in split 'test'; the manifest has: train, val, all" in capsys.readouterr().err


def test_bundle_names_no_file_of_the_machine_that_made_it(bundle_path: Path, trained_run: Path) -> None:
    data = bundle_path.read_bytes()
    for folder in (Path(agelens.export.__file__).parent, Path(torch.__file__).parent, trained_run):
        assert str(folder).encode() not in data
