"""The built-in models on 500 real faces must be as good as when they were recorded.

    AGELENS_DATA=FOLDER python benchmarks/check_builtin.py [--record]

FOLDER holds UTKFace/. The faces, listed in check_builtin.json, are from the validation split: none was trained on. They
go the whole way that a user's photos go, from the file to the age. ``--record`` writes the figures instead of checking
them; ``--choose MANIFEST`` draws the list anew from a manifest's validation split and records.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path

import numpy as np

from agelens import AgeEstimator
from agelens.bundle import BUILTIN
from agelens.data.sources import find_source, read_source
from agelens.evaluate.metrics import accuracy, mae

RECORD = Path(__file__).with_suffix(".json")
FACES = 500
TOLERANCE = 0.1  # years


def choose(manifest: Path) -> list[str]:
    """File names of validation faces, drawn at random with a fixed seed."""
    from agelens.data.manifest import read_manifest

    names = sorted(Path(path).name for path in read_manifest(manifest).split("val")["source_path"])
    return sorted(random.Random(0).sample(names, FACES))  # noqa: S311


def measure(model: str, folder: Path, names: list[str]) -> dict[str, float]:
    """Mean absolute error in years and gender accuracy of a model over the named files of UTKFace."""
    samples = {sample.path.name: sample for sample in read_source(find_source("utkface"), folder)}
    chosen = [samples[name] for name in names]
    paths = [one.path for one in chosen]
    predicted = [faces[0] for _, faces in AgeEstimator.load(model).predict_many(paths, cropped=True)]
    true = np.array([sample.age for sample in chosen])
    genders = np.array([sample.gender for sample in chosen])
    return {
        "mae": round(mae(np.array([face.age for face in predicted]), true), 3),
        "gender_accuracy": round(accuracy(np.array([face.gender for face in predicted]), genders), 4),
    }


def main() -> int:
    """Check or record; the exit status is 1 when the model has become worse, or better than was recorded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--choose", type=Path, metavar="MANIFEST")
    arguments = parser.parse_args()
    folder = Path(os.environ["AGELENS_DATA"]) / "UTKFace"
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    names = choose(arguments.choose) if arguments.choose else record["faces"]
    figures = {model: measure(model, folder, names) for model in BUILTIN}
    recording = arguments.record or arguments.choose is not None
    if recording:
        RECORD.write_text(json.dumps({"figures": figures, "faces": names}, indent=1) + "\n")
    recorded = figures if recording else record["figures"]
    kept = {
        model: model in recorded and abs(figures[model]["mae"] - recorded[model]["mae"]) <= TOLERANCE
        for model in figures
    }
    for model, held in kept.items():
        told = f"measured {figures[model]}, recorded {recorded.get(model)}: {'kept' if held else 'NOT KEPT'}"
        print(f"{model}, {len(names)} faces: {told}")
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
