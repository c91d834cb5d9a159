"""Face-recognition networks from ONNX files, and the copies that they find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from agelens.audit.findings import Finding, Kind
from agelens.errors import BundleError
from agelens.faces.embedder import Embedder

Make = Callable[..., Path]
Look = Callable[..., list[Finding]]


def _reference(crops: np.ndarray, scale: str) -> np.ndarray:
    pixels = crops.astype(np.float64)
    if scale == "arcface":
        pixels = (pixels - 127.5) / 127.5
    fields = pixels.reshape(len(crops), 4, 28, 4, 28, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(len(crops), -1)
    return np.asarray(fields / np.linalg.norm(fields, axis=1, keepdims=True))


@pytest.mark.parametrize("scale", ["arcface", "raw"])
@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_vectors_are_of_length_one_and_those_of_the_network(write_embedder: Any, scale: Any, batch: str | int) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (7, 112, 112, 3), dtype=np.uint8)
    vectors = Embedder.load(write_embedder(batch=batch), scale=scale).embed(crops)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, _reference(crops, scale), atol=1e-4)


@pytest.mark.parametrize("changes", [{"side": 56}, {"kind": TensorProto.DOUBLE}])
def test_a_network_of_another_kind_is_refused(write_embedder: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=r"wanted one float input \(N, 3, 112, 112\)|damaged"):
        Embedder.load(write_embedder(**changes))


def test_vectors_without_length_are_refused(write_embedder: Any) -> None:
    with pytest.raises(BundleError, match="wanted a vector for each"):
        Embedder.load(write_embedder(scale=0.0))


@pytest.mark.parametrize("data", [None, b"", b"not a network"])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "embedder.onnx"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BundleError, match=str(path)):
        Embedder.load(path)


@pytest.mark.parametrize("shape", [(0, 112, 112, 3), (2, 112, 112, 1), (112, 112, 3)])
def test_crops_of_another_shape_are_refused(write_embedder: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"wanted uint8 \(N, 112, 112, 3\)"):
        Embedder.load(write_embedder()).embed(np.zeros(shape, dtype=np.uint8))


def test_faces_alike_are_near_duplicates(make: Make, look: Look, write_embedder: Any, made_up_face: Any) -> None:
    other = np.ascontiguousarray(made_up_face(0, 60)[::-1, ::-1])  # neither hash nor registration sees that
    rows = [{"face": 0}, {"face": other}, {"face": 2}]
    embedder = Embedder.load(write_embedder())
    assert look(make(*rows), "duplicates") == []
    findings = look(make(*rows, name="again"), "duplicates", embedder=embedder, same_face=-1.0)
    assert [(found.kind, found.rows) for found in findings] == [(Kind.NEAR, (0, 1, 2))]
    assert list(findings[0].details["likeness"]) == ["face"]
    assert look(make(*rows, name="third"), "duplicates", embedder=embedder, same_face=0.9999) == []
