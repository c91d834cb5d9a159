"""Who cuts many samples: threads of this process, or a Ray cluster. The results are the same, in the samples' order."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from agelens.ahead import map_ahead
from agelens.data.cut import Cut, Cutter
from agelens.data.reasons import Reason
from agelens.data.sources.sample import Sample
from agelens.errors import DataError, MissingExtraError

__all__ = ["ENGINES", "Engine", "cut_by_ray", "cut_by_threads"]

FIRST_ERROR: Final = re.compile(r"^[\w.]+(?:Error|Exception): .+", re.MULTILINE)

# Takes what makes a cutter, the samples, and how many to work on at once; gives their cuts, in order.
Engine = Callable[[Callable[[], Cutter], Iterable[Sample], int], Iterator[Cut]]


def cut_by_threads(make_cutter: Callable[[], Cutter], samples: Iterable[Sample], workers: int) -> Iterator[Cut]:
    """Cut samples by threads of this process."""
    return map_ahead(make_cutter(), samples, workers, 4 * workers)


def cut_by_ray(make_cutter: Callable[[], Cutter], samples: Iterable[Sample], workers: int) -> Iterator[Cut]:
    """Cut samples by tasks on a Ray cluster (``RAY_ADDRESS``), or on one started here; pictures must be on a path
    that every machine has.

    Raises:
        MissingExtraError: Ray is not installed.
        DataError: the cluster failed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    rows = [{"sample": _pack(sample)} for sample in samples]
    if not rows:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    work: Any = _cut_packed  # Ray's types know functions of a row only
    try:
        with _cluster():
            cuts = ray.data.from_items(rows).map(
                work, fn_args=(make_cutter,), compute=ray.data.TaskPoolStrategy(size=workers)
            )
            for row in cuts.iter_rows():
                yield Cut(json.loads(row["row"]), row["jpeg"])
    except (ray.exceptions.RayError, ConnectionError) as error:
        # a traceback from another machine: the error that came first
        found = FIRST_ERROR.search(str(error))
        reason = found[0] if found else str(error).strip().splitlines()[-1]
        raise DataError(f"Ray failed: {reason}; what is done is kept, repeat the command to go on") from error


@contextmanager
def _cluster() -> Iterator[None]:
    """The cluster that this process has joined, or else one for the time of the work; Ray's own doings are not told."""
    import ray

    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    for handler in logging.getLogger("ray.data").handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False)
    except Exception as error:  # on a busy machine its parts do not find each other in time; its own has no class
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"Ray could not be started: {reason}; repeat the command") from error
    try:
        yield
    finally:
        ray.shutdown()


def _cut_packed(row: dict[str, Any], make_cutter: Callable[[], Cutter]) -> dict[str, Any]:
    cut = _cutter(make_cutter)(_unpack(row["sample"]))
    return {"row": json.dumps(cut.row), "jpeg": cut.jpeg}


@lru_cache(maxsize=1)
def _cutter(make_cutter: Callable[[], Cutter]) -> Cutter:
    """One for all the rows of a task."""
    return make_cutter()


def _pack(sample: Sample) -> str:
    return json.dumps(asdict(sample) | {"path": str(sample.path)})


def _unpack(text: str) -> Sample:
    fields = json.loads(text)
    fault = fields["fault"]
    return Sample(**{**fields, "path": Path(fields["path"]), "fault": fault and Reason(fault)})


ENGINES: Final[dict[str, Engine]] = {"threads": cut_by_threads, "ray": cut_by_ray}
