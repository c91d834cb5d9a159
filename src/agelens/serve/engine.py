"""Photos of many requests, decoded and searched by threads, and their faces in common runs of the network."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from agelens.errors import ImageError
from agelens.estimator import AgeEstimator, Found
from agelens.results import Face, Photo
from agelens.serve.metrics import Metrics
from agelens.serve.problems import Problem
from agelens.serve.settings import ServeSettings

__all__ = ["Engine"]

RETRY_SECONDS: Final = 1.0

Answer = TypeVar("Answer")
Waiting = tuple[Found, "Future[Photo]"]


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Engine:
    """One for each process: an inference thread, and threads that decode and look for faces.

    At most ``settings.queue`` images are in it; who brings more is refused at once.
    """

    def __init__(self, estimator: AgeEstimator, settings: ServeSettings, metrics: Metrics) -> None:
        """Start the threads."""
        self._estimator = estimator
        self._settings = settings
        self._metrics = metrics
        self._inside = 0
        self._lookers = ThreadPoolExecutor(settings.threads or _cores(), "look")
        self._waiting: queue.Queue[Waiting | None] = queue.Queue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._infer, name="inference", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the network still runs."""
        return self._thread.is_alive()

    @property
    def inside(self) -> int:
        """Images that wait or are in work."""
        return self._inside

    async def predict(self, images: Sequence[bytes], cropped: bool) -> list[Photo]:
        """The photos of a request, each with its faces or its error.

        Raises:
            Problem: "overloaded" where there is no room for so many.
        """
        self._check_room(len(images))
        tasks = [self._begin(self._one(image, cropped)) for image in images]
        # a request that is given up does not stop its work: its room is free when that is done, and not before
        return list(await asyncio.gather(*(asyncio.shield(task) for task in tasks)))

    async def predict_vectors(self, vectors: npt.NDArray[np.floating[Any]]) -> list[Face]:
        """The faces of a request's vectors, (N, width), which together count as an image.

        Raises:
            Problem: "overloaded" where there is no room.
            ValueError: they are not what the model takes.
        """
        self._check_room(1)
        return await asyncio.shield(self._begin(self._of_vectors(vectors)))

    def _check_room(self, images: int) -> None:
        if self._inside + images > self._settings.queue:
            self._metrics.refused.labels("overloaded").inc()
            raise Problem(
                "overloaded",
                f"{self._inside} images are in work, of at most {self._settings.queue}; try again later",
                retry_after=RETRY_SECONDS,
            )

    async def drain(self) -> None:
        """Wait for what is inside, and stop the threads."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        self._lookers.shutdown()

    def _begin(self, work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        self._inside += 1
        self._metrics.inside.set(self._inside)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._inside -= 1
        self._metrics.inside.set(self._inside)
        if not task.cancelled():
            task.exception()  # it is told to who asked; nobody else wants to hear of it

    async def _one(self, image: bytes, cropped: bool) -> Photo:
        answer: Future[Photo] = Future()
        answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled, and so can always be answered
        self._lookers.submit(self._look, image, cropped, answer)
        return await asyncio.wrap_future(answer)

    async def _of_vectors(self, vectors: npt.NDArray[np.floating[Any]]) -> list[Face]:
        return await asyncio.get_running_loop().run_in_executor(
            self._lookers, self._estimator.predict_embeddings, vectors
        )

    def _look(self, image: bytes, cropped: bool, answer: Future[Photo]) -> None:
        try:
            found = self._estimator.find(image, cropped, max_pixels=self._settings.max_pixels)
        except BaseException as error:  # who asked is told; nobody else would notice
            answer.set_exception(error)
            return
        if len(found.crops) > self._settings.max_faces:
            answer.set_result(_too_many(found.photo, len(found.crops), self._settings.max_faces))
        elif found.crops:
            self._waiting.put((found, answer))
        else:
            answer.set_result(found.photo)

    def _infer(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, more = self._batch(first)
            started = time.monotonic()
            try:
                photos = self._estimator.finish([found for found, _ in batch])
                answered = list(zip(batch, photos, strict=True))
            except Exception as error:  # each request is told, and the thread goes on
                for _, answer in batch:
                    answer.set_exception(error)
            else:
                for (_, answer), photo in answered:
                    answer.set_result(photo)
            self._metrics.batch_faces.observe(sum(len(found.crops) for found, _ in batch))
            self._metrics.network_seconds.observe(time.monotonic() - started)
            if not more:
                return

    def _batch(self, first: Waiting) -> tuple[list[Waiting], bool]:
        """What is run at once; False with it where the thread is to end."""
        batch, faces = [first], len(first[0].crops)
        until = time.monotonic() + self._settings.batch_wait / 1000
        while faces < self._settings.batch_size:
            try:
                one = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if one is None:
                return batch, False
            batch.append(one)
            faces += len(one[0].crops)
        return batch, True


def _too_many(photo: Photo, faces: int, most: int) -> Photo:
    told = f"{faces} faces in one photo; at most {most} are estimated at once: cut it in parts"
    return replace(photo, error=ImageError(told))
