"""Videos: speed, memory, and how still the shown age is.

    python benchmarks/video.py PHOTOS [--record]

PHOTOS is a folder of photos with one face each, such as FairFace's loose ones; two of them make the clips: 1280 x 720
pixels, 30 frames a second, moving faces, sound. Told are the frames a second of ``agelens video CLIP OUT.mp4`` as a
whole process (decode, detect, follow, estimate, draw, encode) and of its work alone, its memory from the 500th frame to
the 5,000th, and for faces that stand still under a camera's noise the standard deviation of the shown age between
frames after the first second, beside that of single frames' answers. With ``--record`` the table is written into
benchmarks/video.md.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from agelens import AgeEstimator
from agelens.images import find_images, read_image
from agelens.video import analyze
from recording import record

Pixels = npt.NDArray[np.uint8]
PAGE = Path(__file__).with_suffix(".md")
MARKS = ("<!-- figures -->", "<!-- end of figures -->")
RATE = 30
STILL_YEARS = 0.3  # at most, of a standard deviation
SPEED_FRAMES, MEMORY_FRAMES, STILL_FRAMES = 600, 5000, 150
WAYS = {"": (), ", one of three looked at": ("--detect-every", "3"), ", lite": ("--model", "lite")}
COMMAND = [sys.executable, "-c", "from agelens.cli import main; main()", "video"]


def frames(photos: Sequence[Path], count: int, *, moving: bool) -> Iterator[Pixels]:
    """Two faces before a wall, under a camera's noise."""
    random = np.random.default_rng(0)
    wall = np.kron(random.integers(60, 200, (9, 16, 3), dtype=np.uint8), np.ones((80, 80, 1), np.uint8))
    faces = [np.asarray(Image.fromarray(read_image(photo)).resize((360, 360))) for photo in photos]
    noises = [random.normal(0, 3, wall.shape).astype(np.int8) for _ in range(16)]
    for index in range(count):
        frame = wall.copy()
        for number, face in enumerate(faces):
            right, down = (60 * np.sin(index / 20 + number), 40 * np.cos(index / 15)) if moving else (0, 0)
            x, y = 80 + 620 * number + int(right), 180 + int(down)
            frame[y : y + 360, x : x + 360] = face
        noisy = frame.astype(np.int16) + noises[int(random.integers(16))]
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def write(path: Path, pictures: Iterator[Pixels], sound_seconds: float) -> Path:
    """The frames as H.264 with a tone, as a phone would write them."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        tone: Any = out.add_stream("aac", rate=44_100)
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
        wave = (0.2 * np.sin(np.arange(int(44_100 * sound_seconds)) / 16)).astype(np.float32)
        for start in range(0, len(wave), 1024):
            part = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            part.sample_rate, part.pts = 44_100, start
            out.mux(tone.encode(part))
        out.mux(tone.encode(None))
    return path


def speed(clip: Path, out: Path, *options: str) -> tuple[float, float]:
    """Frames a second of the whole process, and of its work without its start."""
    started = time.monotonic()
    done = subprocess.run([*COMMAND, str(clip), str(out), *options], capture_output=True, text=True, check=True)
    whole = SPEED_FRAMES / (time.monotonic() - started)
    told = re.search(r"([\d.]+) frames a second", done.stderr)
    return whole, float(told[1]) if told else float("nan")


def memory(clip: Path, out: Path) -> tuple[float, float]:
    """Resident megabytes of the process at the 500th frame and at the last."""
    found: list[float] = []
    with subprocess.Popen([*COMMAND, str(clip), str(out), "--json"], stdout=subprocess.PIPE) as process:
        for number, _ in enumerate(process.stdout or (), start=1):
            if number in (500, MEMORY_FRAMES - 10):
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                found.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
    return found[0], found[1]


def stillness(photos: Sequence[Path], folder: Path) -> tuple[list[float], list[float]]:
    """Standard deviations, in years, of the shown age and of single frames' of each person after the first second."""
    shown: dict[int, list[float]] = {}
    single: dict[int, list[float]] = {}
    for place in range(0, len(photos) - 1, 2):
        clip = write(folder / "still.mp4", frames(photos[place : place + 2], STILL_FRAMES, moving=False), 5)
        for frame in analyze(clip, estimator=AgeEstimator.load(threads=1)):
            for track in frame.tracks:
                if frame.time > 1 and track.raw is not None:
                    shown.setdefault(100 * place + track.id, []).append(track.face.age)
                    single.setdefault(100 * place + track.id, []).append(track.raw.age)
    return [float(np.std(ages)) for ages in shown.values()], [float(np.std(ages)) for ages in single.values()]


def measure(photos: Sequence[Path], folder: Path) -> list[str]:
    """The rows of the table."""
    clip = write(folder / "clip.mp4", frames(photos[:2], SPEED_FRAMES, moving=True), SPEED_FRAMES / RATE)
    rows = []
    for name, options in WAYS.items():
        whole, work = zip(*[speed(clip, folder / "out.mp4", *options) for _ in range(3)], strict=True)
        rows.append(f"| 720p, two faces{name}: frames a second, work | {min(work):.1f} to {max(work):.1f} |")
        rows.append(f"| the same, whole process with its start | {min(whole):.1f} to {max(whole):.1f} |")
    shown, single = stillness(photos, folder)
    name = f"{len(shown)} still faces: deviation of the shown age, years, mean; largest"
    rows.append(f"| {name} | {np.mean(shown):.3f}; {max(shown):.3f} |")
    rows.append(f"| the same of single frames | {np.mean(single):.3f}; {max(single):.3f} |")
    restless = sum(one > STILL_YEARS for one in shown)
    rows.append(f"| still faces whose shown age deviates by more than {STILL_YEARS} years | {restless} |")
    long = write(folder / "long.mp4", frames(photos[:2], MEMORY_FRAMES, moving=True), MEMORY_FRAMES / RATE)
    early, late = memory(long, folder / "out.mp4")
    rows.append(f"| 5,000 frames: MB at the 500th; at the last | {early:.0f}; {late:.0f} |")
    return rows


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    photos = sorted(find_images([given.photos]))[::8]
    photos = photos[: len(photos) // 2 * 2]
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(photos, Path(folder))
    table = "\n".join(["| | |", "|---|---:|", *rows])
    print(table)
    if given.record:
        record(PAGE, MARKS, table)


if __name__ == "__main__":
    main()
