"""Some crops of a manifest to their vectors: the work that every engine does."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agelens.data.manifest import Manifest
from agelens.data.reasons import Reason
from agelens.data.vectors import Kind, kind_of
from agelens.data.work import Made
from agelens.errors import DataError
from agelens.faces.align import realign_matrix, recrop, warp
from agelens.faces.embedder import Embedder

__all__ = ["BatchEmbedder"]

Place = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BatchEmbedder:
    """Reads crops, aligns them as the embedder wants and embeds them; safe to call from several threads.

    Attributes:
        manifest: whose crops; its rows are not looked at.
        embedder: of the vectors.
        kind: of their numbers.
    """

    manifest: Manifest
    embedder: Embedder
    kind: Kind

    def __call__(self, batch: str) -> Made:
        """
        Args:
            batch: a JSON list of rows: ``path``, ``offset``, ``length`` and ``landmarks`` (ten numbers, or null).

        Returns:
            A JSON object of those that have no vector, by their number in the batch: reason and detail; and the bytes
            of all vectors, zeros for those.

        Raises:
            BundleError: the network fails.
        """
        places = json.loads(batch)
        missing: dict[int, tuple[Reason, str]] = {}
        crops: dict[int, npt.NDArray[np.uint8]] = {}
        for number, place in enumerate(places):
            try:
                crops[number] = self._crop(place)
            except (DataError, ValueError) as error:
                missing[number] = (Reason.BAD_CROP, str(error).removeprefix(f"{self.manifest.folder}{os.sep}"))
        vectors = np.zeros((len(places), self.embedder.spec.width), kind_of(self.kind))
        if crops:
            found = self._embed(np.stack(list(crops.values())))
            usable = np.isfinite(found).all(axis=1)
            numbers = np.array(list(crops))
            vectors[numbers[usable]] = found[usable]
            detail = f"the network's is not finite as {self.kind}, or has no length"
            missing |= {int(number): (Reason.NO_VECTOR, detail) for number in numbers[~usable]}
        return json.dumps({str(number): missing[number] for number in sorted(missing)}), vectors.tobytes()

    def _embed(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):  # what is too large for 16 bits is seen by the caller
            return self.embedder.embed_some(crops).astype(kind_of(self.kind))

    def _crop(self, place: Place) -> npt.NDArray[np.uint8]:
        made, wanted = self.manifest.crop, self.embedder.spec.crop
        crop = self.manifest.read_crop(place)
        if made.template == wanted.template:
            return recrop(crop, made, wanted)
        landmarks = None if place["landmarks"] is None else np.reshape(place["landmarks"], (5, 2))
        return warp(crop, realign_matrix(made, wanted, landmarks), wanted.size)
