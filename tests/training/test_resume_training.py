"""A training that was cut off anywhere and taken up ends as if it had run in peace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agelens.errors import ConfigError
from agelens.train.config import TrainConfig, changed, write_config
from agelens.train.module import AgeModule
from agelens.train.run import train

Rows = Callable[[Path], list[dict[str, str]]]
Checkpoint = Callable[..., dict[str, Any]]
CutOff = Callable[..., None]

TIMES = ("faces_per_second", "waiting")
COMMAND = "from agelens.cli import main; main()"


def _differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two checkpoints differ, leaving out how long things took."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [where]
        names = [name for name in one if name not in TIMES]
        return [fault for name in names for fault in _differences(one[name], other[name], f"{where}/{name}")]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [fault for place, pair in pairs for fault in _differences(*pair, f"{where}/{place}")]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [where]


@pytest.fixture
def assert_same_runs(rows: Rows, checkpoint: Checkpoint) -> Callable[[Path, Path], None]:
    """Sees that two runs have the same figures, and weights, averages and optimisers that are equal to the bit."""

    def compare(whole: Path, parts: Path) -> None:
        kept = [[{k: v for k, v in line.items() if k not in TIMES} for line in rows(run)] for run in (whole, parts)]
        assert kept[0] == kept[1]
        for name in ("best", "last"):
            one, other = checkpoint(whole, name), checkpoint(parts, name)
            assert one["state_dict"]
            assert one["optimizer_states"]
            assert _differences(one, other) == []

    return compare


CASES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "at every step": ({"checkpoint__every": 1}, (1, 2, 3, 4, 5, 6, 7, 8)),
    "every second step kept": ({"checkpoint__every": 2, "data__workers": 1}, (2, 7, 8)),
    "only epochs kept, no averages": (
        {"optim__ema_decay": 0, "data__augment": "strong", "schedule__kind": "cyclic"},
        (3, 5),
    ),
    "plateau": (
        {
            "checkpoint__every": 1,
            "schedule__kind": "plateau",
            "schedule__patience": 0,
            "checkpoint__metric": "val_gender",
            "optim__ema_decay": 0,
            "optim__clip": None,
        },
        (2, 3, 6, 7),
    ),
    "progressive": (
        {
            "checkpoint__every": 2,
            "finetune__freeze": "backbone",
            "finetune__unfreeze": "progressive",
            "finetune__epochs": [1, 2],
            "data__balance": "smoothed",
        },
        (3, 4, 6, 8),
    ),
    "progressive on a plateau": (
        {
            "checkpoint__every": 1,
            "finetune__freeze": "backbone",
            "finetune__unfreeze": "last",
            "finetune__epochs": [1],
            "schedule__kind": "plateau",
            "schedule__patience": 0,
            "optim__name": "sgd",
            "checkpoint__patience": 3,
        },
        (2, 3, 4, 7),
    ),
}


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize(("values", "cuts"), CASES.values(), ids=CASES)
def test_a_run_cut_off_and_taken_up_ends_as_one_that_ran_in_peace(
    values: dict[str, Any],
    cuts: tuple[int, ...],
    tiny_config: TrainConfig,
    tmp_path: Path,
    cut_off: CutOff,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    config = changed(tiny_config, **{"optim__epochs": 3, "backbone__dropout": 0.4, "head__neck": 8, **values})
    train(config, tmp_path / "whole", progress=False)
    for number, step in enumerate(cuts):
        cut_off(config, tmp_path / "parts", step, resume=number > 0)
    train(config, tmp_path / "parts", resume=True, progress=False)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")


def test_an_interrupted_run_does_not_begin_again(
    tiny_config: TrainConfig, tmp_path: Path, cut_off: CutOff, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(changed(tiny_config, checkpoint__every=1), tmp_path / "run", 4)
    assert [line["epoch"] for line in rows(tmp_path / "run")] == ["1"]
    steps: list[int] = []
    step = AgeModule.training_step

    def watched(self: AgeModule, batch: Any, batch_idx: int) -> torch.Tensor:
        steps.append(self.global_step)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(AgeModule, "training_step", watched)
    train(changed(tiny_config, checkpoint__every=1), tmp_path / "run", resume=True, progress=False)
    assert steps == [4, 5]
    assert [line["step"] for line in rows(tmp_path / "run")] == ["3", "6"]


def test_a_finished_run_stays_as_it_is(
    trained_run: Path, tiny_config: TrainConfig, tmp_path: Path, assert_same_runs: Callable[[Path, Path], None]
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    train(tiny_config, tmp_path / "run", resume=True, progress=False)
    assert_same_runs(trained_run, tmp_path / "run")


@pytest.mark.usefixtures("no_curves")
def test_a_run_that_stopped_early_stays_as_it_is(
    tiny_config: TrainConfig, tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse_every_epoch(self: AgeModule, batch: Any, batch_idx: int) -> None:
        self._val_sums.add({"mae": (float(self.current_epoch), 1.0)})

    monkeypatch.setattr(AgeModule, "validation_step", worse_every_epoch)
    config = changed(tiny_config, checkpoint__patience=1, optim__epochs=5)
    train(config, tmp_path / "run", progress=False)
    before = rows(tmp_path / "run")
    assert len(before) == 2
    train(config, tmp_path / "run", resume=True, progress=False)
    assert rows(tmp_path / "run") == before


def test_a_checkpoint_is_read_as_weights_only(
    tiny_config: TrainConfig, trained_run: Path, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    class Bait:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "owned",)

    shutil.copytree(trained_run, tmp_path / "run")
    torch.save(checkpoint(trained_run) | {"bait": Bait()}, tmp_path / "run/checkpoints/last.ckpt")
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
        train(changed(tiny_config, optim__lr=0.5), trained_run, resume=True, progress=False)


def test_a_run_goes_on_with_other_loaders_and_crops_that_were_moved(
    tiny_config: TrainConfig, cut_off: CutOff, edited: Callable[..., Path], rows: Rows, tmp_path: Path
) -> None:
    cut_off(changed(tiny_config, checkpoint__every=1), tmp_path / "run", 4)
    moved = changed(tiny_config, checkpoint__every=1, data__workers=1, data__manifest=str(edited(tmp_path / "moved")))
    train(moved, tmp_path / "run", resume=True, progress=False)
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["1", "2"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda held: {"a": 1}, r"\('state_dict' is not in it\); train again"),
        (lambda held: held["state_dict"].popitem() and held, r"does not fit\); train again"),
    ],
)
def test_a_checkpoint_that_is_none_of_the_run_is_refused(
    spoil: Callable[[dict[str, Any]], dict[str, Any]],
    message: str,
    tiny_config: TrainConfig,
    trained_run: Path,
    tmp_path: Path,
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    held = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    torch.save(spoil(held), run / "checkpoints/last.ckpt")
    with pytest.raises(ConfigError, match=message):
        train(tiny_config, run, resume=True, progress=False)


def test_a_run_is_taken_up_by_its_folder(
    tiny_config: TrainConfig, cut_off: CutOff, rows: Rows, tmp_path: Path, run: Callable[..., Any]
) -> None:
    cut_off(changed(tiny_config, checkpoint__every=1), tmp_path / "run", 4)
    assert run("train", tmp_path / "run", "--resume", "--no-export").status == 0
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["1", "2"]


def test_resume_on_other_samples_is_refused(
    tiny_config: TrainConfig, edited: Callable[..., Path], tmp_path: Path
) -> None:
    folder = edited(tmp_path / "crops")
    config = changed(tiny_config, data__manifest=str(folder), optim__epochs=1)
    train(config, tmp_path / "run", progress=False)
    shutil.rmtree(folder)
    edited(folder, lambda table: table.assign(age=table["age"] + 1))
    with pytest.raises(ConfigError, match="its samples are others than when the run began"):
        train(config, tmp_path / "run", resume=True, progress=False)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing is killed so there")
def test_a_killed_command_is_taken_up_by_the_command(
    tiny_config: TrainConfig,
    tmp_path: Path,
    run: Callable[..., Any],
    rows: Rows,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    config = changed(tiny_config, checkpoint__every=1, optim__epochs=4)
    write_config(config, tmp_path / "recipe.yaml")
    train(config, tmp_path / "whole", progress=False)
    parts = tmp_path / "parts"
    arguments = ["train", str(tmp_path / "recipe.yaml"), "--out", str(parts), "--no-export"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in this process: sums of other parts round otherwise
    with subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], env=environment, stderr=subprocess.PIPE) as one:
        while not (parts / "checkpoints/last.ckpt").exists() and one.poll() is None:
            time.sleep(0.002)
        one.kill()
    assert one.returncode == -signal.SIGKILL
    assert not (parts / "metrics.csv").exists() or len(rows(parts)) < 4
    assert run(*arguments, "--resume").status == 0
    assert_same_runs(tmp_path / "whole", parts)
