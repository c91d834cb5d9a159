"""A network that turns faces into vectors, for whoever learns from these or compares them.

Two kinds of network serve. One is a face-recognition network: any ONNX file that takes one float input
(N, 3, 112, 112), RGB, of faces cut as ArcFace's are, and whose first output is one vector a face, close for one person.
Deng et al., "ArcFace", CVPR 2019, is the pattern that most published ones follow. The other is an agelens bundle, whose
heads take such vectors; ``embedders.open_embedder`` opens both by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from operator import index
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from agelens.errors import BundleError
from agelens.faces.align import CropSpec
from agelens.sessions import brief, open_session

__all__ = ["EMBEDDER_CROP", "Embedder", "EmbedderSpec", "Network", "Scale"]

EMBEDDER_CROP: Final = CropSpec(112, 0.0, "arcface")
BATCH: Final = 16  # faces at once: more are no faster, and take memory in proportion
MAX_WIDTH: Final = 65536
DIGITS: Final = frozenset("0123456789abcdef")

# What the network's input is: "arcface" for pixels as (x - 127.5) / 127.5, "raw" for 0…255, as SFace wants them.
Scale = Literal["arcface", "raw"]


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """Which embedder vectors come from; vectors of two embedders cannot be told apart by looking at them.

    Attributes:
        name: "sface", a built-in model's, or that of its file; for people, and for messages.
        fingerprint: SHA-256, in hexadecimal digits, of its file and of how it is used; equal for equal vectors.
        width: numbers of a vector.
        crop: how faces are cut for it.
        scale: of the pixels that it wants; "crops" for a bundle, whose vectors have any length, all others' have length
            1.
    """

    name: str
    fingerprint: str
    width: int
    crop: CropSpec
    scale: Scale | Literal["crops"]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> EmbedderSpec:
        """One from plain values, as they stand in files.

        Raises:
            TypeError, ValueError, KeyError: they are not those of a spec.
        """
        return cls(**{**raw, "width": index(raw["width"]), "crop": CropSpec.from_dict(raw["crop"])})

    def __post_init__(self) -> None:
        if self.scale not in (*get_args(Scale), "crops"):
            raise ValueError(f"an embedder whose pixels are {str(self.scale)[:80]!r}")
        if not (0 < self.width <= MAX_WIDTH and len(self.fingerprint) == 64 and set(self.fingerprint) <= DIGITS):
            raise ValueError(f"an embedder of width {self.width} and fingerprint {self.fingerprint[:80]!r}")


@dataclass(frozen=True, slots=True)
class Network:
    """A network's file, and how it is used as an embedder.

    Attributes:
        file: the ONNX file.
        name: of the embedder, for its spec.
        crop: how faces are cut for it.
        scale: of the pixels that it wants; "crops" for uint8 (N, size, size, 3), as bundles take them.
        output: which of its outputs the vectors are; empty: the first.
        threads: of one inference; 0 for as many as there are cores.
        extra: as ``sessions.open_session`` takes it.
    """

    file: Path
    name: str
    crop: CropSpec = EMBEDDER_CROP
    scale: Scale | Literal["crops"] = "arcface"
    output: str = ""
    threads: int = 0
    extra: bytes = b""

    def input_kind(self) -> tuple[str, list[int]]:
        """Type of its input, and the shape of one face there."""
        size = self.crop.size
        return ("tensor(uint8)", [size, size, 3]) if self.scale == "crops" else ("tensor(float)", [3, size, size])

    def fingerprint(self, output: str) -> str:
        """SHA-256, in hexadecimal digits, of the file's bytes and of all that the vectors depend on beside them."""
        use = json.dumps({"crop": asdict(self.crop), "scale": self.scale, "output": output}, sort_keys=True)
        return hashlib.sha256(self.file.read_bytes() + use.encode()).hexdigest()


