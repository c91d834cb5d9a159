"""How fast ``agelens embed`` is on two cores, and whether it survives being killed.

    python benchmarks/embedding.py speed CROPS            faces a second: the whole command, and its network alone
    python benchmarks/embedding.py kill CROPS             five kills at random points, then the rest: the same bytes?

CROPS is what ``agelens prepare`` wrote. Each prints its figures, beside the machine's load before, and, with --record,
writes them into benchmarks/embedding.json. Nothing else should run meanwhile.
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agelens.data.journal import JOURNAL_NAME
from agelens.data.manifest import MANIFEST_NAME, read_manifest
from agelens.data.resplit import write_elsewhere
from agelens.data.vectors import VECTORS_NAME
from agelens.embedders import open_embedder
from agelens.faces.align import realign_matrix, warp

RECORD = Path(__file__).with_suffix(".json")
WORKERS = 2
KILLS = 5
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def command(crops: Path, out: Path, embedder: str) -> list[str]:
    """The embedding of a manifest by two threads."""
    tool = str(Path(sys.executable).with_name("agelens"))
    return [tool, "embed", str(crops), str(out), "--embedder", embedder, "--workers", str(WORKERS)]


def some(crops: Path, count: int, folder: Path) -> Path:
    """A manifest of ``count`` faces, spread over all ages, with links to the crops."""
    manifest = read_manifest(crops)
    kept = manifest.split("all")
    rows = kept.iloc[np.linspace(0, len(kept) - 1, min(count, len(kept))).astype(int)].reset_index(drop=True)
    return write_elsewhere(replace(manifest, table=rows), folder)


def alone(crops: Path, embedder: str, batch: int = 64) -> float:
    """Faces a second of the network, run by two threads on crops in memory."""
    opened, manifest = open_embedder(embedder, threads=1), read_manifest(crops)
    matrix = realign_matrix(manifest.crop, opened.spec.crop)
    faces = [manifest.read_crop(row) for _, row in manifest.split("all").iterrows()]
    aligned = np.stack([warp(face, matrix, opened.spec.crop.size) for face in faces])
    with ThreadPoolExecutor(WORKERS) as pool:
        start = time.perf_counter()
        list(pool.map(opened.embed, [aligned[at : at + batch] for at in range(0, len(aligned), batch)]))
        return len(aligned) / (time.perf_counter() - start)


def speed(crops: Path, embedder: str, count: int) -> dict[str, Any]:
    """Faces a second and peak memory of the whole command, and faces a second of the network alone."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        manifest = some(crops, count, Path(work) / "crops")
        start = time.perf_counter()
        process = subprocess.Popen(command(manifest, Path(work) / "out", embedder), **QUIET)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"the embedding failed with {process.returncode}")
        network = alone(manifest, embedder)
    figures = {"command": count / seconds, "network_alone": network, "peak_mb": usage.ru_maxrss / 1024}
    return {
        "embedder": embedder,
        "faces": count,
        "load": round(load, 1),
        **{name: round(one, 1) for name, one in figures.items()},
    }


def contents(out: Path) -> dict[str, str]:
    """What an embedding wrote, by file."""
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (MANIFEST_NAME, VECTORS_NAME)}


def batches_done(out: Path) -> int:
    """Batches that an unfinished embedding has done."""
    journal = out / JOURNAL_NAME
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


def kill(crops: Path, embedder: str, count: int) -> dict[str, Any]:
    """Kill an embedding five times at random points, let it finish, and compare with one that was let alone."""
    draw = random.Random(0)  # noqa: S311
    done_at = []
    with tempfile.TemporaryDirectory() as work:
        manifest = some(crops, count, Path(work) / "crops")
        whole, killed = Path(work) / "whole", Path(work) / "killed"
        start = time.perf_counter()
        subprocess.run(command(manifest, whole, embedder), check=True, **QUIET)
        seconds = time.perf_counter() - start
        while len(done_at) < KILLS:
            process = subprocess.Popen(command(manifest, killed, embedder), **QUIET)
            before = batches_done(killed)
            while batches_done(killed) == before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, seconds / KILLS / 2))
            process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                sys.exit("the embedding ended before it was killed often enough; use more faces")
            done_at.append(batches_done(killed))
        subprocess.run(command(manifest, killed, embedder), check=True, **QUIET)
        same = contents(whole) == contents(killed)
    return {"embedder": embedder, "faces": count, "batches_done_at_each_kill": done_at, "same_bytes": same}


def main() -> int:
    """Measure one thing, print it and, where asked to, record it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "kill"))
    parser.add_argument("crops", type=Path)
    parser.add_argument("--embedder", default="sface")
    parser.add_argument("--faces", type=int, default=2000)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    figures = {"speed": speed, "kill": kill}[arguments.what](arguments.crops, arguments.embedder, arguments.faces)
    print(json.dumps(figures, indent=1))
    if arguments.record:
        recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        name = f"{arguments.what} {arguments.embedder}"
        RECORD.write_text(json.dumps(recorded | {name: figures}, indent=1) + "\n")
    return 0 if figures.get("same_bytes", True) else 1


if __name__ == "__main__":
    sys.exit(main())
