"""Bodies of requests, read in memory and never trusted: images and vectors."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from agelens.serve.problems import Problem
from agelens.serve.schema import ImagesRequest, VectorsRequest
from agelens.serve.settings import ServeSettings

__all__ = ["FIELD", "Images", "Vectors", "read_images", "read_vectors"]

Model = TypeVar("Model", bound=BaseModel)

FIELD: Final = "file"
JSON: Final = "application/json"
NPY: Final = ("application/x-npy", "application/octet-stream")
NUMBERS: Final = frozenset({"float16", "float32", "float64"})
HEADER_BYTES: Final = 10_000  # of an npy file


@dataclass(frozen=True, slots=True)
class Images:
    """What was sent: bytes of files with their names."""

    files: Sequence[bytes]
    names: Sequence[str | None]
    cropped: bool


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What was sent: (N, width) floats and their embedder's fingerprint."""

    vectors: npt.NDArray[np.floating[Any]]
    embedder: str


class _InMemory(MultiPartParser):
    """No part is written to the disk; the body's size is limited before."""

    spool_max_size = 2**31
    whole = False

    def on_end(self) -> None:
        """Note that the last part has ended as it should."""
        self.whole = True
        super().on_end()

    def close(self) -> None:
        """Let go of parts, those that have not ended among them."""
        for part in self._files_to_close_on_error:
            part.close()


async def read_images(request: Request, cropped: bool, settings: ServeSettings) -> Images:
    """The images of a request: multipart, JSON with base64, or the bytes of one file.

    Raises:
        Problem: the body is not of these kinds, or holds none or too many.
    """
    kind = _kind(request)
    if kind == "multipart/form-data":
        found = await _multipart(request, cropped, settings)
    elif kind == JSON:
        asked = _validated(ImagesRequest, await request.body())
        _few_enough(len(asked.images), settings)  # before anything is made of them
        files = [_unbase64(text, place) for place, text in enumerate(asked.images)]
        found = Images(files, [None] * len(files), asked.cropped or cropped)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        found = Images([await request.body()], [None], cropped)
    else:
        raise Problem(
            "wrong-content-type",
            f"came {kind[:80] or 'no content type'}; wanted multipart/form-data with fields {FIELD!r}, "
            "application/json, image/* or application/octet-stream",
        )
    if not found.files or not all(found.files):
        raise Problem("no-image", f"wanted the bytes of an image, in fields {FIELD!r} of a form, or as the whole body")
    _few_enough(len(found.files), settings)
    return found


async def read_vectors(request: Request, embedder: str | None, settings: ServeSettings) -> Vectors:
    """The vectors of a request: JSON, or an npy file with the fingerprint in the address.

    Raises:
        Problem: the body is not of these kinds, or holds none, too many, or what are no numbers.
    """
    kind, body = _kind(request), await request.body()
    if kind == JSON:
        asked = _validated(VectorsRequest, body)
        if len({len(row) for row in asked.vectors}) != 1:
            raise Problem("bad-vectors", "the vectors have different lengths; wanted one length for all")
        found = Vectors(np.array(asked.vectors, dtype=np.float64), asked.embedder)
    elif kind in NPY:
        if not embedder:
            raise Problem("bad-request", "wanted the embedder's fingerprint: ?embedder=..., see /v1/models")
        found = Vectors(_npy(body), embedder)
    else:
        raise Problem("wrong-content-type", f"came {kind[:80] or 'no content type'}; wanted {JSON} or {NPY[0]}")
    if len(found.vectors) > settings.max_vectors:
        raise Problem("bad-vectors", f"{len(found.vectors)} vectors; at most {settings.max_vectors} a request")
    return found


async def _multipart(request: Request, cropped: bool, settings: ServeSettings) -> Images:
    try:
        parser = _InMemory(request.headers, request.stream(), max_files=settings.images_at_once + 1, max_fields=8)
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = str(getattr(error, "message", error))[:200]
        if "Too many files" in reason:
            raise Problem("too-many-images", f"at most {settings.images_at_once} images a request") from error
        raise Problem("bad-request", f"no multipart form that can be read ({reason})") from error
    if not parser.whole:
        parser.close()
        raise Problem("bad-request", "the form is cut off: its closing boundary is missing")
    try:
        return await _parts(form, cropped)
    finally:
        await form.close()


async def _parts(form: FormData, cropped: bool) -> Images:
    files, names = [], []
    for key, part in form.multi_items():
        if isinstance(part, UploadFile):
            if key != FIELD:
                raise Problem("bad-request", f"a file in field {key[:80]!r}; wanted {FIELD!r}")
            files.append(await part.read())
            # a form may be in an encoding that has what JSON cannot hold
            names.append((part.filename or "")[:255].encode("utf-8", "replace").decode() or None)
        elif key == "cropped" and part.lower() in ("true", "1", "false", "0"):
            cropped = part.lower() in ("true", "1")
        else:
            raise Problem(
                "bad-request", f"a field {key[:80]!r}; wanted {FIELD!r} with files, and cropped: true or false"
            )
    return Images(files, names, cropped)


def _few_enough(images: int, settings: ServeSettings) -> None:
    if images > settings.images_at_once:
        raise Problem("too-many-images", f"{images} images; at most {settings.images_at_once} a request")


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _validated(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Problem("bad-json", f"{place[:80]}: {first['msg'][:200]}") from error


def _unbase64(text: str, place: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem("bad-json", f"images.{place}: no base64 ({error})") from error


def _npy(body: bytes) -> npt.NDArray[np.floating[Any]]:
    """The array of an npy file of plain floats; nothing in it is unpickled, or believed of its size."""
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read(stream, max_header_size=HEADER_BYTES)
    except Exception as error:  # numpy's reader raises almost anything on bytes made to hurt
        raise Problem("bad-vectors", f"no npy file that can be read ({type(error).__name__})") from error
    if dtype.name not in NUMBERS or len(shape) not in (1, 2) or min(shape, default=0) < 1:
        raise Problem("bad-vectors", f"an array {dtype} {shape}; wanted floats (N, width)")
    numbers = stream.read()
    if math.prod(shape) * dtype.itemsize != len(numbers):
        raise Problem("bad-vectors", f"an array {dtype} {shape} in {len(numbers)} bytes; is the file cut off?")
    found = np.frombuffer(numbers, dtype).reshape(shape, order="F" if by_columns else "C")
    return np.atleast_2d(found.astype(dtype.newbyteorder("="), copy=False))