class Embedder:
    """A network that is ready to run. Safe to call from several threads.

    Another process can be sent one, which opens the same file there.

    Attributes:
        spec: what its vectors are.
    """

    spec: EmbedderSpec

    def __init__(self, network: Network) -> None:
        """Open a network and try it.

        Raises:
            BundleError: the file is missing, damaged, or no such network.
        """
        self._network = network
        self._session = open_session(network.file, network.threads, network.extra)
        kind, shape = network.input_kind()
        inputs = [(node.type, node.shape[1:]) for node in self._session.get_inputs()]
        if inputs != [(kind, shape)]:
            wanted = f"{kind[7:-1]} input (N, {', '.join(map(str, shape))})"
            raise BundleError(f"{network.file}: takes {inputs}; wanted one {wanted} of a face embedder")
        self._input: Any = self._session.get_inputs()[0]
        self._output: str = network.output or self._session.get_outputs()[0].name
        count = self._input.shape[0]
        self._batch: int = count if isinstance(count, int) and count > 0 else BATCH  # some take one face at a time
        noise = np.random.default_rng(0).integers(0, 256, (1, network.crop.size, network.crop.size, 3), dtype=np.uint8)
        width = self._checked(noise).shape[1]
        try:
            self.spec = EmbedderSpec(
                network.name, network.fingerprint(self._output), width, network.crop, network.scale
            )
        except ValueError as error:
            raise BundleError(f"{network.file}: is no face embedder ({error})") from error

    def __reduce__(self) -> tuple[Callable[[Network, str], Embedder], tuple[Network, str]]:
        return _again, (replace(self._network, file=self._network.file.absolute()), self.spec.fingerprint)

    @classmethod
    def load(cls, path: Path, *, scale: Scale = "arcface", threads: int = 0) -> Embedder:
        """Open a face-recognition network and try it.

        Args:
            path: the ONNX file.
            scale: of the pixels that it wants.
            threads: of one inference; 0 for as many as there are cores.

        Raises:
            BundleError: the file is missing, damaged, or no such network.
        """
        return cls(Network(path, path.name, scale=scale, threads=threads))

    def embed(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """One vector a face.

        Those of a face-recognition network have length 1: their scalar product says how alike two faces are, 1 for the
        same. Those of a bundle are as its heads take them.

        Args:
            crops: (N, size, size, 3) uint8 RGB, cut by ``spec.crop``; N at least 1.

        Returns:
            (N, width) float32.

        Raises:
            ValueError: the crops have another shape or type, or there are none.
            BundleError: the network fails, or gives something that is no vector for each face.
        """
        return self._checked(crops)

    def embed_some(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """As ``embed``, but where the network gives a face no vector, or one of no length, its row is all NaN."""
        size = self._network.crop.size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8 or not len(crops):
            raise ValueError(f"crops are {crops.dtype} {crops.shape}; wanted uint8 (N, {size}, {size}, 3)")
        return np.concatenate([self._run(crops[at : at + self._batch]) for at in range(0, len(crops), self._batch)])

    def _checked(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        vectors = self.embed_some(crops)
        broken = int(np.isnan(vectors).any(axis=1).sum())
        if broken:
            raise BundleError(f"{self._network.name}: gave none for {broken} of {len(crops)}; wanted a vector for each")
        return vectors

    def _run(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        pixels = self._pixels(crops)
        missing = max(0, self._batch - len(pixels)) if isinstance(self._input.shape[0], int) else 0
        pixels = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)))
        try:
            vectors = np.asarray(self._session.run([self._output], {self._input.name: pixels})[0])[: len(crops)]
        except Exception as error:  # onnxruntime's own exceptions share no public root
            raise BundleError(f"{self._network.name}: the network failed: {brief(error)}") from error
        if vectors.ndim != 2 or len(vectors) != len(crops):
            raise BundleError(
                f"{self._network.name}: gave {vectors.shape} for {len(crops)} faces; wanted a vector for each"
            )
        usable = np.isfinite(vectors).all(axis=1, keepdims=True)
        if self._network.scale == "crops":
            return np.where(usable, vectors, np.float32(np.nan)).astype(np.float32)
        lengths = np.linalg.norm(np.where(usable, vectors, 0), axis=1, keepdims=True)
        nothing = np.full(vectors.shape, np.nan, np.float32)
        return np.asarray(np.divide(vectors, lengths, out=nothing, where=lengths > 0), dtype=np.float32)

    def _pixels(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if self._network.scale == "crops":
            return crops
        pixels = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), dtype=np.float32)
        return (pixels - np.float32(127.5)) / np.float32(127.5) if self._network.scale == "arcface" else pixels


@lru_cache(maxsize=1)
def _again(network: Network, fingerprint: str) -> Embedder:
    """The embedder that was sent from another process, opened once."""
    embedder = Embedder(network)
    if embedder.spec.fingerprint != fingerprint:
        raise BundleError(f"{network.file}: is another file here than where the work was begun")
    return embedder
