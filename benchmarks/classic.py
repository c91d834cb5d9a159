"""The recipes of well-known small projects beside agelens-base, through the page that compares models.

    python benchmarks/classic.py CROPS WORK [--epochs 3] [--record]

CROPS is what ``agelens prepare utkface`` wrote; WORK takes the runs, and ``WORK/report`` the page. What is whole is not
trained again, and what was cut off is taken up. Each recipe is taken for what it learns and from what: the body, what
of it is trained, the head and its loss. Crops, split, variation, schedule and averaging are ours for all, which is more
than those projects have. With ``--record`` the table goes into benchmarks/classic.md. The starts are those of
models/screen.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agelens.bundle import DEFAULT, Bundle
from agelens.data.manifest import read_manifest
from agelens.evaluate.comparison import compare
from agelens.evaluate.comparison_report import write_comparison
from agelens.evaluate.evaluation import predict_split
from agelens.evaluate.figure_texts import against_cells, cell, interval_text
from agelens.evaluate.reported import LEVEL, Reported, reported
from agelens.export import export
from agelens.train.config import changed, read_config
from agelens.train.run import BUNDLE, LAST, train
from recording import record

RECIPE = Path(__file__).parent.parent / "configs" / "utkface-mobilenetv2.yaml"
PAGE = Path(__file__).with_suffix(".md")
MARKS = ("<!-- recipes -->", "<!-- end of recipes -->")
COMMON: Mapping[str, Any] = {"trainer__compile": False, "gender": None, "data__augment": "light"}
ONE_OUTPUT: Mapping[str, Any] = {"head__kind": "regression", "head__loss": "mse"}
# a head alone needs larger steps: at the others' 0.001 it has not learnt in three epochs what features tell
FROZEN: Mapping[str, Any] = {**ONE_OUTPUT, "finetune__freeze": "backbone", "optim__lr": 0.03}
# dlib's network, whose layers are a ResNet's of 27 in all; ImageNet's ResNet18 and 50 come from a hub only
RESNET: Mapping[str, Any] = {
    "backbone__name": "resnet18",
    "backbone__settings": {"layers": [3, 4, 3, 3], "channels": [32, 64, 128, 256], "avg_down": True},
    "backbone__weights": "runs/start/dlib-faces.safetensors",
}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "frozen MobileNetV2, one output, squared error": FROZEN,
    "frozen ResNet that knows faces, one output, squared error": {**FROZEN, **RESNET},
    "MobileNetV2, one output within 0 to 1, absolute error": {**ONE_OUTPUT, "head__loss": "mae"},
    "MobileNetV2, 17 ranges, cross-entropy": {"head__kind": "ranges"},
    "MobileNetV2, histogram, earth mover's distance": {"head__kind": "histogram", "head__loss": "emd"},
}
SHOWN = ("mae", "rmse", "cs5", "crps", "coverage", "interval_width")


def trained(name: str, crops: Path, run: Path, epochs: int) -> Path:
    """The bundle of a recipe; trained first where that is still to be done."""
    bundle = run / BUNDLE
    if not bundle.is_file():
        given = {"data__manifest": str(crops), "optim__epochs": epochs, **COMMON, **RECIPES[name]}
        train(changed(read_config(RECIPE), **given), run, resume=(run / LAST).is_file(), progress=False, say=print)
        export(run, bundle, name=name)
    return bundle


def table(compared: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of each recipe, and how far it is behind."""
    lines = [
        "| recipe | MAE | 95 % | RMSE | CS@5 | CRPS | coverage | width | 0–9 | 60–69 | behind base | 95 % |",
        "|---|" + "---:|" * 11,
    ]
    for name, one in compared.items():
        whole, decades = one["all"], one["decades"]
        texts = [cell(whole, figure) for figure in SHOWN]
        texts[1:1] = [interval_text(whole, "mae")]
        texts += [cell(decades[decade], "mae") for decade in ("0-9", "60-69")]
        lines.append("| " + " | ".join([name, *texts, *against_cells(one["against_first"], "mae")]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train, compare, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bundles = {DEFAULT: DEFAULT} | {
        name: str(trained(name, given.crops, given.work / f"{place}", given.epochs))
        for place, name in enumerate(RECIPES)
    }
    manifest, said = read_manifest(given.crops), dict[str, Reported]()
    for name, path in bundles.items():
        bundle = Bundle.load(path)
        said[name] = reported(predict_split(bundle, manifest, "val"), bundle.card, name)
    compared = compare({name: one.answers for name, one in said.items()}, LEVEL)
    place = str(given.crops)
    write_comparison({place: compared}, {place: said}, {place: manifest}, given.work / "report")
    lines = table(compared)
    print(lines)
    if given.record:
        record(PAGE, MARKS, lines)


if __name__ == "__main__":
    main()
