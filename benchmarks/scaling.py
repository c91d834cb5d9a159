"""What a core does and what the service does with it: stages, the model made of them, and the load that checks it.

    python benchmarks/scaling.py PHOTOS [--requests 600] [--record]

PHOTOS is a folder of photos, such as FairFace's loose ones. In one run, on the loopback alone: the stages of one photo
on one core (``scaling_stages.py``), the other cores idle or as busy; ``agelens serve`` and a Ray cluster of this
machine under the same load; a replica killed under load, and replicas replaced. ``--record`` writes ``scaling.md``.
Needs the extras ``serve``, ``client`` and ``ray-serve``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from scaling_ray import below, command, killed, ray_service, replaced, replicas, stat
from scaling_stages import BATCHES, MODELS
from serving import SERVE, Told, free_port, load, photos_of, resident, serving

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
HEAD = (
    "| | connections | photos a second | p50, ms | p99, ms | mean, ms | connections ÷ rate, ms | cores of the service "
    "| of who asks | photos a second of one core | by the stages | answers |\n|---|" + "---:|" * 10 + "---|"
)


@dataclass
class Load:
    """One load: what was told, and the cores that were used meanwhile."""

    name: str
    model: str
    connections: int
    told: Told
    service: float
    asker: float
    megabytes: str

    @property
    def speed(self) -> float:
        """Photos in a second."""
        return self.told.speed

    def row(self, wanted: float) -> str:
        """A row of the table; ``wanted`` is what the stages say of one core."""
        low, high = (self.told.milliseconds(share, 200) for share in (50, 99))
        mean, little = 1000 * fmean(self.told.latencies[200]), 1000 * self.connections / self.speed
        numbers = [f"{self.speed:.1f}", *(f"{one:.0f}" for one in (low, high, mean, little))]
        cores = [f"{self.service:.2f}", f"{self.asker:.2f}", f"{self.speed / self.service:.1f}", f"{wanted:.1f}"]
        cells = [self.name, self.connections, *numbers, *cores, self.told.statuses()]
        return "| " + " | ".join(map(str, cells)) + " |"


def seconds_of(pids: Sequence[int]) -> float:
    """CPU time of these processes so far, in seconds."""
    return sum(sum(map(int, found[11:13])) for pid in pids if (found := stat(pid))) / TICKS


def measured(
    name: str, model: str, port: int, photos: Sequence[bytes], count: int, connections: int,
    pids: Callable[[], list[int]], workers: Callable[[], list[int]],
) -> Load:  # fmt: skip
    """One load, after a short one that warms up."""
    asyncio.run(load(port, photos, 120, connections))
    before, mine = seconds_of(pids()), resource.getrusage(resource.RUSAGE_SELF)
    told = asyncio.run(load(port, photos, count, connections))
    service, now = seconds_of(pids()) - before, resource.getrusage(resource.RUSAGE_SELF)
    asker = now.ru_utime + now.ru_stime - mine.ru_utime - mine.ru_stime
    found = [round(resident(pid)) for pid in workers()]
    others = round(sum(resident(pid) for pid in sorted(set(pids()) - set(workers()))))
    text = f"{name}: {', '.join(map(str, found))} MB" + (f"; its other processes {others} MB" if others else "")
    return Load(name, model, connections, told, service / told.seconds, asker / told.seconds, text)


@contextmanager
def plain_service(*options: str) -> Iterator[tuple[int, int]]:
    """``agelens serve`` with these options: its port, its process."""
    port = free_port()
    with serving([*SERVE, "--port", str(port), *options], port) as pid:
        yield port, pid


def loads(photos: Sequence[bytes], count: int) -> Iterator[Load]:
    """Each way of serving in turn."""
    for workers, model, connections in ((1, "base", (4, 16, 32)), (2, "base", (32,)), (2, "lite", (32,))):
        with plain_service("--workers", str(workers), "--model", model) as (port, pid):
            processes = lambda pid=pid: [pid, *below(pid)]  # noqa: E731
            servers = lambda all_of_them=processes: _servers(all_of_them())  # noqa: E731
            for number in connections:
                name = f"`agelens serve --workers {workers} --model {model}`"
                yield measured(name, model, port, photos, count, number, processes, servers)
    for given in ({"replicas": 1, "threads": 2}, {"replicas": 1}, {"replicas": 2}):
        with ray_service(**given) as port:
            name = "Ray, " + ", ".join(f"{key}={value}" for key, value in given.items())
            yield measured(name, "base", port, photos, count, 32, lambda: below(os.getpid()), replicas)


def _servers(pids: Sequence[int]) -> list[int]:
    """Of a plain service's processes those that have a model: of several workers, what uvicorn spawned."""
    spawned = [pid for pid in pids if any("spawn_main" in word for word in command(pid))]
    return spawned or list(pids[:1])


