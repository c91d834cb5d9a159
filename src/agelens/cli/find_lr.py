"""``agelens find-lr``: the learning rate to train with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.cli.console import note, print_json, progress_bar
from agelens.cli.overrides import parse_overrides
from agelens.files import make_folder
from agelens.train.config import read_config
from agelens.train.lr_finder import find_lr as sweep_rates
from agelens.train.lr_finder import write_sweep

__all__ = ["find_lr"]


def find_lr(
    config: Path,
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    manifest: Path | None = None,
    steps: Annotated[int, Parameter(validator=Number(gte=20))] = 200,
    as_json: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Sweep the learning rate and say which to train with.

    A throw-away network is trained a few hundred steps while the rate grows from 1e-10 to 10; the rate at which its
    loss falls fastest is the suggestion. lr.png shows the loss against the rate, lr.csv has the same in numbers. Any
    value of the configuration can be given by its key, as in agelens train.

    Example:  agelens find-lr configs/utkface-mobilenetv2.yaml --out runs/first

    Parameters
    ----------
    config
        A YAML file; see configs/ for examples.
    out
        Folder for lr.png and lr.csv; runs/ and the configuration's name by default.
    manifest
        Train on this manifest; the same as --data.manifest.
    steps
        Of the sweep.
    as_json
        Print the sweep as one JSON object instead of the suggestion.
    """
    settings = read_config(config, parse_overrides(overrides, manifest))
    folder = make_folder(out or Path("runs") / config.stem)
    with progress_bar("sweeping") as advance:
        sweep = sweep_rates(settings, steps=steps, progress=advance)
    write_sweep(sweep, folder)
    if as_json:
        print_json({"suggestion": sweep.suggestion, "lr": sweep.rates, "loss": sweep.losses})
    else:
        print(f"{sweep.suggestion:.3g}")  # noqa: T201
    said = [*([] if manifest is None else ["--manifest", str(manifest)]), *overrides]
    command = shlex.join(["agelens", "train", str(config), *said, "--optim.lr", f"{sweep.suggestion:.3g}"])
    note(f"wrote {folder / 'lr.png'}; train with it: {command}")
