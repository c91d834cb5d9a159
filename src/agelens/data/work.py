"""Who does many pieces of work: threads of this process, or a Ray cluster. What is made is the same, in order.

A piece is a text, and what is made of it a text and bytes, for these travel between machines as they are.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache, partial
from inspect import signature
from typing import Any, Final, TextIO

from agelens.ahead import map_ahead
from agelens.errors import DataError, MissingExtraError

__all__ = ["FIRST_ERROR", "MAPPERS", "Made", "MakeWork", "Mapper", "cluster", "map_by_ray", "map_by_threads"]

# In a traceback from another machine.
FIRST_ERROR: Final = re.compile(r"^[\w.]+(?:Error|Exception): .+", re.MULTILINE)
DEATHS: Final = 3  # of its processes that a piece of work survives
LISTENER: Final = "ray_listen_error_messages"  # a thread of Ray's

Made = tuple[str, bytes]
MakeWork = Callable[[], Callable[[str], Made]]
# Takes what makes the work, the pieces, and how many to work on at once; gives what is made of each, in order.
Mapper = Callable[[MakeWork, Iterable[str], int], Iterator[Made]]


def map_by_threads(make_work: MakeWork, items: Iterable[str], workers: int) -> Iterator[Made]:
    """``map(make_work(), items)`` by threads of this process."""
    return map_ahead(make_work(), items, workers, 4 * workers)


def map_by_ray(make_work: MakeWork, items: Iterable[str], workers: int) -> Iterator[Made]:
    """``map(make_work(), items)`` by tasks on a Ray cluster (``RAY_ADDRESS``), or on one started here.

    Args:
        make_work: called once in each task; all that is sent to the cluster's machines.
        items: what is worked on, in order.
        workers: tasks at once.

    Raises:
        MissingExtraError: Ray is not installed.
        DataError: the cluster failed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    rows = [{"item": item} for item in items]
    if not rows:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    try:
        with cluster():
            for row in _map(ray.data.from_items(rows), make_work, workers).iter_rows():
                yield row["text"], row["data"]
    except (ray.exceptions.RayError, ConnectionError) as error:
        # a traceback from another machine: the error that came first
        found = FIRST_ERROR.search(str(error))
        reason = found[0] if found else str(error).strip().splitlines()[-1]
        raise DataError(f"Ray failed: {reason}; what is done is kept, repeat the command to go on") from error


@contextmanager
def cluster() -> Iterator[None]:
    """The cluster that this process has joined, or else one for the time of the work; Ray's own doings are not told.

    Raises:
        DataError: it could not be started.
    """
    import ray

    with _quiet():
        if ray.is_initialized():
            yield
            return
        try:
            ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False)
        except Exception as error:  # on a busy machine its parts do not find each other in time; its own has no class
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"Ray could not be started: {reason}; repeat the command") from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray logs, and one of its threads prints among the results what it hears of processes that died."""
    noisy: list[logging.Logger | logging.Handler] = [
        logging.getLogger("ray"),
        *logging.getLogger("ray.data").handlers,
    ]
    levels = [one.level for one in noisy]
    for one in noisy:
        one.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(_WithoutRay(sys.stdout)):
            yield
    finally:
        for one, level in zip(noisy, levels, strict=True):
            one.setLevel(level)


class _WithoutRay:
    """Standard output, but for what Ray's thread prints."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if threading.current_thread().name == LISTENER else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _map(rows: Any, make_work: MakeWork, workers: int) -> Any:
    """What is made of each row of a Ray data set, as another one."""
    import ray.data

    # Ray Data would start a process that dies anew without end; what keeps it from that is to go with Ray 2.64
    options: dict[str, Any] = {"compute": ray.data.TaskPoolStrategy(size=workers)}
    if "ray_remote_args_fn" in signature(rows.map).parameters:
        options["ray_remote_args_fn"] = partial(dict, max_retries=DEATHS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*ray_remote_args_fn")
        return rows.map(_work, fn_args=(make_work,), **options)


def _work(row: dict[str, Any], make_work: MakeWork) -> dict[str, Any]:
    text, data = _made(make_work)(row["item"])
    return {"text": text, "data": data}


@lru_cache(maxsize=1)
def _made(make_work: MakeWork) -> Callable[[str], Made]:
    """One for all the rows of a task."""
    return make_work()


MAPPERS: Final[dict[str, Mapper]] = {"threads": map_by_threads, "ray": map_by_ray}
