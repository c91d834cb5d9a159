"""How fast ``agelens prepare`` is, how much memory it takes, and whether it survives being killed.

    python benchmarks/prepare.py speed UTKFACE            2,000 and 20,000 pictures: images a second, peak memory
    python benchmarks/prepare.py kill UTKFACE             ten kills at random points, then the rest: the same bytes?
    python benchmarks/prepare.py packing CROPS            the crops of a manifest in one pack, and as a file each

Each prints its figures and, with --record, writes them into benchmarks/prepare.json. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from agelens.data.crops import PACK_NAME, PackWriter, read_bytes
from agelens.data.journal import JOURNAL_NAME
from agelens.data.manifest import MANIFEST_NAME, read_manifest
from agelens.data.sources.folders import pictures
from agelens.files import atomic_path
from agelens.images import read_image

RECORD = Path(__file__).with_suffix(".json")
KILLS = 10


def command(folder: Path, out: Path) -> list[str]:
    """The preparation of a folder by two threads."""
    return [
        str(Path(sys.executable).with_name("agelens")),
        "prepare",
        "utkface",
        str(folder),
        str(out),
        "--workers",
        "2",
    ]


def some(utkface: Path, count: int, folder: Path) -> Path:
    """A folder with links to ``count`` pictures of UTKFace, spread over all ages."""
    folder.mkdir()
    files = list(pictures(utkface))
    for number in range(count):
        file = files[number * len(files) // count]
        (folder / file.name).symlink_to(file.resolve())
    return folder


def run(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds and the peak memory in MB of a command that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def speed(utkface: Path) -> dict[str, Any]:
    """Images a second and peak memory of whole commands, at two sizes of the data set."""
    figures = {}
    for count in (2_000, 20_000):
        with tempfile.TemporaryDirectory() as work:
            folder = some(utkface, count, Path(work) / "pictures")
            seconds, memory = run(command(folder, Path(work) / "out"))
        figures[str(count)] = {"images_per_second": round(count / seconds, 1), "peak_mb": round(memory)}
    return figures


def contents(out: Path) -> dict[str, str]:
    """What a preparation wrote, by file."""
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (MANIFEST_NAME, PACK_NAME)}


def rows_done(out: Path) -> int:
    """Samples that an unfinished preparation has done."""
    journal = out / JOURNAL_NAME
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


def kill(utkface: Path, count: int = 3_000) -> dict[str, Any]:
    """Kill a preparation ten times at random points, let it finish, and compare with one that was let alone."""
    draw = random.Random(0)  # noqa: S311
    done_at = []
    with tempfile.TemporaryDirectory() as work:
        folder = some(utkface, count, Path(work) / "pictures")
        whole, killed = Path(work) / "whole", Path(work) / "killed"
        seconds, _ = run(command(folder, whole))
        while len(done_at) < KILLS:
            process = subprocess.Popen(command(folder, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            before = rows_done(killed)
            while rows_done(killed) == before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 1.4 * seconds / KILLS))
            process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                sys.exit("the preparation ended before it was killed ten times; use more pictures")
            done_at.append(rows_done(killed))
        run(command(folder, killed))
        same = contents(whole) == contents(killed)
    return {"pictures": count, "done_at_each_kill": done_at, "same_bytes": same}


def timed(work: Callable[[], object]) -> float:
    """Seconds that a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def packing(crops: Path) -> dict[str, Any]:
    """Milliseconds a crop to write, and to read and decode in random order: one pack against a file each."""
    manifest = read_manifest(crops)
    rows = manifest.split("all")
    places = list(rows[["path", "offset", "length"]].itertuples(index=False, name=None))
    data = [read_bytes(manifest.folder, *place) for place in places]
    order = random.Random(0).sample(range(len(data)), len(data))  # noqa: S311
    with tempfile.TemporaryDirectory() as work:
        files = [Path(work) / f"{number // 1000:03d}" / f"{number:06d}.jpg" for number in range(len(data))]

        def write_files() -> None:
            for file, jpeg in zip(files, data, strict=True):
                with atomic_path(file) as temporary:
                    temporary.write_bytes(jpeg)

        def write_pack() -> None:
            with closing(PackWriter(Path(work) / PACK_NAME)) as pack:
                for jpeg in data:
                    pack.append(jpeg)

        def read_files() -> None:
            for number in order:
                read_image(files[number].read_bytes())

        def read_pack() -> None:
            for number in order:
                read_image(read_bytes(manifest.folder, *places[number]))

        steps = {"write_files": write_files, "write_pack": write_pack, "read_files": read_files, "read_pack": read_pack}
        return {
            "crops": len(data),
            **{f"{name}_ms": round(timed(step) / len(data) * 1e3, 4) for name, step in steps.items()},
        }


def main() -> int:
    """Measure one thing, print it and, where asked to, record it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "kill", "packing"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    figures = {"speed": speed, "kill": kill, "packing": packing}[arguments.what](arguments.folder)
    print(json.dumps(figures, indent=1))
    if arguments.record:
        recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        RECORD.write_text(json.dumps(recorded | {arguments.what: figures}, indent=1) + "\n")
    return 0 if figures.get("same_bytes", True) else 1


if __name__ == "__main__":
    sys.exit(main())
