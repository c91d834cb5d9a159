"""``agelens crossval``: mean and spread over folds and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.cli.console import note, print_json, print_line, print_table
from agelens.cli.overrides import parse_overrides
from agelens.cli.vector_training import named_bars
from agelens.crop_crossval import crossvalidate_crops
from agelens.crossval import PARTS, CrossvalPlan
from agelens.embed.config import MlpConfig, read_any_config
from agelens.embed.crossval import crossvalidate
from agelens.errors import ConfigError

__all__ = ["crossval"]

HEADINGS: Final = {
    "loss": "loss",
    "accuracy": "accuracy",
    "relaxed_accuracy": "relaxed",
    "mae": "MAE",
    "gender": "gender",
}
YEARS: Final = {"loss": ".3f", "mae": ".2f"}  # the others are shares


def crossval(
    config: Path,
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    manifest: Path | None = None,
    folds: Annotated[int | None, Parameter(validator=Number(gte=2, lte=100))] = None,
    seeds: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 5,
    val_share: Annotated[float, Parameter(validator=Number(gt=0, lte=0.8))] = 0.1,
    together: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 25,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Train for every fold and seed, and tell mean and standard deviation over these runs.

    Each fold is held back for the test once for each seed; of the other faces a share chooses the epoch. Networks on
    vectors train all together, and where their configuration has a section pretrain, from scratch and pre-trained.
    Repeat a command that was cut off, and it goes on with the runs that are missing. Any value of the configuration can
    be given here by its key, as --optim.lr 3e-4.

    Example:  agelens crossval configs/adience-vectors.yaml --seeds 5

    Parameters
    ----------
    config
        A YAML file, of vectors or of crops.
    out
        Folder of the results; runs/ and the configuration's name with -crossval by default.
    manifest
        Cross-validate on this manifest; the same as --data.manifest.
    folds
        Make so many new folds; those that the manifest has by default.
    seeds
        Runs of each fold.
    val_share
        Share of the faces outside the fold by which the epoch is chosen.
    together
        Networks on vectors that train at once, at most; fewer take less memory.
    json_lines
        Print everything as one JSON object instead of the table.
    """
    values = parse_overrides(overrides, manifest)
    if "seed" in values:
        raise ConfigError("--seed: the seeds are 0, 1, 2, …; give how many by --seeds")
    settings = read_any_config(config, values)
    folder = out or Path("runs") / f"{config.stem}-crossval"
    plan = CrossvalPlan(folds, seeds, val_share, together)
    with named_bars() as progress:
        if isinstance(settings, MlpConfig):
            result = crossvalidate(settings, plan, folder, progress=progress, say=note)
        else:
            result = crossvalidate_crops(settings, plan, folder, progress=progress, say=note)
    if json_lines:
        print_json(result)
    else:
        _show(result["summary"])
    note(f"wrote {folder / 'crossval.json'} and crossval.csv beside it")


def _show(summary: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> None:
    known = {name for parts in summary.values() for figures in parts.values() for name in figures}
    shown = [name for name in HEADINGS if name in known]
    rows = [
        [f"{variant}, {part}", *(_cell(name, parts[part].get(name)) for name in shown)]
        for variant, parts in summary.items()
        for part in PARTS
    ]
    print_table({"mean ± std": "left", **dict.fromkeys((HEADINGS[name] for name in shown), "right")}, rows)
    runs = max(int(one["runs"]) for parts in summary.values() for figures in parts.values() for one in figures.values())
    print_line(f"standard deviations are those of {runs} runs, over folds and seeds")


def _cell(name: str, one: Mapping[str, Any] | None) -> str:
    if one is None:
        return ""
    shape = YEARS.get(name)
    if shape is None:
        return f"{100 * one['mean']:.1f} ± {100 * one['std']:.1f} %"
    return f"{one['mean']:{shape}} ± {one['std']:{shape}}"
