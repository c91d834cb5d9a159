"""Ten thousand corrupted photos to a running service, on the loopback alone, and what becomes of it.

    python benchmarks/serving_faults.py PHOTOS [--photos 10000] [--record]

Photos of the folder PHOTOS, as files of six kinds, are corrupted in eight ways and sent over eight connections. Beside
them a good photo is asked twice a second. Told are the answers' statuses, how long good photos took, and the memory
of the process before (a first round of a tenth as many, with other faults, has warmed it), after them, and after as
many others. With ``--record``
the table is written into benchmarks/serving.md. Other faults, such as cut uploads, slow clients, bombs and killed
workers, are in tests/serve/test_faults.py.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from corrupting import corrupted, recoded
from recording import record
from serving import PAGE, SERVE, Connection, Told, free_port, photos_of, request_of, resident, serving

MARKS = ("<!-- faults -->", "<!-- end of faults -->")
CONNECTIONS = 8


async def send(port: int, bodies: Iterator[bytes], told: Told) -> None:
    """One connection, over which bad photos go."""
    connection = Connection(port)
    for body in bodies:
        began = time.monotonic()
        told.add(await connection.ask(request_of(body)), time.monotonic() - began)
    connection.close()


async def watch(port: int, photo: bytes, told: Told) -> None:
    """Ask with a good photo twice a second, for ever."""
    connection = Connection(port)
    while True:
        began = time.monotonic()
        told.add(await connection.ask(request_of(photo)), time.monotonic() - began)
        await asyncio.sleep(0.5)


async def storm(port: int, files: Sequence[bytes], good: bytes, count: int, seed: int) -> tuple[Told, Told]:
    """What was answered to corrupted photos, and to good ones meanwhile."""
    random = np.random.default_rng(seed)
    bad, fine = Told(), Told()
    bodies = (corrupted(files, random) for _ in range(count))
    began = time.monotonic()
    watcher = asyncio.create_task(watch(port, good, fine))
    await asyncio.gather(*(send(port, bodies, bad) for _ in range(CONNECTIONS)))
    watcher.cancel()
    bad.seconds = fine.seconds = time.monotonic() - began
    return bad, fine


def measure(photos: Sequence[bytes], count: int) -> list[str]:
    """The rows of the table."""
    files = [file for photo in photos[:10] for file in recoded(photo)] + list(photos)
    port = free_port()
    with serving([*SERVE, "--port", str(port)], port) as process:
        asyncio.run(storm(port, files, photos[0], count // 10, 1))
        before = resident(process)
        bad, good = asyncio.run(storm(port, files, photos[0], count, 2))
        after = resident(process)
        asyncio.run(storm(port, files, photos[0], count, 3))
        later = resident(process)
    return [
        f"| corrupted photos | {bad.statuses()} |",
        f"| good photos meanwhile | {good.statuses()} |",
        f"| these within, ms: median, 99 % | {good.milliseconds(50, 200):.0f}, {good.milliseconds(99, 200):.0f} |",
        f"| memory before, after, and after as many more, MB | {before:.0f}, {after:.0f}, {later:.0f} |",
    ]


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    table = "\n".join(["| | |", "|---|---|", *measure(photos_of(given.folder), given.photos)])
    print(table)
    if given.record:
        record(PAGE, MARKS, table)


if __name__ == "__main__":
    main()
