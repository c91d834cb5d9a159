"""The model file: one ONNX network with its card inside, opened with onnxruntime and numpy alone.

The network takes ``crops``, (N, size, size, 3) uint8 RGB, or ``vectors``, (N, width) float32 of an embedder, and gives
``age_probs``, (N, 101), and, where it was taught gender, ``gender_probs``, (N, 2). Normalisation is part of it. The
card says the rest: how crops are cut, what the intervals are worth, what it was trained on and how well it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from agelens.ages import NUM_BINS
from agelens.card import CARD_KEY, Card, parse_card
from agelens.errors import BundleError
from agelens.sessions import brief, open_session

__all__ = [
    "ASSETS",
    "BUILTIN",
    "CROPS",
    "DEFAULT",
    "FEATURES",
    "VECTORS",
    "Bundle",
    "Output",
    "model_file",
]

ASSETS: Final = Path(__file__).parent / "assets"
# The models that come with agelens, by their names.
BUILTIN: Final[Mapping[str, Path]] = {name: ASSETS / f"agelens-{name}.onnx" for name in ("base", "lite", "open")}
DEFAULT: Final = "base"
FEATURES: Final = "features"  # the value within the network that its heads take, (N, width)
CROPS: Final = "crops"  # the network's input
VECTORS: Final = "vectors"  # that of one which takes an embedder's
ROUNDED: Final = 0.01  # of a vector's length, by which it may be off for having been stored in few bits
BATCH: Final = 64  # pictures at once: the network needs memory in proportion


class Output(NamedTuple):
    """``age_probs`` (N, 101) and ``gender_probs`` (N, len(genders)), float32, rows summing to 1.

    A network that tells no gender has none: ``gender_probs`` is (N, 0).
    """

    age_probs: npt.NDArray[np.float32]
    gender_probs: npt.NDArray[np.float32]


def model_file(model: str | Path) -> Path:
    """The file of a built-in model by its name, or the path of a bundle as it is."""
    return BUILTIN.get(str(model), Path(model))


class Bundle:
    """A model that is ready to run. Safe to call from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession, card: Card) -> None:
        """Use ``Bundle.load``; the parts are taken as they are."""
        self._session = session
        self.card = card

    @classmethod
    def load(cls, model: str | Path = DEFAULT, *, threads: int = 0) -> Bundle:
        """Open a model.

        Args:
            model: the name of a built-in model, see ``BUILTIN``, or the path of a bundle.
            threads: of one inference; 0 for as many as there are cores.

        Raises:
            BundleError: the file is missing, damaged, no bundle of agelens, or its network is not what a bundle's
                must be.
        """
        file = model_file(model)
        session = open_session(file, threads)
        text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            raise BundleError(f"{file}: an ONNX file without agelens's card; make a bundle with: agelens export")
        try:
            card = parse_card(text)
            _check_network(session, card)
        except BundleError as error:
            raise BundleError(f"{file}: {error}") from error
        return cls(session, card)

    def run(self, crops: npt.NDArray[np.uint8]) -> Output:
        """Age and gender of faces.

        Args:
            crops: (N, size, size, 3) uint8 RGB, cut by ``card.crop``.

        Raises:
            ValueError: the crops have another shape or type, or the network takes vectors.
            BundleError: the network fails, or gives something that is no distribution.
        """
        if self.card.embedder is not None:
            raise ValueError(f"{self.card.name!r} takes vectors of embedder {self.card.embedder.name!r}, and no crops")
        size = self.card.crop.size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops are {crops.dtype} {crops.shape}; wanted uint8 (N, {size}, {size}, 3)")
        if len(crops) == 0:
            return self._nothing()
        step = BATCH // 2 if self.card.flip else BATCH
        parts = [self._run_part(crops[start : start + step]) for start in range(0, len(crops), step)]
        return Output(*map(np.concatenate, zip(*parts, strict=True)))

    def run_vectors(self, vectors: npt.NDArray[np.floating[Any]]) -> Output:
        """Age and gender of faces whose vectors are known.

        Args:
            vectors: (N, width) of the embedder that the card names; nobody can tell another's of that width from them.

        Raises:
            ValueError: the vectors have another shape or type or are not finite, or the network takes crops.
            BundleError: the network fails, or gives something that is no distribution.
        """
        embedder = self.card.embedder
        if embedder is None:
            raise ValueError(f"{self.card.name!r} takes crops, and no vectors")
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or vectors.shape[1] != embedder.width or not np.issubdtype(vectors.dtype, np.floating):
            raise ValueError(
                f"vectors are {vectors.dtype} {vectors.shape}; {self.card.name!r} takes floats (N, {embedder.width}) "
                f"of embedder {embedder.name!r}"
            )
        if not np.isfinite(vectors).all():
            broken = int((~np.isfinite(vectors).all(axis=1)).sum())
            raise ValueError(f"{broken} of {len(vectors)} vectors are not finite; leave those faces out")
        if embedder.scale != "crops":
            vectors = _of_length_1(vectors)
        if len(vectors) == 0:
            return self._nothing()
        step = 64 * BATCH  # they are small
        numbers = np.ascontiguousarray(vectors, dtype=np.float32)
        parts = [self._run_once(numbers[start : start + step], VECTORS) for start in range(0, len(numbers), step)]
        return Output(*map(np.concatenate, zip(*parts, strict=True)))

    def _nothing(self) -> Output:
        return Output(np.zeros((0, NUM_BINS), np.float32), np.zeros((0, len(self.card.genders)), np.float32))

    def _run_part(self, crops: npt.NDArray[np.uint8]) -> Output:
        if not self.card.flip:
            return self._run_once(crops, CROPS)
        both = self._run_once(np.concatenate([crops, crops[:, :, ::-1]]), CROPS)  # in one go: faster than twice
        half, faces = np.float32(0.5), len(crops)
        return Output(*((probs[:faces] + probs[faces:]) * half for probs in both))

    def _run_once(self, faces: npt.NDArray[Any], name: str) -> Output:
        try:
            found = self._session.run(list(_outputs(self.card)), {name: faces})
        except Exception as error:  # onnxruntime's own exceptions share no public root
            raise BundleError(f"the network of {self.card.name!r} failed: {brief(error)}") from error
        for probs, columns in zip(found, _outputs(self.card).values(), strict=True):
            if (
                probs.shape != (len(faces), columns)
                or (probs < 0).any()
                or not np.allclose(probs.sum(axis=1), 1, atol=1e-3)
            ):
                raise BundleError(f"the network of {self.card.name!r} gave no distributions; export the bundle again")
        return Output(*found) if len(found) > 1 else Output(found[0], np.zeros((len(faces), 0), np.float32))


