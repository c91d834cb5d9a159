"""A run: one training from its configuration to a folder that holds everything about it.

    config.yaml          what was asked for
    metrics.csv          a line an epoch
    curves.png           the same, to look at
    checkpoints/         best.ckpt (the best epoch) and last.ckpt; both hold the averaged weights
    teachers.npz         what other models said of the training faces, where they teach

``agelens train`` adds the bundle that ``agelens export`` makes of it, and a report.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_only

from agelens.errors import ConfigError, OutputError
from agelens.files import make_folder
from agelens.train.config import TrainConfig, changed, read_config, write_config
from agelens.train.feeding import Feeding
from agelens.train.fitting import fitting
from agelens.train.keeping import BEST, CONFIG, CURVES, LAST, METRICS, Keeper
from agelens.train.module import AgeModule
from agelens.train.network import AgeNetwork, build_network
from agelens.train.ready import make_ready
from agelens.train.teaching import ANSWERS, add_answers
from agelens.train.trainer import build_trainer

__all__ = [
    "BEST",
    "BUNDLE",
    "CONFIG",
    "CURVES",
    "LAST",
    "METRICS",
    "REPORT",
    "Trained",
    "leads",
    "load_trained",
    "refuse_another_run",
    "train",
]

BUNDLE: Final = "bundle.onnx"
REPORT: Final = "report"

# Parts of a checkpoint without which a run cannot be gone on with.
TAKEN_UP: Final = ("state_dict", "optimizer_states", "loops", "pytorch-lightning_version", Feeding.__qualname__)

# Bytes a weight: itself, its average and the optimiser's two, in best, last, and last while it is written anew.
DISK_PER_WEIGHT: Final = 3 * 4 * 4


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    asking: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[Mapping[str, float]], None] = lambda figures: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Train a network and leave the run in ``out``.

    Args:
        config: what to train on, and how.
        out: the run's folder.
        resume: go on where a run was cut off; its weights end as if it had not been.
        progress: show a progress bar.
        asking: called with the number of faces that teachers have seen, and their total.
        report: called after every epoch with its line of ``metrics.csv``.
        say: called with what else there is to tell: which weights matched, what is trained, which epoch is the best.

    Raises:
        BundleError: a teacher is no bundle.
        ConfigError: the configuration does not fit the machine or the run in ``out``, or lets the loss grow beyond
            all numbers.
        DataError: the manifest or its crops are not what the configuration wants.
        OutputError: ``out`` cannot be written, or its disk is too full.
        MissingExtraError: the configuration wants a logger that is not installed.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is there already and no folder; choose another name")
    checkpoint = _checkpoint_to_resume(config, out, resume)
    ready = make_ready(config)
    for line in ready.notes if leads() else ():
        say(line)
    _check_disk(out, ready.network)
    if checkpoint is not None:
        _check_fits(checkpoint, ready.network)
    module = AgeModule(ready.network, config)
    with fitting():
        trainer = build_trainer(config, Keeper(out, config.checkpoint, report, say), out, progress=progress)
        if leads():
            make_folder(out)
            write_config(config, out / CONFIG)
        if config.distill is not None:
            add_answers(ready.train_set, ready.manifest, config.distill.teachers, out / ANSWERS, asking)
        feeding = Feeding(ready.train_set, ready.val_set, config.data, config.seed)
        try:
            trainer.fit(module, datamodule=feeding, ckpt_path=checkpoint, weights_only=True)
        except OSError as error:
            first = "make room, " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise OutputError(f"{out}: {error.strerror or error}; {first}then go on by --resume") from error


def leads() -> bool:
    """Whether this process is the one of a run that writes and speaks."""
    return int(rank_zero_only.rank or 0) == 0  # type: ignore[attr-defined]


def refuse_another_run(out: Path) -> None:
    """See that a folder is free for a run.

    Raises:
        ConfigError: it holds one.
    """
    if (out / LAST).exists():
        raise ConfigError(f"{out}: holds a run already; go on with it by --resume, or choose another --out")


class Trained(NamedTuple):
    """What came of a run.

    ``network`` has the best averaged weights and is in evaluation mode; ``faces`` of ``datasets`` were trained on.
    """

    network: AgeNetwork
    config: TrainConfig
    datasets: list[str]
    faces: int


def load_trained(run: Path) -> Trained:
    """What came of a run.

    Raises:
        ConfigError: the folder holds no finished epoch of a run.
    """
    path = run / BEST
    if not path.is_file():
        raise ConfigError(f"{run}: no {BEST} in it; wanted the folder of a run of agelens train")
    config = read_config(run / CONFIG)
    network = build_network(config)
    try:
        checkpoint, prefix = _read_checkpoint(path), "network."
        state = checkpoint["state_dict"]
        network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        origin = checkpoint[Feeding.__qualname__]
        return Trained(network.eval(), config, list(origin["datasets"]), int(origin["faces"]))
    except (KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{path}: not a checkpoint of this run ({type(error).__name__}); train again") from error


def _check_disk(out: Path, network: AgeNetwork) -> None:
    place = next(folder for folder in [out, *out.absolute().parents] if folder.is_dir())
    there = sum((out / name).stat().st_size for name in (BEST, LAST) if (out / name).is_file())
    needed = DISK_PER_WEIGHT * sum(one.numel() for one in network.parameters()) - there
    free = shutil.disk_usage(place).free
    if free < needed:
        raise OutputError(
            f"{out}: its checkpoints will need about {needed / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB free"
        )


def _checkpoint_to_resume(config: TrainConfig, out: Path, resume: bool) -> Path | None:
    last = out / LAST
    if not resume:
        refuse_another_run(out)
        return None
    if not last.is_file():
        raise ConfigError(f"{out}: no {LAST} to resume from; start without --resume")
    if _what_counts(read_config(out / CONFIG)) != _what_counts(config):
        raise ConfigError(f"{out}: was started with another configuration; resume with its own {CONFIG}")
    return last


def _what_counts(config: TrainConfig) -> TrainConfig:
    """A configuration without what may change between two parts of a run: the samples have a fingerprint."""
    return changed(config, data__manifest="", data__workers=0)


def _check_fits(path: Path, network: AgeNetwork) -> None:
    """See that a checkpoint can be gone on from, before any work."""
    checkpoint = _read_checkpoint(path)
    missing = [name for name in TAKEN_UP if name not in checkpoint]
    if missing:
        raise ConfigError(f"{path}: not a checkpoint of this run ({missing[0]!r} is not in it); train again")
    held = {name: tuple(one.shape) for name, one in checkpoint["state_dict"].items()}
    wanted = {f"network.{name}": tuple(one.shape) for name, one in network.state_dict().items()}
    other = sorted(dict(held.items() ^ wanted.items()))
    if other:
        raise ConfigError(f"{path}: not a checkpoint of this run ({other[0]!r} does not fit); train again")


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises almost anything on a damaged file
        raise ConfigError(f"{path}: not a checkpoint of this run ({type(error).__name__}); train again") from error
