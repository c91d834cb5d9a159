"""Every age head and every way of fine-tuning, side by side: one backbone, one schedule, one budget, three seeds.

    python benchmarks/modes.py CROPS WORK [--processes 2] [--out benchmarks/modes.md]

CROPS is what ``agelens prepare utkface`` wrote; WORK takes the runs, and those in it that are whole are not made
again, so that the work can be cut off and taken up. Each process works with one thread: two small networks beside
each other are faster than one on two cores. Results go to modes.json beside ``--out`` as they come, and the table is
made of that.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

RECIPE = Path(__file__).parent.parent / "configs" / "utkface-mobilenetv2.yaml"
SEEDS = (0, 1, 2)
FACES, EPOCHS, SIZE = 2_500, 4, 64
# Weight decay, augmentation, averaging over some tens of steps, one cycle: the same for all.
BUDGET: Mapping[str, Any] = {
    "data__faces": FACES,
    "data__batch_size": 32,
    "data__workers": 0,
    "data__augment": "light",
    "input__size": SIZE,
    "gender": None,
    "optim__epochs": EPOCHS,
    "optim__ema_decay": 0.97,
    "schedule__kind": "one-cycle",
}


class Mode(NamedTuple):
    """One row: its group, what it is called, and what is different in its configuration."""

    group: str
    name: str
    changes: Mapping[str, Any]


def _head(name: str, kind: str, **changes: Any) -> Mode:
    return Mode("head", name, {"head__kind": kind} | {f"head__{key}": value for key, value in changes.items()})


def _way(name: str, **changes: Any) -> Mode:
    return Mode("fine-tuning", name, changes)


MODES = (
    _head("regression, MSE", "regression", loss="mse"),
    _head("regression, MAE", "regression", loss="mae"),
    _head("regression, RMSE", "regression", loss="rmse"),
    _head("regression, Huber", "regression", loss="huber"),
    _head("histogram, earth mover's distance", "histogram", loss="emd"),
    _head("histogram, cross-entropy", "histogram", loss="cross-entropy"),
    _head("dldl", "dldl"),
    _head("mean-variance", "mean-variance"),
    _head("ranges of five years", "ranges"),
    _head("coral", "coral"),
    _head("corn", "corn"),
    _way("random weights, everything trained", backbone__weights=None),
    _way("head only", finetune__freeze="backbone"),
    _way("head, then the last stage", finetune__freeze="backbone", finetune__unfreeze="last"),
    _way("stage by stage", finetune__freeze="backbone", finetune__unfreeze="progressive"),
    _way("everything, lower rates in early stages", finetune__layer_decay=0.7),
)
# Everything trained from ImageNet weights by the dldl head is a row of both groups.
EVERYTHING = "everything"


def run_one(crops: Path, work: Path, number: int, seed: int) -> None:
    """Train one mode with one seed, or take it up where it was cut off."""
    import torch

    from agelens.train.config import changed, read_config
    from agelens.train.run import LAST, train

    torch.set_num_threads(1)
    mode = MODES[number]
    config = changed(read_config(RECIPE), data__manifest=str(crops), seed=seed, **{**BUDGET, **mode.changes})
    out = work / f"{number:02}-{seed}"
    train(config, out, progress=False, resume=(out / LAST).exists())


def last_row(run: Path) -> dict[str, float] | None:
    """The last line of a whole run's figures; None of one that is not."""
    try:
        with (run / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return None
    return {name: float(value) for name, value in rows[-1].items() if value} if len(rows) == EPOCHS else None


def collect(work: Path, known: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """MAE of every run that is whole, by mode and seed, beside those that were known."""
    found = {mode.name: dict(known.get(mode.name, {})) for mode in MODES}
    for number, mode in enumerate(MODES):
        for seed in SEEDS:
            row = last_row(work / f"{number:02}-{seed}")
            if row is not None:
                found[mode.name][str(seed)] = row["val_mae"]
    return found


def table(found: dict[str, dict[str, float]], group: str) -> list[str]:
    """Markdown rows of one group, the best first."""
    names = {mode.name: mode.name for mode in MODES if mode.group == group}
    if group == "fine-tuning":
        names["dldl"] = EVERYTHING
    rows = sorted(
        (mean(found[name].values()), shown, list(found[name].values())) for name, shown in names.items() if found[name]
    )
    lines = ["| | MAE, years | runs |", "|---|---:|---:|"]
    for average, shown, values in rows:
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        lines.append(f"| {shown} | {average:.2f}{spread} | {len(values)} |")
    return lines


def main() -> int:
    """Make what is missing, in processes of their own, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--one", nargs=2, type=int, metavar=("MODE", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    crops, work = arguments.crops.resolve(), arguments.work.resolve()
    if arguments.one:
        run_one(crops, work, *arguments.one)
        return 0
    record = arguments.out.with_suffix(".json")
    known = json.loads(record.read_text()) if record.exists() else {}

    def make(place: tuple[int, int]) -> None:
        number, seed = place
        if str(seed) not in collect(work, known)[MODES[number].name]:
            command = [sys.executable, __file__, str(crops), str(work), "--one", str(number), str(seed)]
            done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
            row = last_row(work / f"{number:02}-{seed}")
            print(
                f"{MODES[number].name}, seed {seed}: {row['val_mae'] if row else f'failed ({done.returncode})'}",
                flush=True,
            )
        record.write_text(json.dumps(collect(work, known), indent=1) + "\n")

    with ThreadPoolExecutor(arguments.processes) as pool:
        list(pool.map(make, [(number, seed) for seed in SEEDS for number in range(len(MODES))]))
    write(collect(work, known), arguments.out)
    return 0


def write(found: dict[str, dict[str, float]], out: Path) -> None:
    """Put the tables between the lines that mark their places in the document."""
    text = out.read_text()
    for group in ("head", "fine-tuning"):
        start, end = f"<!-- {group} -->\n", f"<!-- end of {group} -->"
        before, rest = text.split(start)
        text = before + start + "\n".join(table(found, group)) + "\n" + end + rest.split(end)[1]
    out.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
