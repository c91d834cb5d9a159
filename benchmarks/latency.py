"""How long agelens takes: a cold command, the import, and a warm photo of four faces.

    python benchmarks/latency.py [--out benchmarks/latency.json]

The photos are made of the portrait in examples/. Each figure is the median of several runs, with the fastest beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from agelens import AgeEstimator

PORTRAIT = Path(__file__).parent.parent / "examples" / "eileen-collins.jpg"


def timed(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Milliseconds of ``work`` over some runs, after one that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return {"median_ms": round(statistics.median(times), 1), "fastest_ms": round(min(times), 1)}


def one_face(folder: Path) -> Path:
    """A photo of 4000 x 3000 pixels, 12 megapixels, with one face."""
    return _montage(folder / "12-megapixel.jpg", (4000, 3000), [(500, 0, 3000)])


def four_faces(folder: Path) -> Path:
    """A photo of 1920 x 1080 pixels with four faces."""
    return _montage(folder / "four-faces.jpg", (1920, 1080), [(480 * place, 300, 480) for place in range(4)])


def _montage(path: Path, size: tuple[int, int], places: list[tuple[int, int, int]]) -> Path:
    canvas = Image.new("RGB", size, (90, 110, 130))
    with Image.open(PORTRAIT) as portrait:
        for x, y, side in places:
            canvas.paste(portrait.resize((side, side), Image.Resampling.LANCZOS), (x, y))
    canvas.save(path, quality=92)
    return path


def command(*arguments: str) -> None:
    """Run a command to its end, its output thrown away."""
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)


def measure() -> dict[str, object]:
    """Every figure, with the machine that it was measured on."""
    with tempfile.TemporaryDirectory() as name:
        large, group = one_face(Path(name)), four_faces(Path(name))
        agelens = str(Path(sys.executable).with_name("agelens"))
        estimator = AgeEstimator.load()
        faces = estimator.predict(group)
        if len(faces) != 4:
            raise SystemExit(f"the photo of four faces shows {len(faces)}")
        empty = timed(lambda: command(sys.executable, "-c", "pass"), 9)
        imported = timed(lambda: command(sys.executable, "-c", "import agelens"), 9)
        cold = timed(lambda: command(agelens, "predict", str(large)), 9)
        return {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "agelens predict, 12 megapixels, cold, whole process": cold,
            "python starting and ending": empty,
            "python starting, import agelens, ending": imported,
            "warm, 1920 x 1080 JPEG file with four faces": timed(lambda: estimator.predict(group), 30),
        }


def main() -> None:
    """Measure, print and, where asked to, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(measure(), indent=1) + "\n"
    print(text, end="")
    if arguments.out is not None:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
