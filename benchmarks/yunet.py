"""YuNet by onnxruntime, as agelens runs it, against OpenCV's ``FaceDetectorYN``: the same faces, and how fast.

    python benchmarks/yunet.py equal PHOTOS... [--limit N] [--sides 0 100 333 1000]
    python benchmarks/yunet.py time
    python benchmarks/yunet.py memory {agelens,opencv} [--largest 4096]

``equal`` shows both each folder's first N photos, at each longer side in pixels (0: as they are), as they are and cut
to wide and tall strips, and tells where they disagree. ``time`` has both on one thread, turn by turn. ``memory`` shows
one of them 500 images of random shapes, and tells the resident memory of the process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from agelens.faces.yunet import YuNet, weights_file
from agelens.images import find_images, read_image

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float64]  # a row a face: the box's edges, the landmarks, the score

LARGEST = 4096
MIN_SIDE = 64
SAME = (0.05, 0.001)  # pixels, and score
PORTRAIT = Path(__file__).parent.parent / "examples" / "eileen-collins.jpg"


class OpenCv:
    """YuNet by OpenCV. Images are filled up to 64 pixels: of one row or column of cells it reads memory unwritten."""

    def __init__(self, score_threshold: float) -> None:
        """A network of its own."""
        self._network = cv2.FaceDetectorYN.create(str(weights_file()), "", (320, 320), score_threshold, 0.3, 5000)

    def detect(self, image: Pixels, largest: int) -> Rows:
        """Faces in an RGB image; looked for at half the size where there are none, as ``YuNet`` does."""
        found = self._detect_at(image, largest)
        return found if len(found) or max(image.shape[:2]) <= largest // 2 else self._detect_at(image, largest // 2)

    def _detect_at(self, image: Pixels, largest: int) -> Rows:
        height, width = image.shape[:2]
        small = scaled(image, min(largest, max(height, width)))
        bottom, right = (max(0, MIN_SIDE - side) for side in small.shape[:2])
        padded = cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        self._network.setInputSize(padded.shape[1::-1])
        found = self._network.detect(cv2.cvtColor(padded, cv2.COLOR_RGB2BGR))[1]
        rows = np.zeros((0, 15)) if found is None else found.astype(np.float64)
        rows[:, 2:4] += rows[:, :2]
        rows[:, :14] *= np.tile([width / small.shape[1], height / small.shape[0]], 7)
        return rows[np.lexsort((rows[:, 1], rows[:, 0]))]


def ours(detector: YuNet, image: Pixels) -> Rows:
    """The faces of agelens, as rows."""
    rows = [[*face.box, *face.landmarks.ravel(), face.score] for face in detector.detect(image)]
    return np.array(rows, np.float64).reshape(-1, 15)


def scaled(image: Pixels, side: int) -> Pixels:
    """An image with another longer side, in pixels; 0 leaves it as it is."""
    factor = side / max(image.shape[:2])
    if side in (0, max(image.shape[:2])):
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), np.uint8
    )


def views(image: Pixels) -> Iterator[Pixels]:
    """The image, its middle as a wide strip, and as a tall one."""
    height, width = image.shape[:2]
    yield image
    yield np.ascontiguousarray(image[height // 8 : -(height // 4)])
    yield np.ascontiguousarray(image[:, width // 6 : -(width // 6)])


def compare(folders: list[Path], limit: int, sides: list[int], threshold: float) -> None:
    """Print how many faces both find, and how far apart they are at most."""
    theirs, detector = OpenCv(threshold), YuNet(score_threshold=threshold, max_side=LARGEST)
    images = faces = 0
    odd: list[str] = []
    apart = np.zeros(2)
    for path in [path for folder in folders for path in sorted(find_images([folder]))[:limit]]:
        for side in sides:
            for view in views(scaled(read_image(path), side)):
                one, other = theirs.detect(view, LARGEST), ours(detector, view)
                images, faces = images + 1, faces + len(one)
                where = f"{path.name}, {view.shape[1]} x {view.shape[0]}"
                if len(one) != len(other):
                    odd.append(f"{where}: {len(one)} and {len(other)} faces, scores {one[:, 14]} and {other[:, 14]}")
                    continue
                both = np.array([np.abs(one - other)[:, part].max(initial=0) for part in (np.s_[:14], np.s_[14:])])
                apart = np.maximum(apart, both)
                if (both > SAME).any():
                    odd.append(f"{where}: {both[0]:.4f} pixels and {both[1]:.5f} of a score apart")
    print(f"threshold {threshold}, sides {sides}: {images} images, {faces} faces of OpenCV's; {len(odd)} disagreements")
    print(f"  at most {apart[0]:.4f} pixels and {apart[1]:.6f} of a score apart", *odd, sep="\n  ")


def times() -> None:
    """Print milliseconds of both, on one thread."""
    cv2.setNumThreads(1)
    theirs, detector, portrait = OpenCv(0.7), YuNet(max_side=1280), read_image(PORTRAIT)
    for width, height in ((640, 640), (1280, 720), (200, 200)):
        image = np.asarray(cv2.resize(portrait, (width, height)), np.uint8)
        works: list[Callable[[], object]] = [lambda: theirs.detect(image, 1280), lambda: detector.detect(image)]  # noqa: B023
        taken = [[_timed(work) for work in works] for _ in range(40)][5:]
        before, after = (statistics.median(one) for one in zip(*taken, strict=True))
        print(f"{width} x {height}: OpenCV {before:.1f} ms, agelens {after:.1f} ms, {before / after:.2f} times")


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def memory(which: str, largest: int) -> None:
    """Print the resident memory, in megabytes, over 500 images of random shapes."""
    theirs, detector, rng = OpenCv(0.7), YuNet(max_side=LARGEST), np.random.default_rng(0)
    seen = []
    for done in range(1, 501):
        height, width = rng.integers(1, largest + 1, 2)
        image = np.zeros((height, width, 3), np.uint8)
        _ = theirs.detect(image, LARGEST) if which == "opencv" else detector.detect(image)
        if done % 50 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen.append(pages * os.sysconf("SC_PAGE_SIZE") >> 20)
    print(f"{which}, up to {largest} pixels a side, MB after each 50 of 500 images: {seen}")


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    equal = commands.add_parser("equal")
    equal.add_argument("folders", type=Path, nargs="+", metavar="PHOTOS")
    equal.add_argument("--limit", type=int, default=500)
    equal.add_argument("--sides", type=int, nargs="+", default=[0, 100, 333, 1000])
    commands.add_parser("time")
    room = commands.add_parser("memory")
    room.add_argument("which", choices=["agelens", "opencv"])
    room.add_argument("--largest", type=int, default=LARGEST)
    arguments = parser.parse_args()
    if arguments.command == "equal":
        for threshold in (0.7, 0.3):
            compare(arguments.folders, arguments.limit, arguments.sides, threshold)
    elif arguments.command == "time":
        times()
    else:
        memory(arguments.which, arguments.largest)


if __name__ == "__main__":
    main()
