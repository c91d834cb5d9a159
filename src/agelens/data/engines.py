"""Who cuts many samples: threads of this process, or a Ray cluster. The results are the same, in the samples' order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from agelens.ahead import map_ahead
from agelens.data.cut import Cut, Cutter
from agelens.data.reasons import Reason
from agelens.data.sources.sample import Sample
from agelens.data.work import Made, map_by_ray

__all__ = ["ENGINES", "Engine", "cut_by_ray", "cut_by_threads"]

# Takes what makes a cutter, the samples, and how many to work on at once; gives their cuts, in order.
Engine = Callable[[Callable[[], Cutter], Iterable[Sample], int], Iterator[Cut]]


def cut_by_threads(make_cutter: Callable[[], Cutter], samples: Iterable[Sample], workers: int) -> Iterator[Cut]:
    """Cut samples by threads of this process."""
    return map_ahead(make_cutter(), samples, workers, 4 * workers)


def cut_by_ray(make_cutter: Callable[[], Cutter], samples: Iterable[Sample], workers: int) -> Iterator[Cut]:
    """Cut samples by tasks on a Ray cluster, see ``map_by_ray``; pictures must be on a path that every machine has.

    Raises:
        MissingExtraError: Ray is not installed.
        DataError: the cluster failed.
    """
    for row, jpeg in map_by_ray(partial(_packed, make_cutter), map(_pack, samples), workers):
        yield Cut(json.loads(row), jpeg)


def _packed(make_cutter: Callable[[], Cutter]) -> Callable[[str], Made]:
    cutter = make_cutter()

    def cut(text: str) -> Made:
        made = cutter(_unpack(text))
        return json.dumps(made.row), made.jpeg

    return cut


def _pack(sample: Sample) -> str:
    return json.dumps(asdict(sample) | {"path": str(sample.path)})


def _unpack(text: str) -> Sample:
    fields = json.loads(text)
    fault = fields["fault"]
    return Sample(**{**fields, "path": Path(fields["path"]), "fault": fault and Reason(fault)})


ENGINES: Final[dict[str, Engine]] = {"threads": cut_by_threads, "ray": cut_by_ray}
