"""The service under load, on the loopback alone: beside the bare estimator and a Flask endpoint, and overloaded.

    pip install flask gunicorn
    python benchmarks/serving.py PHOTOS [--requests 20000] [--connections 32] [--options "--workers 1"] [--record]

PHOTOS is a folder of photos with one face each, such as FairFace's loose ones; they are scaled to 640 pixels. In turns,
in one run: the estimator in a loop; ``agelens serve`` asked by so many connections, each of which asks again as soon as
it is answered; the same model behind a plain synchronous Flask endpoint under gunicorn with two workers, where both are
installed; and the service again, for a minute asked twice as often as it answered, whether it answers or not. With
``--record`` the tables are written into benchmarks/serving.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import itertools
import os
import shlex
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
from recording import record

SIDE = 640
SERVE = [sys.executable, "-c", "from agelens.cli import main; main()", "serve", "--log", "none"]
PAGE = Path(__file__).with_suffix(".md")
MARKS = ("<!-- figures -->", "<!-- end of figures -->")
OVERLOAD_SECONDS = 60
IDLE_SECONDS = 3.0  # after which a connection is opened anew; the service closes those that are idle for 5
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
    """What the answers were.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: seconds of each answer, by its status.
    """

    seconds: float = 0.0
    latencies: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.latencies.setdefault(status, []).append(seconds)

    @property
    def speed(self) -> float:
        """Answers a second that were no refusals."""
        return len(self.latencies.get(200, [])) / self.seconds

    def statuses(self) -> str:
        """How many answers of each status."""
        return ", ".join(f"{len(times):,} x {status}" for status, times in sorted(self.latencies.items()))

    def milliseconds(self, share: float, *statuses: int) -> float:
        """Within which so many percent of the answers of these statuses came."""
        chosen = [one for status in statuses for one in self.latencies.get(status, [])]
        return 1000 * float(np.percentile(chosen, share)) if chosen else float("nan")

    def line(self, name: str) -> str:
        """A row of the table."""
        return (
            f"| {name} | {self.speed:.1f} | {self.milliseconds(50, 200):.0f} | {self.milliseconds(99, 200):.0f} "
            f"| {self.statuses()} |"
        )


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
    lines = ("POST /v1/predict HTTP/1.1", "Host: x", "Content-Type: application/octet-stream")
    return "\r\n".join([*lines, f"Content-Length: {len(photo)}", "", ""]).encode() + photo


class Connection:
    """One connection, opened anew where the service closed it."""

    def __init__(self, port: int) -> None:
        """Of a service on the loopback."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def ask(self, request: bytes) -> int:
        """Send a request, and read its answer; the status."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(
            next(int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"content-length"))
        )
        self._used = time.monotonic()
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def ask(port: int, requests: Iterator[bytes], told: Told) -> None:
    """One connection, which asks until nothing is left to ask."""
    connection = Connection(port)
    for request in requests:
        began = time.monotonic()
        told.add(await connection.ask(request), time.monotonic() - began)
    connection.close()


async def load(port: int, photos: Sequence[bytes], count: int, connections: int) -> Told:
    """``count`` requests over so many connections."""
    bodies = [request_of(photo) for photo in photos]
    requests = iter([bodies[number % len(bodies)] for number in range(count)])
    told = Told()
    began = time.monotonic()
    await asyncio.gather(*(ask(port, requests, told) for _ in range(connections)))
    told.seconds = time.monotonic() - began
    return told


async def flood(port: int, photos: Sequence[bytes], rate: float, seconds: float) -> Told:
    """Requests at a rate, whether earlier ones are answered or not, over as many connections as that takes."""
    bodies = itertools.cycle([request_of(photo) for photo in photos])
    idle: list[Connection] = []
    told = Told()

    async def one(request: bytes) -> None:
        connection = idle.pop() if idle else Connection(port)
        began = time.monotonic()
        told.add(await connection.ask(request), time.monotonic() - began)
        idle.append(connection)

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            tasks.create_task(one(next(bodies)))
    told.seconds = time.monotonic() - began
    for connection in idle:
        connection.close()
    return told


def resident(process: int) -> float:
    """Megabytes of a process that are in memory."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


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
        told.add(200, time.monotonic() - started)
    told.seconds = time.monotonic() - began
    return told


def overloaded(photos: Sequence[bytes], port: int, process: int, rate: float) -> list[str]:
    """Rows on a service that is asked at a rate that it cannot keep up with."""
    before = resident(process)
    told = asyncio.run(flood(port, photos, rate, OVERLOAD_SECONDS))
    after = resident(process)
    refused = [status for status in told.latencies if status in (429, 503)]
    return [
        f"| {rate:.0f} requests a second for {OVERLOAD_SECONDS} s | {told.statuses()} |",
        f"| answered a second; within, ms: median, 99 % | {told.speed:.1f}; {told.milliseconds(50, 200):.0f}, "
        f"{told.milliseconds(99, 200):.0f} |",
        f"| refused within, ms: median, 99 %, all | {told.milliseconds(50, *refused):.0f}, "
        f"{told.milliseconds(99, *refused):.0f}, {told.milliseconds(100, *refused):.0f} |",
        f"| memory before and after, MB | {before:.0f}, {after:.0f} |",
    ]


def flask(photos: Sequence[bytes], count: int, connections: int) -> Told:
    """The same model as the classic projects serve it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plain.py").write_text(FLASK, encoding="utf-8")
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "plain:app"]
        with serving([*command, "--log-level", "error"], port, folder):
            asyncio.run(load(port, photos, 200, connections))
            return asyncio.run(load(port, photos, count, connections))


def measure(photos: Sequence[bytes], count: int, connections: int, options: str) -> Iterator[str]:
    """All in turns, as lines of two tables; ``options`` are those of ``agelens serve``."""
    yield "| | a second | median, ms | 99 %, ms | answers |"
    yield "|---|---:|---:|---:|---|"
    yield bare(photos, min(count, 1000)).line("the estimator in a loop")
    port = free_port()
    with serving([*SERVE, "--port", str(port), *shlex.split(options)], port) as process:
        asyncio.run(load(port, photos, 200, connections))
        told = asyncio.run(load(port, photos, count, connections))
        yield told.line(f"agelens serve {options}, {connections} connections")
        if importlib.util.find_spec("flask") and importlib.util.find_spec("gunicorn"):
            name = f"Flask under gunicorn, two workers, {connections} connections"
            yield flask(photos, min(count, 3000), connections).line(name)
        yield ""
        yield "| at twice the capacity | |"
        yield "|---|---|"
        yield from overloaded(photos, port, process, 2 * told.speed)


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--options", default="--workers 1", help="of agelens serve")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    lines = []
    for line in measure(photos_of(given.photos), given.requests, given.connections, given.options):
        print(line, flush=True)
        lines.append(line)
    if given.record:
        record(PAGE, MARKS, "\n".join(lines))


if __name__ == "__main__":
    main()
