"""Networks on vectors, cross-validated: the published tasks on UTKFace, and 25 trainings together against one by one.

    agelens split vectors/utkface-sface --folds 5 --out vectors/utkface-folds
    python benchmarks/crossval.py vectors/utkface-folds vectors/fairface-sface WORK [--record]

``vectors/`` are what ``agelens embed`` wrote of what ``agelens prepare`` made of UTKFace and FairFace; WORK takes the
cross-validations, which go on where they were cut off. Five folds with five seeds; pre-training is on FairFace. The
times are those of ``crossvalidate`` from reading to the written figures, from scratch, of few epochs, together and one
by one in turns; the figures of both are compared. With ``--record`` all goes into benchmarks/crossval.md.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from agelens.crossval import PARTS, CrossvalPlan
from agelens.embed.config import MlpConfig, VectorsConfig
from agelens.embed.crossval import crossvalidate
from agelens.files import write_text
from agelens.train.reading import changed

PAGE: Final = Path(__file__).with_suffix(".md")
PLAN: Final = CrossvalPlan(seeds=5)
BANDS: Final = [[0, 2], [4, 6], [8, 12], [15, 20], [25, 32], [38, 43], [48, 53], [60, 100]]
TASKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "eight bands": {"head": {"kind": "ranges", "bands": BANDS}, "keep": "accuracy"},
    "101 years": {"head": {"kind": "dldl"}, "keep": "mae"},
    "gender": {"head": None, "gender": {"weight": 1.0}, "keep": "gender"},
}
SHOWN: Final = {"accuracy": 100, "relaxed_accuracy": 100, "mae": 1, "gender": 100}
EPOCHS: Final = 20
TIMED_EPOCHS: Final = 6


def config_of(task: str, vectors: Path, first: Path | None, epochs: int) -> MlpConfig:
    """A task's configuration; pre-trained on ``first`` too where that is given."""
    plain = MlpConfig(data=VectorsConfig(manifest=vectors))
    config = changed(plain, **TASKS[task], mlp__dropout=0.3, optim__epochs=epochs)
    if first is None:
        return config
    head = None if config.head is None else {"kind": "dldl"}
    return changed(config, pretrain={"manifest": str(first), "head": head, "epochs": 10})


def rows_of(task: str, result: Mapping[str, Any]) -> list[str]:
    """A line for each variant and part."""
    lines = []
    for variant, parts in result["summary"].items():
        for part in PARTS:
            cells = [f"{parts[part]['loss']['mean']:.3f} ± {parts[part]['loss']['std']:.3f}"]
            for name, scale in SHOWN.items():
                one = parts[part].get(name)
                unit = " %" if scale == 100 else ""
                cells.append("" if one is None else f"{scale * one['mean']:.2f} ± {scale * one['std']:.2f}{unit}")
            lines.append("| " + " | ".join([task, variant, part, *cells]) + " |")
    return lines


def timed(task: str, vectors: Path, precision: str) -> str:
    """Seconds of all at once and one by one, and how far their figures differ."""
    config = changed(config_of(task, vectors, None, TIMED_EPOCHS), precision=precision)
    seconds, results = [], []
    for together in (25, 1):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            results.append(crossvalidate(config, PLAN._replace(together=together), Path(folder) / "out"))
            seconds.append(time.perf_counter() - start)
    name = "gender" if config.head is None else "accuracy"
    figures = [[one["figures"]["test"][name] for one in result["runs"]] for result in results]
    apart = 100 * float(np.abs(np.subtract(*figures)).max())
    ratio = seconds[1] / seconds[0]
    return f"| {task} | {precision} | {seconds[0]:.1f} s | {seconds[1]:.1f} s | {ratio:.1f} | {apart:.2f} points |"


def main() -> None:
    """Cross-validate, time, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("first", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="begin the cross-validations anew")
    parser.add_argument("--untimed", action="store_true", help="the figures alone")
    given = parser.parse_args()
    if given.fresh:
        shutil.rmtree(given.work, ignore_errors=True)
    if not given.untimed:
        times = [
            "| task | precision | 25 together | one by one | times as fast | largest difference |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for precision in ("float32", "bf16"):
            for task in TASKS:
                times.append(timed(task, given.vectors, precision))
                print(times[-1], flush=True)
        record("times", times, given.record)
    figures = ["| task | trained | faces | loss | accuracy | relaxed | MAE | gender |", "|---|---|---|" + "---:|" * 5]
    for task in TASKS:
        config = config_of(task, given.vectors, given.first, EPOCHS)
        figures += rows_of(task, crossvalidate(config, PLAN, given.work / task.replace(" ", "-")))
        print("\n".join(figures[-6:]), flush=True)
    record("figures", figures, given.record)


def record(name: str, lines: list[str], wanted: bool) -> None:
    """Put a table into its place on the page."""
    if wanted:
        before, rest = PAGE.read_text(encoding="utf-8").split(f"<!-- {name} -->")
        _, after = rest.split(f"<!-- end of {name} -->")
        write_text(PAGE, before + f"<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- end of {name} -->" + after)


if __name__ == "__main__":
    main()
