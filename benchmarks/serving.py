"""The service under load, on the loopback alone: throughput and latency beside the bare estimator and a Flask endpoint.

    python benchmarks/serving.py PHOTOS [--requests 3000] [--connections 32] [--workers 2]

PHOTOS is a folder of photos with one face each, such as FairFace's loose ones; they are scaled to 640 pixels. In turns,
in one run: the estimator in a loop; ``agelens serve`` asked by so many connections, each of which asks again as soon as
it is answered; and, where Flask and gunicorn are installed, the same model behind a plain synchronous endpoint with two
workers.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from agelens import AgeEstimator
from agelens.images import find_images

SIDE = 640
SERVE = [sys.executable, "-c", "from agelens.cli import main; main()", "serve"]
FLASK = """
from flask import Flask, jsonify, request
from agelens import AgeEstimator
app = Flask(__name__)
estimator = AgeEstimator.load()

@app.post("/v1/predict")
def predict():
    return jsonify([face.to_dict() for face in estimator.predict(request.get_data())])

@app.get("/readyz")
def ready():
    return "ready"
"""


@dataclass
class Told:
    """What the answers were."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def line(self, name: str) -> str:
        """A row of the table."""
        low, high = (1000 * float(np.percentile(self.latencies, share)) for share in (50, 99))
        speed = self.statuses.get(200, 0) / self.seconds
        return f"| {name} | {speed:.1f} | {low:.0f} | {high:.0f} | {self.statuses} |"


def photos_of(folder: Path, count: int = 60) -> list[bytes]:
    """JPEG files of 640 pixels."""
    found = []
    for path in sorted(find_images([folder]))[:count]:
        stream = io.BytesIO()
        with Image.open(path) as photo:
            photo.convert("RGB").resize((SIDE, SIDE)).save(stream, format="JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def request_of(photo: bytes) -> bytes:
    """The bytes of a request."""
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
    return head.encode() + photo


async def ask(port: int, requests: Iterator[bytes], told: Told) -> None:
    """One connection, which asks until nothing is left to ask."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        began = time.monotonic()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = next(
            int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        told.latencies.append(time.monotonic() - began)
        told.statuses[status] = told.statuses.get(status, 0) + 1
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def load(port: int, photos: Sequence[bytes], count: int, connections: int) -> Told:
    """``count`` requests over so many connections."""
    bodies = [request_of(photo) for photo in photos]
    requests = iter([bodies[number % len(bodies)] for number in range(count)])
    told = Told()
    began = time.monotonic()
    await asyncio.gather(*(ask(port, requests, told) for _ in range(connections)))
    told.seconds = time.monotonic() - began
    return told


@contextmanager
def serving(command: Sequence[str], port: int, cwd: str | None = None) -> Iterator[int]:
    """A running service; its process's number."""
    process = subprocess.Popen(command, cwd=cwd, start_new_session=True)
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                    break
            except OSError:
                time.sleep(0.25)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def bare(photos: Sequence[bytes], count: int) -> Told:
    """The estimator in a loop."""
    estimator, told = AgeEstimator.load(), Told()
    estimator.predict(photos[0])
    began = time.monotonic()
    for number in range(count):
        started = time.monotonic()
        estimator.predict(photos[number % len(photos)])
        told.latencies.append(time.monotonic() - started)
    told.seconds, told.statuses = time.monotonic() - began, {200: count}
    return told


def main() -> None:
    """Measure all in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    photos = photos_of(given.photos)
    print("| | a second | p50, ms | p99, ms | answers |\n|---|---:|---:|---:|---|", flush=True)
    print(bare(photos, given.requests // 4).line("the estimator in a loop"), flush=True)
    port = free_port()
    with serving([*SERVE, "--port", str(port), "--workers", str(given.workers)], port):
        asyncio.run(load(port, photos, 200, given.connections))
        told = asyncio.run(load(port, photos, given.requests, given.connections))
    print(told.line(f"agelens serve --workers {given.workers}, {given.connections} connections"), flush=True)
    if importlib.util.find_spec("flask") and importlib.util.find_spec("gunicorn"):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "plain.py").write_text(FLASK, encoding="utf-8")
            port = free_port()
            command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "plain:app"]
            with serving([*command, "--log-level", "error"], port, folder):
                asyncio.run(load(port, photos, 200, given.connections))
                told = asyncio.run(load(port, photos, given.requests, given.connections))
        print(told.line(f"Flask under gunicorn, 2 workers, {given.connections} connections"), flush=True)


if __name__ == "__main__":
    main()
