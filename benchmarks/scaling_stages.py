"""CPU time of each stage of one photo, on one core; ``scaling.py`` starts it pinned to that core.

    taskset -c 0 python benchmarks/scaling_stages.py PHOTOS [--rounds 2]

Told is JSON: means over the photos in milliseconds of CPU time, of all threads together, so that other work on the
machine counts less. The photos of 12 megapixels are small ones made large: smoother than a camera's, and quicker to
decode.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from PIL import Image

from agelens import AgeEstimator
from agelens.faces.align import align
from agelens.images import find_images, read_image
from agelens.serve.memory import give_memory_back

SIZES = {"640": (640, 640), "12 MP": (4000, 3000)}
MODELS = ("base", "lite")
BATCHES = (1, 4, 16)  # faces; four are the service's own


def jpegs(folder: Path, size: tuple[int, int], count: int) -> list[bytes]:
    """JPEG files of this size, of a folder's first photos."""
    made = []
    for path in sorted(find_images([folder]))[:count]:
        stream = io.BytesIO()
        with Image.open(path) as photo:
            photo.convert("RGB").resize(size).save(stream, format="JPEG", quality=90)
        made.append(stream.getvalue())
    return made


def timed(work: Callable[[Any], Any], items: Sequence[Any], rounds: int) -> tuple[float, list[Any]]:
    """Milliseconds of CPU time for one item, and what became of each."""
    work(items[0])
    spent, made = [], []
    for number in range(rounds * len(items)):
        began = time.process_time()
        one = work(items[number % len(items)])
        spent.append(1000 * (time.process_time() - began))
        if number < len(items):
            made.append(one)
    return fmean(spent), made


def stages(folder: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds by stage, size of photo, model and batch."""
    told: dict[str, Any] = {}
    estimators = {name: AgeEstimator.load(name, threads=1) for name in MODELS}
    base = estimators["base"]
    for name, size in SIZES.items():
        files = jpegs(folder, size, 60 if name == "640" else 12)
        decode, images = timed(read_image, files, rounds)
        detect, found = timed(base.detector.detect, images, rounds)
        pairs = [(image, faces[0]) for image, faces in zip(images, found, strict=True) if faces]
        crop, crops = timed(lambda pair: align(pair[0], pair[1].landmarks, base.bundle.card.crop), pairs, rounds)
        faces = sum(map(len, found)) / len(files)
        told[name] = {"decode": decode, "detect": detect, "crop": crop, "faces": faces}
        if name == "640":
            told["network"] = {model: _network(estimators[model], crops, rounds) for model in MODELS}
    return told


def _network(estimator: AgeEstimator, crops: Sequence[Any], rounds: int) -> dict[str, float]:
    """Milliseconds for each face; the crops are base's, for a network's time does not hang on what it sees."""
    size = estimator.bundle.card.crop.size
    fitting = [np.asarray(Image.fromarray(crop).resize((size, size))) for crop in crops]
    batches = {count: [np.stack(fitting[:count])] * 20 for count in BATCHES}
    return {str(count): timed(estimator.bundle.run, many, rounds)[0] / count for count, many in batches.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    give_memory_back()  # as a worker does: what is large comes from the system each time, which takes time too
    cv2.setNumThreads(1)
    print(json.dumps(stages(given.photos, given.rounds)))


if __name__ == "__main__":
    main()