def a_core(stages: dict[str, Any], size: str, model: str) -> float:
    """Photos of one core in a second, by the stages alone, the network run for four faces at once, as is usual."""
    one = stages[size]
    each = one["decode"] + one["detect"] + one["faces"] * (one["crop"] + stages["network"][model]["4"])
    return 1000 / float(each)


def stages_on(cores: Sequence[int], folder: Path) -> dict[str, Any]:
    """The stages on the first of these cores, while the others do the same."""
    command_line = [sys.executable, str(HERE / "scaling_stages.py"), str(folder)]
    started = [
        subprocess.Popen(
            command_line, stdout=subprocess.PIPE, text=True, preexec_fn=partial(os.sched_setaffinity, 0, {core})
        )
        for core in cores
    ]
    told = [process.communicate()[0] for process in started]
    return dict(json.loads(told[0]))


def measure(folder: Path, count: int) -> Iterator[str]:
    """The whole, as lines of Markdown."""
    yield f"One-minute load of the machine before: {os.getloadavg()[0]:.2f}.\n"
    cores = sorted(os.sched_getaffinity(0))
    yield from _told_stages(stages_on(cores[:1], folder), "other cores idle")
    stages = stages_on(cores, folder)
    yield from _told_stages(stages, "every core as busy")
    yield f"## Under load\n\n{HEAD}"
    photos, done = photos_of(folder), []
    for one in loads(photos, count):
        done.append(one)
        yield one.row(a_core(stages, "640", one.model))
    yield "\n## Memory after it\n\n" + "\n".join(f"- {one.megabytes}" for one in done) + "\n"
    yield f"## A replica of two killed, with `agelens.client`\n\n{_listed(killed(photos))}\n"
    yield f"## Two replicas replaced by one, raw requests\n\n{_listed(replaced(photos))}\n"


def _told_stages(stages: dict[str, Any], told: str) -> Iterator[str]:
    yield f"## Stages on one core, {told}: ms of CPU time"
    yield "\n| photo | decode | detect | crop, a face | faces a photo |\n|---|" + "---:|" * 4
    for size in ("640", "12 MP"):
        one = stages[size]
        yield f"| {size} | {one['decode']:.1f} | {one['detect']:.1f} | {one['crop']:.2f} | {one['faces']:.2f} |"
    columns = (
        "batch 1",
        "batch 4",
        "batch 16",
        "photos of 640 pixels a second",
        "their faces a second",
        "photos of 12 MP a second",
    )
    yield f"\n| network, a face | {' | '.join(columns)} |\n|---|" + "---:|" * 6
    for model in MODELS:
        network = stages["network"][model]
        small, large = (a_core(stages, size, model) for size in ("640", "12 MP"))
        faces = small * stages["640"]["faces"]
        each = " | ".join(f"{network[str(batch)]:.2f}" for batch in BATCHES)
        yield f"| {model} | {each} | {small:.1f} | {faces:.1f} | {large:.1f} |"
    yield ""


def _listed(told: dict[str, Any]) -> str:
    return "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in told.items())


def main() -> None:
    """Measure, print, and write down where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    lines = [
        "# Scaling, as measured\n\n`python benchmarks/scaling.py PHOTOS --record`, two cores; see docs/scaling.md.\n"
    ]
    for line in measure(given.photos, given.requests):
        print(line, flush=True)
        lines.append(line)
    if given.record:
        (HERE / "scaling.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
