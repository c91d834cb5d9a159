"""The face detectors, each on the same photos.

    python benchmarks/detectors.py PHOTOS [--limit N] [--record]

PHOTOS is a folder of photos of faces. They are shown as they are, and in montages of twelve on 1280 x 960 pixels. A
row tells the pictures in which a face was found, all faces, and the median time of a picture, detection alone. The
last two columns are about the main face: how often it lies where yunet's does, by an overlap (intersection over union)
of 0.4 and more, of the photos where both find one; and there the median distance of their landmarks, as a share of the
width of yunet's box. With ``--record`` the table is written into benchmarks/detectors.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from agelens.faces.detector import Detection, main_face
from agelens.faces.detectors import DETECTORS, open_detector
from agelens.images import find_images, read_image
from recording import record

Pixels = npt.NDArray[np.uint8]
PAGE = Path(__file__).with_suffix(".md")
MARKS = ("<!-- detectors -->", "<!-- end of detectors -->")
COLUMNS, ROWS, SIDE = 4, 3, 320  # of a montage
SAME = 0.4
HEAD = (
    "| detector | pictures | found in | faces | median ms | main face where yunet's is | landmarks apart |",
    "|---|---|---:|---:|---:|---:|---:|",
)


def montages(photos: Sequence[Pixels]) -> list[Pixels]:
    """Twelve photos each, on a grid, squeezed into squares of 320 pixels; those left over are left out."""
    small = [np.asarray(cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8) for photo in photos]
    each = COLUMNS * ROWS
    grids = [np.array(small[start : start + each]) for start in range(0, len(small) - each + 1, each)]
    return [
        grid.reshape(ROWS, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2).reshape(ROWS * SIDE, COLUMNS * SIDE, 3)
        for grid in grids
    ]


def detect_all(name: str, pictures: Sequence[Pixels]) -> tuple[list[list[Detection]], float]:
    """The faces of each picture, and the median milliseconds; the first picture is shown twice, once for warmth."""
    detector = open_detector(name)
    detector.detect(pictures[0])
    found, times = [], []
    for picture in pictures:
        start = time.perf_counter()
        found.append(detector.detect(picture))
        times.append(1000 * (time.perf_counter() - start))
    return found, statistics.median(times)


def overlap(one: Detection, other: Detection) -> float:
    """Intersection over union of two boxes."""
    x1, y1 = np.maximum(one.box[:2], other.box[:2])
    x2, y2 = np.minimum(one.box[2:], other.box[2:])
    common = max(0.0, x2 - x1) * max(0.0, y2 - y1)
    return float(common / (one.area + other.area - common))


def agreement(found: Sequence[list[Detection]], base: Sequence[list[Detection]], pictures: Sequence[Pixels]) -> str:
    """Two cells: how often the main faces are the same, and how far their landmarks are apart."""
    pairs = []
    for faces, others, picture in zip(found, base, pictures, strict=True):
        height, width = picture.shape[:2]
        one, other = main_face(faces, width, height), main_face(others, width, height)
        if one and other:
            pairs.append((one, other))
    same = [(one, other) for one, other in pairs if overlap(one, other) >= SAME]
    if not same:
        return f"0 of {len(pairs)} | –"
    apart = [
        np.linalg.norm(one.landmarks - other.landmarks, axis=1).mean() / (other.box[2] - other.box[0])
        for one, other in same
    ]
    return f"{len(same)} of {len(pairs)} | {statistics.median(apart):.1%}"


def rows(kind: str, pictures: Sequence[Pixels], *, one_face: bool) -> list[str]:
    """A row for each detector."""
    lines, base = [], None
    for name in DETECTORS:
        found, milliseconds = detect_all(name, pictures)
        base = base or found
        compared = "– | –" if base is found or not one_face else agreement(found, base, pictures)
        some = sum(map(bool, found))
        faces = sum(map(len, found))
        lines.append(f"| {name} | {kind} | {some} of {len(pictures)} | {faces} | {milliseconds:.1f} | {compared} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Compare the detectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, help="the first so many photos only")
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    photos = [read_image(path) for path in list(find_images([arguments.photos]))[: arguments.limit]]
    print("\n".join(HEAD))
    lines = rows(f"{len(photos)} photos", photos, one_face=True)
    grids = montages(photos)
    if grids:
        lines += rows(f"{len(grids)} montages of {COLUMNS * ROWS}", grids, one_face=False)
    if arguments.record:
        record(PAGE, MARKS, "\n".join([*HEAD, *lines]))


if __name__ == "__main__":
    main()
