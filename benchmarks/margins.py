"""How much of the face a crop should show: the same short training on several crops of the same pictures.

    python benchmarks/margins.py UTKFACE WORK [--size 96] [--epochs 8] [--out benchmarks/margins.md]

UTKFACE is the data set as it is distributed; WORK takes crops and runs, and what is in it is used again. The recipe is
configs/utkface-mobilenetv2.yaml; each row is one seed, without the mirrored half of the answer, so differences below a
tenth of a year say little.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from agelens.data.cut import CutSettings
from agelens.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from agelens.data.prepare import Preparation, prepare
from agelens.faces.align import CropSpec, align
from agelens.images import read_image
from agelens.train.config import InputConfig, TrainConfig, read_config
from agelens.train.run import METRICS, train

RECIPE = Path(__file__).parent.parent / "configs" / "utkface-mobilenetv2.yaml"
# template, margin that the network sees, margin of the stored crops
VIEWS = (("face", 0.0, 0.1), ("face", 0.1, 0.1), ("arcface", 1 / 6, 1 / 6))
HEADINGS = ("template", "margin", "face in the crop", "pixels beyond the picture", "validation MAE", "gender")


def stored_crops(utkface: Path, work: Path, template: str, margin: float) -> Manifest:
    """Crops of the whole data set, made once for each template and margin."""
    out = work / f"crops-{template}-{margin:.3f}"
    if not (out / MANIFEST_NAME).exists():
        prepare(Preparation("utkface", CutSettings(CropSpec(160, margin, template))), utkface, out)
    return read_manifest(out)


def settings(manifest: Manifest, size: int, epochs: int, margin: float) -> TrainConfig:
    """The recipe on another crop, and made smaller where asked to."""
    recipe = read_config(RECIPE)
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"manifest": manifest.folder}),
            "input": InputConfig(size=size, margin=margin),
            "optim": recipe.optim.model_copy(update={"epochs": epochs}),
        }
    )


def last_figures(run: Path) -> tuple[float, float]:
    """MAE and gender accuracy of a run's last epoch."""
    with (run / METRICS).open() as file:
        row = list(csv.DictReader(file))[-1]
    return float(row["val_mae"]), float(row["val_gender"])


def share_beyond(utkface: Path, manifest: Manifest, spec: CropSpec, faces: int = 300) -> float:
    """Share of the crops' pixels that lie beyond the pictures they were cut from, over some faces."""
    rows = manifest.split("all").sample(faces, random_state=0)
    shares = []
    for path, landmarks in zip(rows["source_path"], rows["landmarks"], strict=True):
        blank = np.full_like(read_image(utkface / path), 255)
        framed = cv2.copyMakeBorder(blank, 300, 300, 300, 300, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        points = np.asarray(landmarks, dtype=np.float64).reshape(5, 2) + 300
        shares.append(1 - align(np.asarray(framed, dtype=np.uint8), points, spec).mean() / 255)
    return float(np.mean(shares))


def row(utkface: Path, work: Path, view: tuple[str, float, float], size: int, epochs: int) -> tuple[str, ...]:
    """Train on one view of the faces, unless that was done, and say what came of it."""
    template, margin, stored = view
    manifest = stored_crops(utkface, work, template, stored)
    run = work / f"run-{template}-{margin:.3f}-{size}-{epochs}"
    if not (run / METRICS).exists():
        train(settings(manifest, size, epochs, margin), run, progress=False)
    spec = CropSpec(size, margin, template)
    points = spec.points()
    eyes = float(np.linalg.norm(points[0] - points[1])) / size
    mae, gender = last_figures(run)
    beyond = share_beyond(utkface, manifest, spec)
    return (template, f"{margin:.3f}", f"eyes {eyes:.0%} apart", f"{beyond:.0%}", f"{mae:.2f}", f"{gender:.1%}")


def main() -> None:
    """Train on every view, print the table and, where asked to, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utkface", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS)]
    for view in VIEWS:
        cells = row(arguments.utkface, arguments.work, view, arguments.size, arguments.epochs)
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if arguments.out is not None:
        command = f"python benchmarks/margins.py UTKFACE WORK --size {arguments.size} --epochs {arguments.epochs}"
        arguments.out.write_text(f"# Crops compared\n\nMade by `{command}`.\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