def _of_length_1(vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Vectors of a face-recognition network as its embedder gives them; those that are so to a hundredth stay."""
    with np.errstate(over="ignore"):  # of lengths beyond all numbers
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not ((lengths > 0) & np.isfinite(lengths)).all():
        raise ValueError("some vectors have no length, or one beyond all numbers; leave those faces out")
    return vectors if (np.abs(lengths - 1) < ROUNDED).all() else vectors / lengths


def _check_network(session: onnxruntime.InferenceSession, card: Card) -> None:
    size = card.crop.size
    inputs = {node.name: _kind(node) for node in session.get_inputs()}
    if card.embedder is not None:
        if inputs != {VECTORS: ("tensor(float)", ["N", card.embedder.width])}:
            raise BundleError(f"takes {inputs}; wanted {VECTORS}, float (N, {card.embedder.width})")
        if card.embedder.crop != card.crop:
            raise BundleError("cuts faces otherwise than its embedder wants; export the bundle again")
    elif inputs != {CROPS: ("tensor(uint8)", ["N", size, size, 3])}:
        raise BundleError(f"takes {inputs}; wanted {CROPS}, uint8 (N, {size}, {size}, 3)")
    outputs = {node.name: _kind(node) for node in session.get_outputs()}
    wanted = {name: ("tensor(float)", ["N", columns]) for name, columns in _outputs(card).items()}
    if outputs != wanted:
        raise BundleError(f"gives {outputs}; wanted {wanted}")


def _outputs(card: Card) -> dict[str, int]:
    """The network's outputs and how many columns each has."""
    return {"age_probs": NUM_BINS} | ({"gender_probs": len(card.genders)} if card.genders else {})


def _kind(node: Any) -> tuple[str, list[int | str]]:
    """Type and shape of an input or output, with N for what the network leaves open."""
    return node.type, [side if isinstance(side, int) else "N" for side in node.shape]
