"""Every age head and every way of fine-tuning, side by side: one backbone, one schedule, one budget, three seeds.

    python benchmarks/modes.py CROPS WORK [--processes 2] [--workers 0] [--out benchmarks/modes.md]

CROPS is what ``agelens prepare utkface --size 108`` wrote; WORK takes the runs. Results go to modes.json beside
``--out`` as they come, and the tables are made of that; what stands in it for the same budget is not made again, nor
is a whole run in WORK, and one that was cut off is taken up. Each process works with one thread: on a CPU two small
networks beside each other are faster than one on two cores, on a GPU several keep it busy. ``--faces``, ``--epochs``
and ``--size`` change the budget.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

RECIPE = Path(__file__).parent.parent / "configs" / "utkface-mobilenetv2.yaml"
SEEDS = (0, 1, 2)
FIGURES = ("val_mae", "val_cs5")
# Weight decay, augmentation, averaging over a hundred steps, one cycle: the same for all.
BUDGET: Mapping[str, Any] = {
    "data__batch_size": 64,
    "data__augment": "light",
    "gender": None,
    "optim__ema_decay": 0.99,
    "schedule__kind": "one-cycle",
    "trainer__compile": False,
}

Found = dict[str, dict[str, dict[str, float]]]


class Mode(NamedTuple):
    """One row: its group, what it is called, and what is different in its configuration."""

    group: str
    name: str
    changes: Mapping[str, Any]


def _head(name: str, kind: str, **changes: Any) -> Mode:
    return Mode("head", name, {"head__kind": kind} | {f"head__{key}": value for key, value in changes.items()})


def _way(name: str, **changes: Any) -> Mode:
    return Mode("fine-tuning", name, changes)


STAGES = {"finetune__freeze": "backbone", "finetune__unfreeze": "progressive"}
MODES = (
    _head("regression, MSE", "regression", loss="mse"),
    _head("histogram, earth mover's distance", "histogram", loss="emd"),
    _head("dldl", "dldl"),
    _head("mean-variance", "mean-variance"),
    _head("ranges of five years", "ranges"),
    _head("coral", "coral"),
    _head("corn", "corn"),
    _way("random weights, everything trained", backbone__weights=None),
    _way("head only", finetune__freeze="backbone"),
    _way("head, then the last stage", finetune__freeze="backbone", finetune__unfreeze="last", finetune__lr_factor=0.3),
    _way("stage by stage, rate times 0.3 each", **STAGES, finetune__lr_factor=0.3),
    _way("stage by stage, rate times 0.8 each", **STAGES, finetune__lr_factor=0.8),
    _way("everything, lower rates in early stages", finetune__layer_decay=0.7),
    _head("regression, MAE", "regression", loss="mae"),
    _head("regression, RMSE", "regression", loss="rmse"),
    _head("regression, Huber", "regression", loss="huber"),
    _head("histogram, cross-entropy", "histogram", loss="cross-entropy"),
)
# Everything trained from ImageNet weights by the dldl head is a row of both groups.
EVERYTHING = "everything"


class Task(NamedTuple):
    """One run: which mode, with which seed, on what, and its folder."""

    mode: Mode
    seed: int
    common: Mapping[str, Any]
    folder: Path


def run_one(task: Task) -> dict[str, float] | None:
    """Train one mode with one seed, or take it up where it was cut off; its last figures, None where it failed."""
    import torch

    from agelens.errors import AgelensError
    from agelens.train.config import changed, read_config
    from agelens.train.run import LAST, train

    torch.set_num_threads(1)
    try:
        config = changed(read_config(RECIPE), seed=task.seed, **{**BUDGET, **task.common, **task.mode.changes})
        row = last_row(task.folder, config.optim.epochs)
        if row is not None:
            return row
        train(config, task.folder, progress=False, resume=(task.folder / LAST).exists())
    except AgelensError as error:
        print(f"{task.mode.name}, seed {task.seed}: {error}", file=sys.stderr)
        return None
    except KeyboardInterrupt:  # which a pool takes for a task's error, and goes on with the next
        os._exit(130)
    shutil.rmtree(task.folder / "checkpoints", ignore_errors=True)  # figures are all that is wanted of it
    return last_row(task.folder, config.optim.epochs)


def last_row(run: Path, epochs: int) -> dict[str, float] | None:
    """The last line of a whole run's figures; None of one that is not whole."""
    try:
        with (run / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return None
    return {name: float(rows[-1][name]) for name in FIGURES} if len(rows) == epochs else None


def tasks(work: Path, common: Mapping[str, Any]) -> Iterator[Task]:
    """All runs, a whole seed before the next."""
    for seed in SEEDS:
        for mode in MODES:
            name = "".join(letter if letter.isalnum() else "-" for letter in mode.name)
            yield Task(mode, seed, common, work / f"{name}-{seed}")


def make(found: Found, todo: list[Task], processes: int) -> Iterator[Found]:
    """Make the runs; what is known after each of them."""
    started = time.monotonic()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork")) as pool:
        running = {pool.submit(run_one, task): task for task in todo}
        for done, future in enumerate(as_completed(running), start=1):
            task, row = running[future], future.result()
            if row is not None:
                found.setdefault(task.mode.name, {})[str(task.seed)] = row
            left = (time.monotonic() - started) / done * (len(todo) - done) / 60
            shown = "failed" if row is None else f"{row['val_mae']:.2f} years"
            print(
                f"{task.mode.name}, seed {task.seed}: {shown}; {done} of {len(todo)}, {left:.0f} min left", flush=True
            )
            yield found


def table(found: Found, group: str) -> list[str]:
    """Markdown rows of one group, the best first."""
    names = {mode.name: mode.name for mode in MODES if mode.group == group}
    if group == "fine-tuning":
        names["dldl"] = EVERYTHING
    columns = {shown: _columns(found[name]) for name, shown in names.items() if name in found}
    lines = ["| | MAE, years | CS@5, % | runs |", "|---|---:|---:|---:|"]
    for shown, (errors, shares) in sorted(columns.items(), key=lambda row: mean(row[1][0])):
        lines.append(f"| {shown} | {_spread(errors, 2)} | {_spread(shares, 1)} | {len(errors)} |")
    return lines


def _columns(runs: Mapping[str, Mapping[str, float]]) -> tuple[list[float], list[float]]:
    return [row["val_mae"] for row in runs.values()], [100 * row["val_cs5"] for row in runs.values()]


def _spread(values: list[float], digits: int) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"


def write(found: Found, out: Path) -> None:
    """Put the tables between the lines that mark their places in the document."""
    text = out.read_text()
    for group in ("head", "fine-tuning"):
        start, end = f"<!-- {group} -->\n", f"<!-- end of {group} -->"
        before, rest = text.split(start)
        text = before + start + "\n".join(table(found, group)) + "\n" + end + rest.split(end)[1]
    out.write_text(text)


def main() -> int:
    """Make what is missing, in processes of their own, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="loading processes of each")
    parser.add_argument("--faces", type=int, default=9_000, help="of the training split")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    budget = {"faces": arguments.faces, "epochs": arguments.epochs, "size": arguments.size}
    common = {
        "data__manifest": str(arguments.crops.resolve()),
        "data__workers": arguments.workers,
        "data__faces": arguments.faces,
        "optim__epochs": arguments.epochs,
        "input__size": arguments.size,
    }
    record = arguments.out.with_suffix(".json")
    found = known(record, budget)
    todo = [
        task for task in tasks(arguments.work.resolve(), common) if str(task.seed) not in found.get(task.mode.name, {})
    ]
    for runs in make(found, todo, arguments.processes):
        record.write_text(json.dumps({"budget": budget, "runs": runs}, indent=1, sort_keys=True) + "\n")
        write(runs, arguments.out)
    write(found, arguments.out)
    return 0 if all(len(found.get(mode.name, {})) == len(SEEDS) for mode in MODES) else 1


def known(record: Path, budget: Mapping[str, int]) -> Found:
    """The runs that a record holds, if they had the same budget."""
    held = json.loads(record.read_text()) if record.exists() else {}
    found: Found = held["runs"] if held.get("budget") == budget else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
