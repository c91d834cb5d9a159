"""The crops of an audit's samples, many at a time; those that cannot be read are left out, and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agelens.ahead import map_ahead
from agelens.audit.samples import Samples
from agelens.errors import DataError

__all__ = ["CropReader", "Progress", "silent"]

Progress = Callable[[int, int], None]
Crop = npt.NDArray[np.uint8]

BATCH: Final = 64
WORKERS: Final = 2


def silent(done: int, total: int) -> None:
    """Tells nobody how far the work is."""


@dataclass(slots=True)
class CropReader:
    """Reads stored crops in batches.

    Attributes:
        samples: of the manifest.
        damaged: the rows whose crops could not be read so far, with the reason.
    """

    samples: Samples
    damaged: dict[int, str] = field(default_factory=dict)

    def batches(
        self, rows: npt.NDArray[np.integer[Any]], turn: Callable[[Crop], Crop], progress: Progress = silent
    ) -> Iterator[tuple[npt.NDArray[np.int64], Crop]]:
        """Rows that could be read, (n,), with their crops, (n, H, W, 3), as ``turn`` made them.

        Args:
            rows: of the manifest; those without a crop are passed over.
            turn: makes of a stored crop what is wanted; called from several threads.
            progress: called with the number of crops done and their total.
        """
        rows = rows[self.samples.readable[rows]]
        places = self.samples.table[["path", "offset", "length"]].iloc[rows].to_dict("records")

        def read(place: Mapping[Any, Any]) -> Crop | str:
            try:
                return turn(self.samples.manifest.read_crop(place))
            except DataError as error:
                return str(error)

        batch: dict[int, Crop] = {}
        for done, (row, crop) in enumerate(zip(rows, map_ahead(read, places, WORKERS, BATCH), strict=True), start=1):
            if isinstance(crop, str):
                self.damaged[int(row)] = crop
            else:
                batch[int(row)] = crop
            if batch and (len(batch) == BATCH or done == len(rows)):
                yield np.array(list(batch)), np.stack(list(batch.values()))
                batch = {}
                progress(done, len(rows))
