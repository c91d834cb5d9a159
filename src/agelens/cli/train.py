"""``agelens train``: a network from a configuration."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.cli.console import note
from agelens.train.config import read_config
from agelens.train.run import train as train_run

__all__ = ["train"]


def train(
    config: Path,
    /,
    *,
    out: Path | None = None,
    manifest: Path | None = None,
    seed: Annotated[int | None, Parameter(validator=Number(gte=0, lt=2**32))] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a network as a configuration says.

    Example:  agelens train configs/utkface-mobilenetv2.yaml --out runs/first

    Parameters
    ----------
    config
        A YAML file; see configs/ for examples.
    out
        Folder of the run; runs/ and the configuration's name by default.
    manifest
        Train on this manifest instead of the configuration's.
    seed
        Use this seed instead of the configuration's.
    resume
        Go on from the last finished epoch of a run that was cut off.
    """
    settings = read_config(config)
    if manifest is not None:
        settings = settings.model_copy(update={"data": settings.data.model_copy(update={"manifest": manifest})})
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    run = out or Path("runs") / config.stem
    train_run(settings, run, resume=resume, progress=sys.stderr.isatty(), report=_say)
    note(f"trained; next: agelens export {run}")


def _say(figures: Mapping[str, float]) -> None:
    note(", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in figures.items()))
