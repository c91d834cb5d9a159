"""The classic baseline, a frozen body with one squared-error output, beside the recipe, on the same age folders.

    python benchmarks/frozen.py UTKFACE WORK [--epochs 3] [--out benchmarks/frozen.md]

UTKFACE is laid out as folders named by age, links to the pictures, as the data set of a widely copied post has them,
and prepared by the source ``age-folders``. Both networks are MobileNetV2 from the same ImageNet weights, at 96
pixels, over the same epochs and split. WORK takes crops and runs; what is in it is used again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agelens.data.cut import CutSettings
from agelens.data.manifest import MANIFEST_NAME
from agelens.data.prepare import Preparation, prepare
from agelens.data.sources import find_source, read_source
from agelens.evaluate.report import write_report
from agelens.evaluate.reported import reported
from agelens.export import export
from agelens.faces.align import CropSpec
from agelens.train.config import changed, read_config
from agelens.train.run import BUNDLE, LAST, REPORT, train

RECIPE = Path(__file__).parent.parent / "configs" / "utkface-mobilenetv2.yaml"
BASELINE = {"head__kind": "regression", "head__loss": "mse", "finetune__freeze": "backbone"}
COMMON = {"trainer__compile": False, "gender": None}  # folders named by age tell no gender
NETWORKS: dict[str, dict[str, Any]] = {"frozen body, one output, squared error": BASELINE, "the recipe": {}}


def by_age(utkface: Path, folder: Path) -> Path:
    """UTKFace as folders named by age, each picture a link."""
    for sample in read_source(find_source("utkface"), utkface):
        place = folder / f"{sample.age:.0f}" / sample.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(sample.path.resolve())
    return folder


def measured(crops: Path, run: Path, epochs: int, changes: dict[str, Any]) -> dict[str, float]:
    """Train, unless that was done, and take the figures of the exported bundle."""
    if not (run / REPORT / "figures.json").exists():
        config = changed(read_config(RECIPE), data__manifest=str(crops), optim__epochs=epochs, **{**COMMON, **changes})
        train(config, run, progress=False, resume=(run / LAST).exists())
        done = export(run, run / BUNDLE, name=run.name)
        write_report(reported(done.predictions, done.card), done.manifest, str(done.manifest.folder), run / REPORT)
    figures: dict[str, float] = json.loads((run / REPORT / "figures.json").read_text())["all"]
    return figures


def main() -> None:
    """Prepare, train both, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utkface", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    crops = arguments.work / "crops"
    if not (crops / MANIFEST_NAME).exists():
        folders = by_age(arguments.utkface, arguments.work / "folders")
        prepare(Preparation("age-folders", CutSettings(CropSpec(160, 0.1))), folders, crops)
    lines = ["| | RMSE, years | MAE, years | CS@5 |", "|---|---:|---:|---:|"]
    for name, changes in NETWORKS.items():
        run = arguments.work / f"{'frozen' if changes else 'recipe'}-{arguments.epochs}"
        row = measured(crops, run, arguments.epochs, changes)
        lines.append(f"| {name} | {row['rmse']:.2f} | {row['mae']:.2f} | {row['cs5']:.1%} |")
        print(lines[-1], flush=True)
    command = f"python benchmarks/frozen.py UTKFACE WORK --epochs {arguments.epochs}"
    text = (
        f"# The frozen baseline\n\nMade by `{command}`: MobileNetV2 at 96 pixels, ImageNet weights, mirrored\n"
        "answers, on the validation split that `agelens prepare age-folders` makes. A widely copied post has 11.65 to\n"
        "12.85 years of RMSE for a frozen ResNet50 with one output, on other faces.\n"
    )
    arguments.out.write_text(text + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
