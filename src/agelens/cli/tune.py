"""``agelens tune``: the best values of a configuration, searched by Ray Tune."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from agelens.cli.console import note, print_json, print_line, print_table, progress_bar
from agelens.cli.overrides import parse_overrides
from agelens.tuning.config import read_tuning
from agelens.tuning.run import BEST, PICTURE, RESULT, TABLE
from agelens.tuning.run import tune as search

__all__ = ["tune"]

SHOWN: Final = 10


def tune(
    config: Path,
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    manifest: Path | None = None,
    trials: Annotated[int | None, Parameter(validator=Number(gte=1, lte=100_000))] = None,
    workers: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    json_lines: Annotated[bool, Parameter("--json", negative="")] = False,
) -> None:
    """Search for the best values of a configuration: many trainings, the worse of which stop early.

    A section tune of the configuration says what is searched, how often, and by which figure; without it the usual keys
    are. The first trial has the configuration's own values, and the best ones end in best.yaml, for agelens train.
    Repeat a command that was cut off, or with more --trials, and it goes on with those that are missing. Any value of
    the configuration can be given here by its key: --optim.epochs 10, --tune.grace 3.

    Example:  agelens tune configs/utkface-vectors.yaml --trials 30

    Parameters
    ----------
    config
        A YAML file, of vectors or of crops.
    out
        Folder of the results; runs/ and the configuration's name with -tune by default.
    manifest
        Train on this manifest; the same as --data.manifest.
    trials
        Trainings with other values; the same as --tune.trials.
    workers
        Trials at once; as many as there are cores, or GPUs, by default.
    json_lines
        Print everything as one JSON object instead of the table.
    """
    values = parse_overrides(overrides, manifest)
    if trials is not None:
        values["tune.trials"] = str(trials)
    folder = out or Path("runs") / f"{config.stem}-tune"
    tuning = read_tuning(config, values)
    with progress_bar("searching") as advance:
        result = search(tuning, folder, workers=workers, progress=advance)
    if json_lines:
        print_json(result)
    else:
        _show(result, list(tuning.section.space), less=tuning.less_is_better)
    for one in [one for one in result["trials"] if one["error"] is not None][:1]:
        note(f"the first that failed, trial {one['number']}: {one['error']}")
    note(f"wrote {folder / BEST}, {RESULT}, {TABLE} and {PICTURE}; next: agelens train {folder / BEST}")


def _show(result: Mapping[str, Any], keys: Sequence[str], *, less: bool) -> None:
    metric, trials = result["metric"], result["trials"]
    known = [one for one in trials if one["error"] is None and one["figures"][metric] is not None]
    best = sorted(known, key=lambda one: one["figures"][metric] * (1 if less else -1))[:SHOWN]
    columns = [*_names(keys), "epochs", "seconds", metric.replace("_", " ")]
    rows = [
        [
            str(one["number"]),
            *(_cell(one["parameters"][key]) for key in keys),
            f"{one['epochs']}" if one["status"] == "finished" else f"{one['epochs']}, stopped",
            f"{one['seconds']:.1f}",
            _cell(one["figures"][metric]),
        ]
        for one in best
    ]
    print_table({"trial": "right", **dict.fromkeys(columns, "right")}, rows)
    share = f"{result['stopped'] / len(trials):.0%}"
    failed = f", {result['failed']} failed" if result["failed"] else ""
    took = math.ceil(result["seconds"])
    print_line(
        f"{len(trials)} trials: {result['stopped']} ({share}) stopped early{failed}; {took} s of training in all"
    )


def _names(keys: Sequence[str]) -> list[str]:
    """Keys without their sections, where that tells them apart."""
    short = [key.rpartition(".")[2] for key in keys]
    return short if len(set(short)) == len(short) else list(keys)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
