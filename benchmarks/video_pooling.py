"""What pooling many frames of a face is worth: error, coverage and width of intervals, by ways of weighing frames.

    python benchmarks/video_pooling.py CROPS [MODEL] [--frames 24] [--faces 600] [--record]

CROPS is what ``agelens prepare utkface`` wrote; the faces are of its validation split, which no built-in model was
trained on. Of each face frames are made as a camera would give them: moved, turned, blurred, darkened, compressed and
made small, more or less. A row tells the mean error, the share of true ages within the 90 % intervals and their width,
of single frames and of all frames of a face pooled. With ``--record`` the table is written into benchmarks/video.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.bundle import DEFAULT, Bundle
from agelens.data.manifest import Manifest, read_manifest
from agelens.faces.align import CropSpec, recrop, recrop_matrix, warp
from agelens.results import Face
from agelens.video.quality import LOOKED_AT, sharpness
from agelens.video.running_age import RunningAge
from recording import record

Pixels = npt.NDArray[np.uint8]
PAGE = Path(__file__).with_name("video.md")
MARKS = ("<!-- pooling -->", "<!-- end of pooling -->")
APART = 0.25  # seconds between the frames


def frame_like(crop: Pixels, made: CropSpec, wanted: CropSpec, random: np.random.Generator) -> Pixels:
    """The crop that a camera's frame would give."""
    crop = degraded(crop, random)
    turn, scale = random.normal(0, 4), 1 + random.normal(0, 0.04)
    middle = (made.size / 2, made.size / 2)
    moved = cv2.getRotationMatrix2D(middle, turn, scale) + np.array([[0, 0, 1], [0, 0, 1]]) * random.normal(
        0, 0.02 * made.size, (2, 1)
    )
    matrix = recrop_matrix(made, wanted) @ np.vstack([moved, [0, 0, 1]])
    return warp(crop, matrix, wanted.size)


def degraded(crop: Pixels, random: np.random.Generator) -> Pixels:
    """Blurred, darkened, small, noisy and compressed, mostly a little."""
    crop = cv2.GaussianBlur(crop, (0, 0), max(0.05, abs(random.normal(0, 1.5))))
    small = max(24, round(len(crop) * random.uniform(0.25, 1)))
    crop = cv2.resize(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), crop.shape[1::-1])
    light = crop.astype(np.float32) * random.uniform(0.6, 1.3) + random.normal(0, 4, crop.shape)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 95))]
    return cv2.imdecode(cv2.imencode(".jpg", np.clip(light, 0, 255).astype(np.uint8), quality)[1], cv2.IMREAD_COLOR)


def equal(_face: Face, _quality: float) -> float:
    """Every frame alike, in the precision too."""
    return float(ages.variance(_face.age_probs))


def by_quality(face: Face, quality: float) -> float:
    """By the frame's sharpness alone."""
    return quality * float(ages.variance(face.age_probs))


def by_precision(_face: Face, _quality: float) -> float:
    """By the precision of the frame's distribution alone."""
    return 1.0


def by_both(_face: Face, quality: float) -> float:
    """By both: as agelens does."""
    return quality


WAYS: dict[str, Callable[[Face, float], float]] = {
    "alike": equal,
    "by sharpness": by_quality,
    "by precision": by_precision,
    "by both": by_both,
}


def faces_of(
    manifest: Manifest, bundle: Bundle, frames: int, faces: int
) -> Iterator[tuple[float, list[Face], list[float]]]:
    """Each face's true age, and what the model says of its frames, and how sharp these are."""
    random = np.random.default_rng(0)
    mass = bundle.card.interval_mass(0.9)
    whole = CropSpec(bundle.card.crop.size, 0.0)
    for _, row in manifest.split("val").dropna(subset=["age"]).sample(faces, random_state=0).iterrows():
        crop = manifest.read_crop(row)
        seen = np.stack([frame_like(crop, manifest.crop, bundle.card.crop, random) for _ in range(frames)])
        probs = bundle.run(seen).age_probs
        intervals = ages.interval(probs, mass)
        answers = [_face(one, ends) for one, ends in zip(probs, intervals, strict=True)]
        yield float(row["age"]), answers, [sharpness(recrop(one, whole, LOOKED_AT)) for one in seen]


def _face(probs: npt.NDArray[np.float32], ends: npt.NDArray[Any]) -> Face:
    interval = (float(ends[0]), float(ends[1]))
    return Face(float(ages.expected_age(probs)), interval, 0.9, None, None, (0, 0, 9, 9), 0.9, None, probs)


def pooled(faces: list[Face], qualities: list[float], way: Callable[[Face, float], float]) -> npt.NDArray[np.float32]:
    """What all frames say."""
    running = RunningAge()
    for number, (face, quality) in enumerate(zip(faces, qualities, strict=True)):
        running.add(face, max(way(face, quality), 1e-3), number * APART)
    return running.age_probs()


def line(name: str, true: npt.NDArray[Any], probs: npt.NDArray[Any], mass: Any) -> str:
    """A row of the table."""
    off = ages.expected_age(probs) - true
    low, high = ages.interval(probs, mass).T
    held = float(((low <= true) & (true <= high)).mean())
    young, old = true < 10, true >= 60
    cells = [np.abs(off).mean(), np.abs(off[young]).mean(), np.abs(off[old]).mean(), off.mean()]
    numbers = " | ".join(f"{one:.2f}" for one in cells)
    return f"| {name} | {numbers} | {held:.1%} | {(high - low).mean():.1f} |"


def main() -> None:
    """Make the frames, pool them in every way, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("model", nargs="?", default=DEFAULT)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--faces", type=int, default=600)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    bundle = Bundle.load(given.model)
    found = list(faces_of(read_manifest(given.crops), bundle, given.frames, given.faces))
    true = np.array([age for age, _, _ in found])
    mass = bundle.card.interval_mass(0.9)
    singles = np.stack([face.age_probs for _, faces, _ in found for face in faces])
    lines = [line("single frames", np.repeat(true, given.frames), singles, mass)]
    for name, way in WAYS.items():
        probs = np.stack([pooled(faces, qualities, way) for _, faces, qualities in found])
        lines.append(line(f"pooled {name}", true, probs, mass))
    head = ["| frames | MAE | 0 to 9 | 60 and over | bias | within 90 % intervals | width |", "|---|" + "---:|" * 6]
    table = "\n".join([*head, *lines])
    print(table)
    if given.record:
        record(PAGE, MARKS, table)


if __name__ == "__main__":
    main()
