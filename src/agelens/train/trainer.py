"""Lightning's trainer, as a configuration wants it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar, WeightAveraging
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]
from torch.optim.swa_utils import get_ema_multi_avg_fn

from agelens.errors import ConfigError, MissingExtraError
from agelens.train.config import TrainConfig
from agelens.train.figures import BETTER
from agelens.train.keeping import AtomicCheckpoints, Keeper
from agelens.train.sections import TrainerConfig

__all__ = ["averaging", "build_trainer", "cpu_multiplies_bf16", "precision"]


def build_trainer(config: TrainConfig, keeper: Keeper, out: Path, *, progress: bool) -> lightning.Trainer:
    """The trainer of a configuration.

    Raises:
        ConfigError: the machine has no such devices.
        MissingExtraError: a logger's package is not installed.
    """
    settings = config.trainer
    try:
        return lightning.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=_strategy(config),
            use_distributed_sampler=False,
            max_epochs=config.optim.epochs,
            precision=precision(settings),
            deterministic=settings.deterministic,
            callbacks=_callbacks(config, keeper, progress),
            plugins=[AtomicCheckpoints()],
            logger=_loggers(config, out),
            log_every_n_steps=1_000_000,  # figures are those of epochs
            enable_checkpointing=True,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=out,
        )
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error


def precision(settings: TrainerConfig) -> Literal["bf16-mixed", "32-true"]:
    """Lightning's word for the precision that is wanted on this machine."""
    if settings.precision == "auto":
        on_gpu = torch.cuda.is_available() and settings.accelerator != "cpu"
        fast = torch.cuda.is_bf16_supported() if on_gpu else cpu_multiplies_bf16()
        return "bf16-mixed" if fast else "32-true"
    return "bf16-mixed" if settings.precision == "bf16" else "32-true"


def cpu_multiplies_bf16() -> bool:
    """Whether the processor has instructions for it; without them bf16 is ten times slower than float32."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _strategy(config: TrainConfig) -> DDPStrategy | Literal["auto"]:
    if config.trainer.devices == config.trainer.num_nodes == 1:
        return "auto"
    # a frozen stage takes no part in a step, and processes would wait for each other's gradients of it
    return DDPStrategy(find_unused_parameters=config.finetune.freeze != "none")


def _callbacks(config: TrainConfig, keeper: Keeper, progress: bool) -> list[Callback]:
    callbacks: list[Callback] = []
    if config.optim.ema_decay:
        callbacks.append(WeightAveraging(use_buffers=True, multi_avg_fn=averaging(config.optim.ema_decay)))
    metric, patience = config.checkpoint.metric, config.checkpoint.patience
    if patience is not None:
        mode = "min" if BETTER[metric] == "lower" else "max"
        callbacks.append(EarlyStopping(metric, patience=patience, mode=mode, check_on_train_epoch_end=True))
    if progress:
        callbacks.append(RichProgressBar(leave=True))
    return [*callbacks, keeper]


def averaging(decay: float) -> Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor], Any], None]:
    """Averages weights over the steps, ``a ← d·a + (1 - d)·w``, with ``d = min(decay, (1 + n)/(10 + n))`` at step n.

    The decay grows into its value, so that a short run's average is of what it learnt and not of what it began with.
    Source: TensorFlow's ExponentialMovingAverage, ``num_updates``.
    """

    def average(averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], count: Any) -> None:
        steps = int(count)
        mix = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
        mix(list(averaged), list(current), count)

    return average


def _loggers(config: TrainConfig, out: Path) -> list[Logger] | Literal[False]:
    made = {"tensorboard": _tensorboard, "mlflow": _mlflow}
    loggers = []
    for name in config.log:
        try:
            loggers.append(made[name](out))
        except ModuleNotFoundError as error:
            raise MissingExtraError(name, name) from error
    return loggers or False


def _tensorboard(out: Path) -> Logger:
    return TensorBoardLogger(out, name="", version="tensorboard", default_hp_metric=False)


def _mlflow(out: Path) -> Logger:
    """Figures go to a server; MLflow's own way of keeping them in files would need its whole server here."""
    server = os.environ.get("MLFLOW_TRACKING_URI")
    if not server:
        raise ConfigError("log: mlflow needs the address of its server in the environment, as MLFLOW_TRACKING_URI")
    logger = MLFlowLogger("agelens", run_name=out.resolve().name, tracking_uri=server)
    try:
        logger.experiment.get_run(logger.run_id)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # MLflow's, its database's and its requests' own
        raise ConfigError(f"log: mlflow at {server}: {' '.join(str(error).split())[:300]}") from error
    return logger
