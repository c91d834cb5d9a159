"""One training in two processes that share its batches."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.train.config import TrainConfig, changed, write_config

COMMAND = shutil.which("agelens", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(COMMAND is None, reason="the command is not installed")
def test_two_processes_leave_one_whole_run(
    tiny_config: TrainConfig, tmp_path: Path, rows: Callable[[Path], list[dict[str, str]]]
) -> None:
    write_config(changed(tiny_config, data__batch_size=4), tmp_path / "recipe.yaml")
    arguments = ["train", "recipe.yaml", "--out", "run", "--trainer.devices", "2", "--trainer.accelerator", "cpu"]
    # Lightning marks the processes of a run by these
    marks = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
    environment = {name: value for name, value in os.environ.items() if name not in marks} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(COMMAND), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = rows(tmp_path / "run")
    assert [(line["epoch"], line["step"]) for line in lines] == [("1", "3"), ("2", "6")]  # eight faces a step
    assert all(math.isfinite(float(value)) for line in lines for value in line.values())
    files = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert files == {
        *("config.yaml", "metrics.csv", "curves.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "bundle.onnx"),
        *(
            f"report/{name}"
            for name in ("report.html", "figures.json", "figures.csv", "predictions.csv", "best.png", "worst.png")
        ),
    }
    said = done.stderr.splitlines()
    assert sum(line.startswith("epoch 1, ") for line in said) == 1  # one process speaks
    assert said.count("test_resnet: random weights") == 1
    assert done.stdout.split()[:2] == ["group", "faces"]
