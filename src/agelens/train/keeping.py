"""What a run leaves in its folder while it goes on: figures, curves, checkpoints."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from agelens.errors import ConfigError
from agelens.files import atomic_path, write_text
from agelens.train.curves import draw_curves
from agelens.train.dataset import Batch
from agelens.train.figures import BETTER
from agelens.train.module import AgeModule
from agelens.train.sections import CheckpointConfig

__all__ = ["BEST", "CONFIG", "CURVES", "LAST", "METRICS", "AtomicCheckpoints", "Keeper"]

CONFIG: Final = "config.yaml"
METRICS: Final = "metrics.csv"
CURVES: Final = "curves.png"
BEST: Final = "checkpoints/best.ckpt"
LAST: Final = "checkpoints/last.ckpt"

Row = dict[str, float]


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the old checkpoint and renames; Lightning writes to the system's temporary folder and copies."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """``checkpoint`` to the file ``path``.

        Raises:
            OutputError: it cannot be written.
        """
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class Keeper(Checkpoint):
    """Writes ``metrics.csv``, ``curves.png``, ``best.ckpt`` and ``last.ckpt``.

    One callback for all of them, so that last.ckpt, written last, holds what the others know; a run that is killed
    anywhere goes on from it. Figures are told to ``report`` as they come, other news to ``say``.
    """

    def __init__(
        self,
        out: Path,
        config: CheckpointConfig,
        report: Callable[[Mapping[str, float]], None],
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._out = out
        self._config = config
        self._report = report
        self._say = say
        self._rows: list[Row] = []
        self._best: float | None = None
        self._stopped = False
        self._waiting = self._busy = 0.0
        self._faces = 0
        self._started = self._left = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """What last.ckpt knows of the run so far."""
        return {"rows": self._rows, "best": self._best, "stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a run."""
        self._rows, self._best, self._stopped = state_dict["rows"], state_dict["best"], state_dict["stopped"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._tell_news(pl_module)
        trainer.should_stop = self._stopped

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._waiting = self._busy = 0.0
        self._faces = 0
        self._started = self._left = time.perf_counter()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._tell_news(pl_module)
        self._started = time.perf_counter()
        self._waiting += self._started - self._left

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        now = time.perf_counter()
        self._busy += now - self._started
        self._faces += len(batch["age"]) * trainer.world_size
        # the end of an epoch has figures to write too, and writes it itself
        if trainer.global_step % self._config.every == 0 and batch_idx + 1 < trainer.num_training_batches:
            trainer.save_checkpoint(self._out / LAST, weights_only=False)
        self._left = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        figures = {name: round(float(value), 5) for name, value in sorted(trainer.callback_metrics.items())}
        spent = self._waiting + self._busy
        self._rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                "lr": float(f"{trainer.optimizers[0].param_groups[-1]['lr']:.5g}"),
                **figures,
                "faces_per_second": round(self._faces / spent, 1) if spent else 0.0,
                "waiting": round(self._waiting / spent, 4) if spent else 0.0,
            }
        )
        self._check(figures, trainer.current_epoch + 1)
        better = self._better(figures)
        self._stopped = trainer.should_stop
        if trainer.is_global_zero:
            write_text(self._out / METRICS, _table(self._rows))
            draw_curves(self._rows, self._out / CURVES)
            self._report(self._rows[-1])
            if better is not None:
                self._say(better)
            if self._stopped:
                self._say(f"stopped: {self._config.metric} was no better for {self._config.patience} epochs in a row")
        if better is not None:  # every process must call it, the first one writes
            trainer.save_checkpoint(self._out / BEST, weights_only=False)
        trainer.save_checkpoint(self._out / LAST, weights_only=False)

    def _check(self, figures: Mapping[str, float], epoch: int) -> None:
        for name, value in {self._config.metric: math.nan, **figures}.items():
            if not math.isfinite(value):
                raise ConfigError(f"{name} is {value} after epoch {epoch}; lower optim.lr or optim.clip")

    def _better(self, figures: Mapping[str, float]) -> str | None:
        """What to say of the best epoch so far; None where this one is not."""
        metric, before = self._config.metric, self._best
        now = figures[metric]
        if before is not None and (now >= before if BETTER[metric] == "lower" else now <= before):
            return None
        self._best = now
        name = metric.replace("_", " ")
        gain = "" if before is None else f", better by {abs(now - before):.3g}"
        return f"{name} {now:g}{gain}: kept as best"

    def _tell_news(self, module: lightning.LightningModule) -> None:
        if isinstance(module, AgeModule):
            while module.news:
                line = module.news.pop(0)
                if module.global_rank == 0:
                    self._say(line)


def _table(rows: list[Row]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
