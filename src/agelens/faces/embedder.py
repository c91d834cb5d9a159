"""A face-recognition network: crops to vectors that are close for one face.

Any ONNX file will do that takes one float input (N, 3, 112, 112), RGB, of faces cut as ArcFace's are, and whose first
output is one vector a face. Deng et al., "ArcFace", CVPR 2019, is the pattern that most published ones follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from agelens.errors import BundleError
from agelens.faces.align import CropSpec
from agelens.sessions import brief, open_session

__all__ = ["EMBEDDER_CROP", "Embedder", "EmbedderSpec", "Scale"]

EMBEDDER_CROP: Final = CropSpec(112, 0.0, "arcface")
BATCH: Final = 64
MAX_WIDTH: Final = 65536
DIGITS: Final = frozenset("0123456789abcdef")

# What the network's input is: "arcface" for pixels as (x - 127.5) / 127.5, "raw" for 0…255, as SFace wants them.
Scale = Literal["arcface", "raw"]


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """Which embedder vectors come from; vectors of two embedders cannot be told apart by looking at them.

    Attributes:
        name: by which it can be opened again, see ``embedders.open_embedder``; for people, and for messages.
        fingerprint: SHA-256, in hexadecimal digits, of its file and of how it is used; equal for equal vectors.
        width: numbers of a vector.
        crop: how faces are cut for it.
    """

    name: str
    fingerprint: str
    width: int
    crop: CropSpec

    def __post_init__(self) -> None:
        if not (0 < self.width <= MAX_WIDTH and len(self.fingerprint) == 64 and set(self.fingerprint) <= DIGITS):
            raise ValueError(f"an embedder of width {self.width} and fingerprint {self.fingerprint[:80]!r}")


class Embedder:
    """A network that is ready to run. Safe to call from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession, scale: Scale, name: str) -> None:
        """Use ``Embedder.load``; the parts are taken as they are."""
        self._session, self._scale, self._name = session, scale, name
        self._input: Any = session.get_inputs()[0]
        self._output: str = session.get_outputs()[0].name
        count = self._input.shape[0]
        self._batch: int = count if isinstance(count, int) and count > 0 else BATCH  # some take one face at a time

    @classmethod
    def load(cls, path: Path, *, scale: Scale = "arcface", threads: int = 0) -> Embedder:
        """Open a network and try it.

        Args:
            path: the ONNX file.
            scale: of the pixels that it wants.
            threads: of one inference; 0 for as many as there are cores.

        Raises:
            BundleError: the file is missing, damaged, or no such network.
        """
        session = open_session(path, threads)
        inputs = [(node.type, node.shape[1:]) for node in session.get_inputs()]
        if inputs != [("tensor(float)", [3, 112, 112])]:
            raise BundleError(f"{path}: takes {inputs}; wanted one float input (N, 3, 112, 112) of a face embedder")
        embedder = cls(session, scale, str(path))
        noise = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), dtype=np.uint8)
        embedder.embed(noise)
        return embedder

    def embed(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Vectors whose scalar product says how alike two faces are, 1 for the same.

        Args:
            crops: (N, 112, 112, 3) uint8 RGB, cut by ``EMBEDDER_CROP``; N at least 1.

        Returns:
            (N, D) float32, each of length 1.

        Raises:
            ValueError: the crops have another shape or type, or there are none.
            BundleError: the network fails, or gives something that is no vector for each face.
        """
        size = EMBEDDER_CROP.size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8 or not len(crops):
            raise ValueError(f"crops are {crops.dtype} {crops.shape}; wanted uint8 (N, {size}, {size}, 3)")
        return np.concatenate([self._run(crops[at : at + self._batch]) for at in range(0, len(crops), self._batch)])

    def _run(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        pixels = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), dtype=np.float32)
        if self._scale == "arcface":
            pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
        missing = max(0, self._batch - len(pixels)) if isinstance(self._input.shape[0], int) else 0
        pixels = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)))
        try:
            vectors = np.asarray(self._session.run([self._output], {self._input.name: pixels})[0])[: len(crops)]
        except Exception as error:  # onnxruntime's own exceptions share no public root
            raise BundleError(f"{self._name}: the network failed: {brief(error)}") from error
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        if vectors.ndim != 2 or len(vectors) != len(crops) or not np.isfinite(vectors).all() or not lengths.all():
            raise BundleError(f"{self._name}: gave {vectors.shape} for {len(crops)} faces; wanted a vector for each")
        return np.asarray(vectors / lengths, dtype=np.float32)
