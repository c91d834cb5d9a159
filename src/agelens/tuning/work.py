"""The training of one trial, in whatever process it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from agelens.embed.checks import check_labels
from agelens.embed.config import MlpConfig
from agelens.embed.run import Learnt, fit_one, manifests_of, read_learnt
from agelens.errors import ConfigError
from agelens.train.config import TrainConfig
from agelens.train.ready import make_ready
from agelens.train.run import train
from agelens.tuning.config import Config
from agelens.tuning.space import applied
from agelens.tuning.trial import Report, Work

__all__ = ["check_work", "work_of"]


def work_of(config: Config) -> Work:
    """The training of a configuration with a trial's values, as it can be sent to other processes and machines.

    They must see its files under the same paths; relative ones start from the working folder of this process.
    """
    return partial(_trained, config, Path.cwd())


def check_work(config: Config) -> None:
    """See that a configuration can be trained as it stands, before any trial.

    Raises:
        BundleError: a teacher is no bundle.
        ConfigError: it does not fit the machine, or wants several devices.
        DataError: its manifest is not what it wants.
    """
    if isinstance(config, MlpConfig):
        learnt = read_learnt(*manifests_of(config))
        check_labels(config, learnt.faces.labels, learnt.train, learnt.val, str(learnt.manifest.folder))
        return
    if config.trainer.devices * config.trainer.num_nodes > 1:
        raise ConfigError(
            "trainer.devices and num_nodes: a trial has one device, and several trials run at once; set 1"
        )
    make_ready(config)


def _trained(config: Config, where: Path, parameters: Mapping[str, Any], folder: Path, report: Report) -> None:
    with contextlib.chdir(where):
        settings = applied(config, parameters)
        if isinstance(settings, MlpConfig):
            fit_one(settings, _learnt(*manifests_of(settings)), report=report)
        else:
            _train_crops(settings, folder, report)


def _train_crops(config: TrainConfig, folder: Path, report: Report) -> None:
    def tell(line: Mapping[str, float]) -> None:
        report(int(line["epoch"]), {name: value for name, value in line.items() if name.startswith("val_")})

    try:
        train(config, folder, progress=False, report=tell)
    except KeyboardInterrupt:  # what Lightning makes of the end of a trial that is stopped
        raise SystemExit(0) from None


@lru_cache(maxsize=1)
def _learnt(manifest: Path, first: Path | None) -> Learnt:
    """Read once for all the trials of a process."""
    return read_learnt(manifest, first)
