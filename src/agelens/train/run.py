"""A run: one training from its configuration to a folder that holds everything about it.

    config.yaml          what was asked for
    metrics.csv          a line an epoch
    checkpoints/         best.ckpt (lowest validation error) and last.ckpt; both hold the averaged weights

``agelens export`` makes a bundle of it.
"""

from __future__ import annotations

import csv
import io
import logging
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, RichProgressBar

from agelens.data.manifest import Manifest, read_manifest
from agelens.errors import AgelensError, ConfigError, DataError
from agelens.faces.align import CropSpec
from agelens.files import make_folder, write_text
from agelens.train.config import TrainConfig, read_config, write_config
from agelens.train.dataset import CropDataset, make_loader
from agelens.train.module import AgeModule
from agelens.train.network import AgeNetwork, build_network
from agelens.train.transforms import PRESETS, plain_transform, train_transform

__all__ = ["BEST", "CONFIG", "LAST", "load_trained", "train"]

CONFIG: Final = "config.yaml"
METRICS: Final = "metrics.csv"
BEST: Final = "checkpoints/best.ckpt"
LAST: Final = "checkpoints/last.ckpt"


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    report: Callable[[Mapping[str, float]], None] = lambda figures: None,
) -> None:
    """Train a network and leave the run in ``out``.

    Args:
        config: what to train on, and how.
        out: the run's folder.
        resume: go on from the last finished epoch of a run that was cut off.
        progress: show a progress bar.
        report: called after every epoch with its line of ``metrics.csv``.

    Raises:
        ConfigError: the configuration does not fit the machine or the run in ``out``, or lets the loss grow beyond
            all numbers.
        DataError: the manifest or its crops are not what the configuration wants.
        OutputError: ``out`` cannot be written.
    """
    checkpoint = _checkpoint_to_resume(config, out, resume)
    manifest = read_manifest(config.data.manifest)
    crop = fitting_crop(config, manifest)
    lightning.seed_everything(config.seed, verbose=False)
    train_set = CropDataset(manifest, "train", train_transform(PRESETS[config.data.augment], manifest.crop, crop))
    val_set = CropDataset(manifest, "val", plain_transform(manifest.crop, crop))
    if len(train_set) < 2:
        raise DataError(f"{manifest.folder}: {len(train_set)} sample to train on; at least 2 are needed")
    if config.compile and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise ConfigError("compile: true needs a C++ compiler and there is none; install g++, or set compile: false")
    module = AgeModule(build_network(config.backbone, config.input.size), config)
    make_folder(out)
    write_config(config, out / CONFIG)
    batch = {"batch_size": config.data.batch_size, "workers": config.data.workers}
    with _quiet(), _interruptible(), _plain_errors():
        trainer = _trainer(config, _MetricsFile(out / METRICS, report), out, progress)
        trainer.fit(
            module,
            make_loader(train_set, shuffle=True, **batch),
            make_loader(val_set, shuffle=False, **batch),
            ckpt_path=checkpoint,
            weights_only=True,
        )


def fitting_crop(config: TrainConfig, manifest: Manifest) -> CropSpec:
    """The crop that the network sees, once the manifest's crops are known to hold it.

    Raises:
        DataError: they show less around the face than the configuration wants.
    """
    crop = config.crop(manifest.crop.template)
    if crop.margin > manifest.crop.margin + 1e-9:
        raise DataError(
            f"{manifest.folder}: crops with margin {manifest.crop.margin:g}, but input.margin is {crop.margin:g}; "
            f"prepare again with --margin {crop.margin:g}, or train with less"
        )
    return crop


def load_trained(run: Path) -> tuple[AgeNetwork, TrainConfig]:
    """The network of a run with its best averaged weights, in evaluation mode, and the configuration.

    Raises:
        ConfigError: the folder holds no finished epoch of a run.
    """
    path = run / BEST
    if not path.is_file():
        raise ConfigError(f"{run}: no {BEST} in it; wanted the folder of a run of agelens train")
    config = read_config(run / CONFIG)
    network = build_network(config.backbone.model_copy(update={"weights": None}), config.input.size)
    try:
        state = _read_checkpoint(path)["state_dict"]
        prefix = "network."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{path}: not a checkpoint of this run ({type(error).__name__}); train again") from error
    return network.eval(), config


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises almost anything on a damaged file
        raise ConfigError(f"{path}: not a checkpoint of this run ({type(error).__name__}); train again") from error


class _MetricsFile(Callback):
    """Writes the figures of every epoch to a CSV file, the whole file at once."""

    def __init__(self, path: Path, report: Callable[[Mapping[str, float]], None]) -> None:
        self._path = path
        self._report = report
        self._rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, list[dict[str, float]]]:
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, list[dict[str, float]]]) -> None:
        self._rows = state_dict["rows"]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        figures = {name: round(float(value), 5) for name, value in sorted(trainer.callback_metrics.items())}
        self._rows.append({"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **figures})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self._rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._path, text.getvalue())
        self._report(self._rows[-1])


def _trainer(config: TrainConfig, metrics: _MetricsFile, out: Path, progress: bool) -> lightning.Trainer:
    folder = (out / BEST).parent.absolute()
    best = ModelCheckpoint(folder, Path(BEST).stem, monitor="val_mae", enable_version_counter=False)
    # not save_last=True: that one is written only in epochs that were better than all before
    last = ModelCheckpoint(folder, Path(LAST).stem, enable_version_counter=False)
    callbacks: list[Callback] = [
        metrics,
        EMAWeightAveraging(decay=config.optim.ema_decay),
        best,
        last,
    ]
    if progress:
        callbacks.append(RichProgressBar(leave=True))
    return lightning.Trainer(
        max_epochs=config.optim.epochs,
        precision=_precision(config.precision),
        gradient_clip_val=config.optim.clip,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=out,
    )


def _precision(wanted: str) -> Literal["bf16-mixed", "32-true"]:
    if wanted == "auto":
        fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.cpu._is_amx_tile_supported()
        return "bf16-mixed" if fast else "32-true"
    return "bf16-mixed" if wanted == "bf16" else "32-true"


def _checkpoint_to_resume(config: TrainConfig, out: Path, resume: bool) -> Path | None:
    last = out / LAST
    if not resume:
        if last.exists():
            raise ConfigError(f"{out}: holds a run already; go on with it by --resume, or choose another --out")
        return None
    if not last.is_file():
        raise ConfigError(f"{out}: no {LAST} to resume from; start without --resume")
    if read_config(out / CONFIG) != config:
        raise ConfigError(f"{out}: was started with another configuration; resume with its own {CONFIG}")
    _read_checkpoint(last)  # a damaged one is told before any work
    return last


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning turns Ctrl-C into exit status 1 and ignores further ones: make it a KeyboardInterrupt again."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop


@contextmanager
def _plain_errors() -> Iterator[None]:
    """A loader's process hands an error over with its whole traceback as the message: leave the last line of it."""
    try:
        yield
    except AgelensError as error:
        last = str(error).strip().splitlines()[-1]
        raise type(error)(last.removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on loggers, workers and devices off the terminal: the run decides these itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
