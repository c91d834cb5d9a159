"""The service on a Ray cluster of this machine, for ``scaling.py``: load, a replica killed, replicas replaced."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from agelens import AgeEstimator
from agelens.client import Client
from serving import free_port, load

NAME = "agelens"
TOKEN = secrets.token_hex(32)  # Ray keeps the first one that a process has
TITLE = f"ray::ServeReplica:{NAME}:"


@contextmanager
def ray_service(**given: Any) -> Iterator[int]:
    """The deployment with these arguments, on a cluster of its own; its port."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": TOKEN}
    import ray
    from ray import serve

    port = free_port()
    ray.init(
        num_cpus=os.cpu_count(),
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        deploy(**given)
        yield port
    finally:
        serve.shutdown()
        ray.shutdown()


def deploy(**given: Any) -> None:
    """Put the deployment there, or replace the one that is."""
    from ray import serve

    from agelens.serve.ray import app

    serve.run(app({"log": "none", **given}), name=NAME, logging_config={"log_level": "ERROR"})


def replicas() -> list[int]:
    """Processes of replicas, of this process's cluster."""
    return [pid for pid in below(os.getpid()) if "".join(command(pid)[:1]).startswith(TITLE)]


def below(pid: int) -> list[int]:
    """A process's children, their children and so on."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (found := stat(int(entry.name))):
            parents[int(entry.name)] = int(found[1])
    level, all_of_them = [pid], []
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        all_of_them += level
    return all_of_them


def stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def command(pid: int) -> list[str]:
    """What a process was started with, or what it calls itself; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:
        return []


def killed(photos: Sequence[bytes], count: int = 600, connections: int = 16) -> dict[str, Any]:
    """A replica of two killed under load: which answers clients got, and when there were two again."""
    wanted = [[face.to_dict() for face in faces] for _, faces in AgeEstimator.load(threads=1).predict_many(photos)]
    told: dict[str, Any] = {"asked": count, "tries": 0}
    with ray_service(replicas=2) as port:
        asked = _Asked(port, photos, told)
        with ThreadPoolExecutor(connections) as pool:
            work = [pool.submit(asked, number) for number in range(count)]
            while sum(one.done() for one in work) < count // 4:
                time.sleep(0.01)
            victim = replicas()[0]
            os.kill(victim, signal.SIGKILL)
            began = time.monotonic()
            while not _two_run():
                time.sleep(0.05)
            told["again_after_seconds"] = round(time.monotonic() - began, 1)
            answers = [one.result() for one in work]
        told["answered"] = sum(answer is not None for answer in answers)
        same = [answer == wanted[number % len(photos)] for number, answer in enumerate(answers)]
        told["equal"] = sum(same)
        told["farthest_age"] = max(
            abs(mine["age"] - theirs["age"])
            for number, answer in enumerate(answers)
            for mine, theirs in zip(answer or [], wanted[number % len(photos)], strict=False)
        )
    return told


class _Counting(httpx2.HTTPTransport):
    """Counts what is asked, tries again and all."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__()
        self._told, self._lock = told, threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with self._lock:
            self._told["tries"] += 1
        return super().handle_request(request)


class _Asked:
    """Asks for one photo, by a client for each thread."""

    def __init__(self, port: int, photos: Sequence[bytes], told: dict[str, Any]) -> None:
        self._port, self._photos, self._local = port, photos, threading.local()
        self._transport = _Counting(told)

    def __call__(self, number: int) -> Any:
        if not hasattr(self._local, "client"):
            self._local.client = Client(f"http://127.0.0.1:{self._port}", transport=self._transport)
        return self._local.client.predict([self._photos[number % len(self._photos)]])[0]["faces"]


def replaced(photos: Sequence[bytes], count: int = 400, connections: int = 8) -> dict[str, Any]:
    """Two replicas taken out of use under load, one put in their place: which statuses raw requests got."""
    with ray_service(replicas=2) as port, ThreadPoolExecutor(1) as pool:
        before = replicas()
        asked = pool.submit(lambda: asyncio.run(load(port, photos, count, connections)))
        time.sleep(1)
        deploy(replicas=1)
        while set(before) & set(replicas()):
            time.sleep(0.05)
        while_asked = not asked.done()
        return {"statuses": asked.result().statuses(), "while_asked": while_asked}


def _two_run() -> bool:
    from ray import serve

    status = serve.status().applications[NAME].deployments["ages"]
    return status.status.name == "HEALTHY" and len(replicas()) == 2
